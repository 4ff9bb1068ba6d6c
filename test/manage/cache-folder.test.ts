import { appendFile, lstat, mkdir, readdir, readFile, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HubCache } from '../../src/files/disk/hub-cache.node.ts';
import { LOCK_WORTH_BYTES } from '../../src/files/disk/python-lock.node.ts';
import { acquireLock } from '../../src/fs/lock.node.ts';
import { carryOut, planPrune, planRemoval } from '../../src/manage/clean.node.ts';
import { scanCache } from '../../src/manage/scan.node.ts';
import { type CheckedBlob, verifyCache } from '../../src/manage/verify.node.ts';
import { filesUnder, scratch } from '../support/hub.ts';
import {
  COMMIT,
  entryOf,
  fileOf,
  fill,
  gitSha1Of,
  KnownHere,
  OTHER_COMMIT,
  REPO,
  sha256Of,
} from '../support/stores.ts';

const THIRD_COMMIT = 'e'.repeat(40);
const DATA = { type: 'dataset', name: 'owner/data' } as const;
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);
const base = bytes(1000, 1);
const first = bytes(200, 2);
const second = bytes(30, 3);

/**
 * A model with two commits that have one file in common, of which the first is not named any more, and a
 * data set.
 */
async function filledCache() {
  const at = await scratch();
  const known = new KnownHere();
  const cache = new HubCache(at, known);
  const put = (file: Parameters<typeof fileOf>, revision = 'main') =>
    fill(cache.place(fileOf(...file), revision), file[1]);
  await put(['base.bin', base, {}]);
  await put(['sub/own.txt', first, { etag: gitSha1Of(first) }]);
  await put(['base.bin', base, { commit: OTHER_COMMIT }]);
  await put(['sub/own.txt', second, { commit: OTHER_COMMIT, etag: gitSha1Of(second) }]);
  await put(['data.bin', base, { repo: DATA, commit: THIRD_COMMIT }], 'refs/pr/1');
  return { at, cache, known, model: join(at, 'models--owner--model'), data: join(at, 'datasets--owner--data') };
}

const now = { graceMs: 0, unlockedGraceMs: 0 };

describe('a look at the cache folder', () => {
  test('tells what is there', async () => {
    const { at, model } = await filledCache();
    const scan = await scanCache(at);
    expect(scan).toMatchObject({ path: at, size: 2230, unfinished: [], shared: [], warnings: [] });
    expect(
      scan.repos.map(({ type, name, size, blobs, sharedBytes }) => ({ type, name, size, blobs, sharedBytes })),
    ).toEqual([
      { type: 'dataset', name: 'owner/data', size: 1000, blobs: 1, sharedBytes: 0 },
      { type: 'model', name: 'owner/model', size: 1230, blobs: 3, sharedBytes: 1000 },
    ]);
    const repo = scan.repos[1]!;
    expect(repo.revisions.map(({ commit, refs, size }) => ({ commit, refs, size }))).toEqual([
      { commit: COMMIT, refs: [], size: 1200 },
      { commit: OTHER_COMMIT, refs: ['main'], size: 1030 },
    ]);
    expect(repo.revisions[0]!.files[1]).toMatchObject({
      file: 'sub/own.txt',
      path: join(model, 'snapshots', COMMIT, 'sub', 'own.txt'),
      blob: join(model, 'blobs', gitSha1Of(first)),
      size: 200,
    });
    const blob = await lstat(join(model, 'blobs', gitSha1Of(second)));
    expect(repo.lastModified).toBeGreaterThanOrEqual(blob.mtimeMs);
    expect(scan.repos[0]!.revisions[0]!.refs).toEqual(['refs/pr/1']);
  });

  test('of no folder is of nothing, of a file an error', async () => {
    const at = join(await scratch(), 'none');
    expect(await scanCache(at)).toMatchObject({ repos: [], size: 0, warnings: [] });
    await writeFile(at, '');
    await expect(scanCache(at)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('a link whose target cannot be looked up is unreadable, not broken, and a prune keeps it', async () => {
    const { at, model } = await filledCache();
    const link = join(model, 'snapshots', OTHER_COMMIT, 'long.txt');
    await symlink('x'.repeat(300), link);
    const scan = await scanCache(at);
    expect(scan.warnings).toEqual([
      { localPath: link, message: expect.stringContaining('ENAMETOOLONG'), unreadable: true },
    ]);
    expect(scan.repos.flatMap(({ brokenLinks }) => brokenLinks)).toEqual([]);
    const { removals } = await planPrune(scan);
    expect(removals.map(({ localPath }) => localPath)).not.toContain(link);
  });

  test('goes on past what is damaged, and tells of it', async () => {
    const { at, model, data } = await filledCache();
    await unlink(join(model, 'blobs', gitSha1Of(second)));
    await writeFile(join(model, 'refs', 'gone'), 'f'.repeat(40));
    await writeFile(join(model, 'snapshots', 'file'), '');
    await writeFile(join(at, 'stray'), '');
    await writeFile(join(at, '.DS_Store'), '');
    await mkdir(join(at, 'folder'));
    await mkdir(join(at, 'things--owner--x'));
    await mkdir(join(at, 'models--owner--empty'));
    await symlink('nowhere', join(at, 'models--owner--lost'));
    await rm(join(data, 'refs'), { recursive: true });
    await writeFile(join(data, 'refs'), '');
    const { repos, warnings } = await scanCache(at);
    expect(warnings.map(({ localPath: path }) => path).sort()).toEqual(
      [
        join(model, 'snapshots', OTHER_COMMIT, 'sub', 'own.txt'),
        join(model, 'refs', 'gone'),
        join(model, 'snapshots', 'file'),
        join(at, 'stray'),
        join(at, 'folder'),
        join(at, 'things--owner--x'),
        join(at, 'models--owner--empty'),
        join(at, 'models--owner--lost'),
        join(data, 'refs'),
      ].sort(),
    );
    expect(repos.map(({ name, size }) => ({ name, size }))).toEqual([
      { name: 'owner/data', size: 1000 },
      { name: 'owner/empty', size: 0 },
      { name: 'owner/model', size: 1200 },
    ]);
    expect(repos[2]).toMatchObject({
      brokenLinks: [join(model, 'snapshots', OTHER_COMMIT, 'sub', 'own.txt')],
      danglingRefs: [join(model, 'refs', 'gone')],
    });
  });

  test('sees copies, content that nothing uses, and what is unfinished', async () => {
    const { at, model } = await filledCache();
    await writeFile(join(model, 'snapshots', COMMIT, 'copy'), bytes(5, 5));
    await writeFile(join(model, 'blobs', 'a'.repeat(40)), bytes(7, 7));
    await writeFile(join(model, 'blobs', 'b.0123abcd.incomplete'), bytes(9, 9));
    const scan = await scanCache(at);
    expect(scan).toMatchObject({ size: 2235, unfinished: [{ size: 9 }] });
    expect(scan.repos[1]!.unused).toEqual([{ path: join(model, 'blobs', 'a'.repeat(40)), size: 7 }]);
    const copy = join(model, 'snapshots', COMMIT, 'copy');
    expect(scan.repos[1]!.revisions[0]!.files[1]).toMatchObject({ path: copy, blob: copy, size: 5 });
  });
});

describe('a prune', () => {
  test('removes revisions that have no name, and what only they need', async () => {
    const { at, cache, model } = await filledCache();
    await cache.noteTree(REPO, COMMIT, [entryOf('base.bin', base)]);
    await cache.noteMissing(REPO, COMMIT, 'x');
    const plan = await planPrune(await scanCache(at), now);
    expect(plan.freedBytes).toBe(200);
    expect(plan.revisions.map(({ revision }) => revision.commit)).toEqual([COMMIT]);
    expect(await carryOut(plan)).toEqual({ freedBytes: 200, removed: plan.removals.length, failures: [] });
    expect(await readdir(join(model, 'snapshots'))).toEqual([OTHER_COMMIT]);
    expect((await readdir(join(model, 'blobs'))).sort()).toEqual([sha256Of(base), gitSha1Of(second)].sort());
    expect(await readdir(join(model, 'trees'))).toEqual([]);
    expect(await scanCache(at)).toMatchObject({ size: 2030, warnings: [] });
    expect((await planPrune(await scanCache(at), now)).removals).toEqual([]);
  });

  test('removes a repository without any named revision as a whole', async () => {
    const { at, model, data } = await filledCache();
    await rm(join(data, 'refs'), { recursive: true });
    const plan = await planPrune(await scanCache(at), now);
    expect(plan.freedBytes).toBe(1200);
    await carryOut(plan);
    expect((await readdir(at)).filter((name) => name.includes('--'))).toEqual([model.slice(at.length + 1)]);
  });

  test('mends what is damaged', async () => {
    const { at, model } = await filledCache();
    await unlink(join(model, 'blobs', gitSha1Of(second)));
    await writeFile(join(model, 'refs', 'gone'), 'f'.repeat(40));
    await writeFile(join(model, 'blobs', 'a'.repeat(40)), bytes(7, 7));
    const plan = await planPrune(await scanCache(at), now);
    expect(plan.freedBytes).toBe(207);
    await carryOut(plan);
    expect(await scanCache(at)).toMatchObject({ size: 2000, warnings: [] });
  });

  test('leaves alone what is young, and what somebody is at', async () => {
    const { at, model } = await filledCache();
    const stem = join(model, 'blobs', 'b'.repeat(64));
    const held = await acquireLock(`${stem}.xetkit-lock.incomplete`, {
      signal: new AbortController().signal,
      onWait: () => undefined,
    });
    await writeFile(`${stem}.xetkit.incomplete`, bytes(7, 7));
    await writeFile(join(model, 'blobs', 'a'.repeat(40)), bytes(7, 7));
    await writeFile(join(model, 'refs', 'gone'), 'f'.repeat(40));
    await rm(join(model, 'refs', 'main'));
    const plan = await planPrune(await scanCache(at));
    // Not the whole repository either, though none of its revisions has a name.
    expect(plan.removals.map(({ kind }) => kind)).not.toContain('repo');
    expect(plan.removals.map(({ localPath: path }) => path).filter((path) => /b{64}|a{40}|gone/.test(path))).toEqual(
      [],
    );
    await held.release();
    const later = await planPrune(await scanCache(at), now);
    expect(later.removals.map(({ kind }) => kind)).toEqual(['repo']);
    expect(later.freedBytes).toBe(1230 + 14);
  });

  test('leaves alone what somebody has taken up since it was planned', async () => {
    const { at, data, model } = await filledCache();
    await rm(join(data, 'refs'), { recursive: true });
    const partial = join(model, 'blobs', `${'b'.repeat(64)}.xetkit.incomplete`);
    await writeFile(partial, bytes(7, 7));
    const plan = await planPrune(await scanCache(at), now);
    expect(plan.freedBytes).toBe(1207);
    const locks = [model, data].map((repo) => join(repo, 'blobs', `${'b'.repeat(64)}.xetkit-lock.incomplete`));
    const releases = await Promise.all(
      locks.map((lock) => acquireLock(lock, { signal: new AbortController().signal, onWait: () => undefined })),
    );
    expect(await carryOut(plan)).toMatchObject({
      freedBytes: 200,
      failures: [{ localPath: data }, { localPath: partial }],
    });
    await Promise.all(releases.map((held) => held.release()));
    expect((await carryOut(plan)).failures).toEqual([]);
  });

  test('leaves alone what Python is downloading', async () => {
    const { at, cache, model } = await filledCache();
    const large = bytes(LOCK_WORTH_BYTES, 1);
    const sink = await cache.place(fileOf('large', large), 'main').openSink({
      signal: new AbortController().signal,
      onWait: () => undefined,
      resume: true,
    });
    const unfinished = join(model, 'blobs', `${sha256Of(large)}.0123abcd.incomplete`);
    await writeFile(unfinished, bytes(7, 7));
    const paths = async () => (await planPrune(await scanCache(at), now)).removals.map(({ localPath: path }) => path);
    expect(await paths()).not.toContain(unfinished);
    await sink.close();
    expect(await paths()).toContain(unfinished);
  });

  test('goes on past what cannot be removed, and stays in the folder', async () => {
    const { at } = await filledCache();
    const outside = join(await scratch(), 'precious');
    await writeFile(outside, 'precious');
    const plan = await planPrune(await scanCache(at), now);
    plan.removals.unshift({ kind: 'blob', localPath: outside, bytes: 8 });
    const result = await carryOut(plan);
    expect(result).toMatchObject({ freedBytes: 200, failures: [{ localPath: outside }] });
    expect(await readFile(outside, 'utf8')).toBe('precious');
  });

  test('does not follow links out of the folder', async () => {
    const { at, model } = await filledCache();
    const outside = join(await scratch(), 'a'.repeat(64));
    await writeFile(outside, 'precious');
    await symlink(outside, join(model, 'snapshots', COMMIT, 'link'));
    await symlink(dirname(outside), join(model, 'snapshots', COMMIT, 'folder'));
    await carryOut(await planPrune(await scanCache(at), now));
    await carryOut(await planRemoval(await scanCache(at), [{ repo: REPO }]));
    expect(await readFile(outside, 'utf8')).toBe('precious');
  });
});

describe('a removal', () => {
  test('of a repository', async () => {
    const { at } = await filledCache();
    const plan = await planRemoval(await scanCache(at), [{ repo: REPO }]);
    expect(plan.freedBytes).toBe(1230);
    await carryOut(plan);
    expect((await scanCache(at)).repos.map(({ name }) => name)).toEqual(['owner/data']);
  });

  test('of a revision', async () => {
    const { at, model } = await filledCache();
    const plan = await planRemoval(await scanCache(at), [{ repo: REPO, commit: OTHER_COMMIT }]);
    expect(plan.freedBytes).toBe(30);
    await carryOut(plan);
    expect(await filesUnder(join(model, 'refs'))).toEqual([]);
    expect(await scanCache(at)).toMatchObject({ size: 2200, warnings: [] });
  });

  test('of revisions wherever they are, all of one repository', async () => {
    const { at } = await filledCache();
    const commits = [COMMIT, OTHER_COMMIT, THIRD_COMMIT].map((commit) => ({ commit }));
    const plan = await planRemoval(await scanCache(at), commits);
    expect(plan.freedBytes).toBe(2230);
    await carryOut(plan);
    expect((await scanCache(at)).repos).toEqual([]);
  });

  test('of what is not there is an error', async () => {
    const { at } = await filledCache();
    const scan = await scanCache(at);
    for (const target of [{ repo: { type: 'space', name: 'a/b' } as const }, { commit: 'f'.repeat(40) }, {}]) {
      await expect(planRemoval(scan, [target])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });
});

describe('a verification', () => {
  test('hashes everything, and trusts nothing that is remembered', async () => {
    const { at, model } = await filledCache();
    await writeFile(join(model, 'blobs', 'a'.repeat(64)), bytes(7, 7));
    await writeFile(join(model, 'snapshots', COMMIT, 'copy'), bytes(5, 5));
    const seen: CheckedBlob[] = [];
    const clean = await verifyCache(await scanCache(at), { onFile: (checked) => seen.push(checked) });
    expect(seen.map(({ localPath: path, verdict }) => [path.slice(at.length + 1), verdict]).sort()).toEqual(
      [
        [`datasets--owner--data/blobs/${sha256Of(base)}`, 'sha256'],
        [`models--owner--model/blobs/${sha256Of(base)}`, 'sha256'],
        [`models--owner--model/blobs/${gitSha1Of(first)}`, 'git-sha1'],
        [`models--owner--model/blobs/${gitSha1Of(second)}`, 'git-sha1'],
        [`models--owner--model/blobs/${'a'.repeat(64)}`, 'wrong'],
        [`models--owner--model/snapshots/${COMMIT}/copy`, 'unknown'],
      ].sort(),
    );
    expect(clean).toMatchObject({ checked: 6, bytes: 2242, wrong: [{ size: 7 }], unknown: [{ size: 5 }] });
    expect(seen.find(({ localPath: path }) => path.endsWith(gitSha1Of(first)))).toMatchObject({
      repo: 'owner/model',
      snapshotPaths: [join(model, 'snapshots', COMMIT, 'sub', 'own.txt')],
      removed: false,
    });
  });

  test('finds a flipped bit, and repairs so that the next download fetches it', async () => {
    const { at, cache, known, model } = await filledCache();
    const blob = join(model, 'blobs', sha256Of(base));
    const { atime, mtime } = await lstat(blob);
    await writeFile(
      blob,
      Uint8Array.from(base, (byte, index) => (index === 500 ? byte ^ 4 : byte)),
    );
    await utimes(blob, atime, mtime);
    const scan = await scanCache(at);
    const repos = scan.repos.filter(({ type }) => type === 'model');
    const found = await verifyCache(scan, { repos });
    expect(found).toMatchObject({ checked: 3, wrong: [{ localPath: blob, removed: false }] });
    expect(await lstat(blob)).toBeDefined();

    const { wrong } = await verifyCache(scan, { repos, repair: true, known });
    const names = [COMMIT, OTHER_COMMIT].map((commit) => join(model, 'snapshots', commit, 'base.bin'));
    expect(wrong).toMatchObject([{ localPath: blob, snapshotPaths: names, removed: true }]);
    expect(await scanCache(at)).toMatchObject({ size: 1230, warnings: [] });
    expect(await cache.find(REPO, COMMIT, 'base.bin')).toBeUndefined();
    expect((await fill(cache.place(fileOf('base.bin', base), 'main'), base)).wrote).toBe(true);
    expect((await verifyCache(await scanCache(at))).wrong).toEqual([]);
  });

  test('knows copies by a listing', async () => {
    const { at, cache, model } = await filledCache();
    const copy = join(model, 'snapshots', COMMIT, 'copy');
    await writeFile(copy, bytes(5, 5));
    await cache.noteTree(REPO, COMMIT, [entryOf('copy', bytes(5, 5))]);
    expect(await verifyCache(await scanCache(at))).toMatchObject({ checked: 5, wrong: [], unknown: [] });
    await appendFile(copy, 'x');
    expect((await verifyCache(await scanCache(at), { repair: true })).wrong).toMatchObject([{ localPath: copy }]);
    await expect(lstat(copy)).rejects.toThrow();
  });

  test('stops when it is no longer wanted', async () => {
    const { at } = await filledCache();
    const stop = new AbortController();
    const onFile = () => stop.abort(new Error('enough'));
    await expect(verifyCache(await scanCache(at), { signal: stop.signal, onFile })).rejects.toThrow('enough');
  });
});

describe('content that repositories share', () => {
  const large = bytes(LOCK_WORTH_BYTES, 1);
  const xetHash = 'a'.repeat(64);

  async function sharing() {
    const at = await scratch();
    await mkdir(join(at, 'blobs'));
    await writeFile(join(at, 'blobs', '.huggingface-shared-blobs'), '1\n');
    const cache = new HubCache(at, new KnownHere());
    await fill(cache.place(fileOf('one.bin', large, { xetHash }), 'main'), large);
    await fill(cache.place(fileOf('two.bin', large, { repo: DATA, xetHash }), 'main'), large);
    return { at, cache, entry: join(at, 'blobs', 'aa', xetHash) };
  }

  test('counts once', async () => {
    const { at, entry } = await sharing();
    const scan = await scanCache(at);
    expect(scan).toMatchObject({ size: large.length, shared: [{ path: entry, size: large.length }], warnings: [] });
    expect(scan.repos.map(({ size }) => size)).toEqual([large.length, large.length]);
    expect((await planPrune(scan, now)).removals).toEqual([]);
  });

  test('is freed with the last repository', async () => {
    const { at } = await sharing();
    const plan = await planRemoval(await scanCache(at), [{ repo: REPO }]);
    expect(plan.freedBytes).toBe(0);
    expect(await carryOut(plan)).toMatchObject({ freedBytes: 0, failures: [] });
    expect((await scanCache(at)).size).toBe(large.length);
    const last = await planRemoval(await scanCache(at), [{ repo: DATA }]);
    expect(last.freedBytes).toBe(large.length);
    expect(await carryOut(last)).toMatchObject({ freedBytes: large.length, failures: [] });
    expect(await scanCache(at)).toMatchObject({ repos: [], shared: [], size: 0 });
  });

  test('is freed by a prune when its repositories were removed by hand', async () => {
    const { at } = await sharing();
    await rm(join(at, 'models--owner--model'), { recursive: true });
    await rm(join(at, 'datasets--owner--data'), { recursive: true });
    const plan = await planPrune(await scanCache(at), now);
    expect(plan.freedBytes).toBe(large.length);
    expect((await carryOut(plan)).freedBytes).toBe(large.length);
  });

  test('is removed from all of them when it is wrong', async () => {
    const { at, cache, entry } = await sharing();
    await rm(entry);
    await writeFile(entry, bytes(LOCK_WORTH_BYTES, 2));
    const { wrong } = await verifyCache(await scanCache(at), { repair: true });
    expect(wrong).toMatchObject([
      { removed: true, snapshotPaths: [expect.stringContaining('two.bin'), expect.stringContaining('one.bin')] },
    ]);
    expect(await scanCache(at)).toMatchObject({ size: 0, shared: [], warnings: [] });
    expect((await fill(cache.place(fileOf('one.bin', large, { xetHash }), 'main'), large)).wrote).toBe(true);
  });
});
