import { createHash } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { isXetError, type XetErrorCode } from '../../src/core/errors.ts';
import type { Progress } from '../../src/core/progress.ts';
import type { HeldFile } from '../../src/files/held-file.ts';
import type { EarlierFile, Place, RepoStore } from '../../src/files/place.ts';
import type { Http } from '../../src/http/http.ts';
import type { Fetch } from '../../src/http/types.ts';
import { HubClient, type ResolvedFile } from '../../src/hub/client.ts';
import type { ListEntry, RepoId } from '../../src/hub/types.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import {
  planSnapshot,
  previewOf,
  runSnapshot,
  type SnapshotFile,
  type SnapshotOptions,
  type SnapshotParts,
} from '../../src/snapshot/snapshot.ts';
import { makeHttp, serve } from '../http/server.ts';
import { noise, testHub } from '../local-hub/helpers.ts';
import { rejectionOf } from '../support/property.ts';

const repo = 'owner/model';
const text = (content: string) => new TextEncoder().encode(content);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const files = {
  '.gitattributes': text('*.safetensors filter=lfs\n'),
  'config.json': text('{}\n'),
  'README.md': text('# A model\n'),
  'data/train.txt': text('train\n'),
  'data/deep/test.txt': text('test\n'),
  'model.safetensors': noise(1, 1_500_000),
};
const allPaths = Object.keys(files).sort();

/** The Hub cache folder in memory: content by etag, and which commit has what. */
class MemoryStore implements RepoStore {
  readonly content = new Map<string, Uint8Array>();
  readonly pointers = new Map<string, HeldFile>();
  readonly commits = new Map<string, string>();
  readonly trees = new Map<string, ListEntry[]>();
  readonly missing = new Set<string>();
  /** What was changed, by whom it was asked. */
  readonly writes: string[] = [];

  link(file: ResolvedFile): string {
    const path = `/cache/${file.commit}/${file.path}`;
    this.pointers.set(path, { localPath: path, size: file.size, etag: file.etag });
    return path;
  }

  async earlier(): Promise<EarlierFile[]> {
    return [];
  }

  place(file: ResolvedFile): Place {
    return {
      existing: async () => {
        if (!this.content.has(file.etag)) return undefined;
        return { localPath: this.link(file), verified: file.etag.length === 64 ? 'sha256' : 'git-sha1' };
      },
      openSink: async () => {
        throw new Error('Nothing here opens a sink');
      },
    };
  }

  async commitOf(_: RepoId, revision: string) {
    return /^[0-9a-f]{40}$/.test(revision) ? revision : this.commits.get(revision);
  }

  async noteCommit(_: RepoId, revision: string, commit: string) {
    this.writes.push(`commit ${revision}`);
    this.commits.set(revision, commit);
  }

  async tree(_: RepoId, commit: string) {
    return this.trees.get(commit);
  }

  async noteTree(_: RepoId, commit: string, entries: readonly ListEntry[]) {
    this.writes.push('tree');
    this.trees.set(commit, [...entries]);
  }

  async knownMissing(_: RepoId, commit: string, path: string) {
    return this.missing.has(`${commit}/${path}`);
  }

  async noteMissing(_: RepoId, commit: string, path: string) {
    this.writes.push('missing');
    this.missing.add(`${commit}/${path}`);
  }

  async find(_: RepoId, commit: string, path: string) {
    return this.pointers.get(`/cache/${commit}/${path}`);
  }

  folder(_: RepoId, commit: string) {
    return `/cache/${commit}`;
  }
}

interface Bench {
  hub: LocalHub;
  store: MemoryStore;
  parts: SnapshotParts;
  warnings: string[];
  /** What was fetched, and how many files at once at most. */
  fetched: string[];
  most: { small: number; large: number };
  /** Plans and runs. */
  snapshot: (options?: Partial<SnapshotOptions>) => ReturnType<typeof runSnapshot>;
  plan: (options?: Partial<SnapshotOptions>) => ReturnType<typeof planSnapshot>;
  /** Requests that the Hub has seen since last asked, by kind. */
  requests: () => Record<string, number>;
}

/** A Hub, a store and a plain way to fetch a file. */
async function bench(options: { hub?: LocalHub; fetch?: Fetch; parts?: Partial<SnapshotParts> } = {}): Promise<Bench> {
  const hub = options.hub ?? (await testHub());
  const http = makeHttp(options.fetch ? { fetch: options.fetch } : {});
  const store = new MemoryStore();
  const warnings: string[] = [];
  const fetched: string[] = [];
  const now = { small: 0, large: 0 };
  const most = { small: 0, large: 0 };
  const parts: SnapshotParts = {
    http,
    hub: new HubClient(http, { endpoint: hub.url, accessToken: async () => undefined }),
    store,
    platform: 'other',
    onWarning: (warning) => warnings.push(warning),
    fetchFile: async (file, place, { signal, force, log }) => {
      const existing = force ? undefined : await place.existing(signal);
      if (existing) return { ...existing, bytes: { network: 0, cache: 0, local: file.size } };
      const kind = file.size < 1024 * 1024 ? 'small' : 'large';
      most[kind] = Math.max(most[kind], ++now[kind]);
      try {
        fetched.push(file.path);
        const bytes = await get(http.with(log), file.url, signal);
        store.content.set(file.etag, bytes);
        const done = await place.existing(signal);
        if (!done || bytes.length !== file.size) throw new Error('It did not work');
        return { ...done, bytes: { network: bytes.length, cache: 0, local: 0 } };
      } finally {
        now[kind]--;
      }
    },
    ...options.parts,
  };
  const plan = (more: Partial<SnapshotOptions> = {}) => planSnapshot(parts, { repo, ...more });
  return {
    hub,
    store,
    parts,
    warnings,
    fetched,
    most,
    plan,
    snapshot: async (more = {}) => runSnapshot(parts, await plan(more), more),
    requests: () => {
      const kinds: Record<string, number> = {};
      for (const { kind } of hub.requests) kinds[kind] = (kinds[kind] ?? 0) + 1;
      hub.resetRequests();
      return kinds;
    },
  };
}

async function get(http: Http, url: string, signal: AbortSignal): Promise<Uint8Array> {
  const reply = await http.send({ kind: 'hub', url, signal });
  const parts: Uint8Array[] = [];
  for await (const part of reply.chunks()) parts.push(part);
  return Buffer.concat(parts);
}

/** A bench whose Hub holds the files, in one commit. */
async function filled(options: Parameters<typeof bench>[0] = {}): Promise<Bench & { commit: string }> {
  const made = await bench(options);
  const { commit } = await made.hub.commitFiles(repo, files);
  made.hub.resetRequests();
  return { ...made, commit };
}

const pathsOf = (result: { files: { path: string }[] }) => result.files.map(({ path }) => path).sort();

/** A fetch that changes what the Hub lists. */
function listing(change: (entry: Record<string, unknown>) => Record<string, unknown>[]): Fetch {
  return async (url, init) => {
    const response = await fetch(url, init);
    if (!url.includes('/tree/') || !response.ok) return response;
    const entries = (await response.json()) as Record<string, unknown>[];
    return new Response(JSON.stringify(entries.flatMap(change)), { headers: response.headers });
  };
}

async function expectError(promise: Promise<unknown>, code: XetErrorCode, message: RegExp): Promise<void> {
  const error = await rejectionOf(promise);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
}

describe('a snapshot', () => {
  test('of a thousand files asks for the commit and for pages of a listing, and for no file by itself', async () => {
    const { hub, plan, requests, most, parts } = await bench();
    const many = Object.fromEntries(
      Array.from({ length: 1200 }, (_, index) => [`data/${index}.txt`, text(`${index}\n`)]),
    );
    await hub.commitFiles(repo, many);
    requests();
    const planned = await plan();
    expect(requests()).toEqual({ revision: 1, tree: 2 });
    expect(planned.requests).toBe(3);
    expect(planned.totals).toMatchObject({ files: 1200, heldFiles: 0, fetchFiles: 1200 });
    const result = await runSnapshot(parts, planned);
    // What is left are the contents themselves.
    const { resolve, ...others } = requests();
    expect(resolve).toBe(1200);
    expect(others.revision ?? others.tree).toBeUndefined();
    expect(result.files.map(({ path: file }) => file)).toEqual(planned.files.map(({ entry }) => entry.path));
    expect(most.small).toBeGreaterThan(12);
    expect(most.small).toBeLessThanOrEqual(40);
  });

  test('tells what it has, file by file and altogether', async () => {
    const { snapshot, commit, store } = await filled();
    const told: SnapshotFile[] = [];
    const result = await snapshot({ onFile: (file) => told.push(file) });
    expect(pathsOf(result)).toEqual(allPaths);
    expect(pathsOf({ files: told })).toEqual(allPaths);
    expect(result).toMatchObject({ folder: `/cache/${commit}`, commit });
    const model = result.files.find(({ path: file }) => file === 'model.safetensors');
    expect(model).toMatchObject({
      localPath: `/cache/${commit}/model.safetensors`,
      size: 1_500_000,
      etag: sha256(files['model.safetensors']),
      commit,
      verified: 'sha256',
      xetHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      bytes: { network: 1_500_000, cache: 0, local: 0 },
      requests: 1,
    });
    expect(sha256(store.content.get(model?.etag ?? '') ?? new Uint8Array())).toBe(model?.etag);
    const sizes = result.files.reduce((sum, { size }) => sum + size, 0);
    expect(result.bytes).toEqual({ network: sizes, cache: 0, local: 0 });
    expect(result.requests).toBe(2 + allPaths.length);
    expect(result.seconds).toBeGreaterThan(0);
  });

  test('says of a listed file what the Hub would say of it by itself', async () => {
    const { plan, parts, commit } = await filled();
    for (const { resolved } of (await plan()).files) {
      const asked = await parts.hub.resolve({ type: 'model', name: repo }, commit, resolved.path);
      const { size, etag, xetHash, url } = asked;
      expect(resolved).toMatchObject({ size, etag, xetHash, url, commit });
    }
  });

  test('is of one commit, even if the branch moves on meanwhile', async () => {
    const { plan, parts, hub, commit, store } = await filled();
    const planned = await plan({ files: ['config.json'] });
    await hub.commitFiles(repo, { 'config.json': text('{"new": true}\n') });
    const result = await runSnapshot(parts, planned);
    expect(result.commit).toBe(commit);
    expect(store.content.get(result.files[0]?.etag ?? '')).toEqual(Buffer.from(files['config.json']));
  });

  test('at a commit asks not what the commit is', async () => {
    const { snapshot, commit, requests, store } = await filled();
    await snapshot({ revision: commit, allowPatterns: 'config.json' });
    expect(requests()).toEqual({ tree: 1, resolve: 1, 'resolve-cache': 1 });
    expect(store.writes).toEqual(['tree']);
  });

  test('that is there takes one request, and none at a commit', async () => {
    const { snapshot, requests, commit, fetched } = await filled();
    const first = await snapshot();
    requests();
    fetched.length = 0;
    const again = await snapshot();
    expect(requests()).toEqual({ revision: 1 });
    expect(again.requests).toBe(1);
    expect(again.bytes).toEqual({ network: 0, cache: 0, local: first.bytes.network });
    const pinned = await snapshot({ revision: commit });
    expect(requests()).toEqual({});
    expect(pinned.requests).toBe(0);
    expect(fetched).toEqual([]);
  });

  test('of a later commit fetches what has changed', async () => {
    const { snapshot, plan, hub, fetched, commit } = await filled();
    await snapshot();
    const { commit: next } = await hub.commitFiles(repo, { 'config.json': text('{"new": true}\n') });
    fetched.length = 0;
    const planned = await plan();
    expect(planned.commit).toBe(next);
    expect(planned.files.filter(({ held }) => !held).map(({ entry }) => entry.path)).toEqual(['config.json']);
    const result = await snapshot();
    expect(fetched).toEqual(['config.json']);
    expect(result.files.every(({ localPath: path }) => path.includes(next))).toBe(true);
    expect(next).not.toBe(commit);
  });

  test('fetches again what is there if it is told to', async () => {
    const { snapshot, plan, fetched } = await filled();
    await snapshot();
    fetched.length = 0;
    expect((await plan({ force: true })).totals.heldFiles).toBe(0);
    await snapshot({ force: true });
    expect([...fetched].sort()).toEqual(allPaths);
  });

  test('asks the Hub for a Xet hash that it does not list, of files that are to be fetched', async () => {
    const { snapshot, requests, hub } = await filled({
      fetch: listing(({ xetHash, ...entry }) => [xetHash === undefined ? entry : { ...entry, xetHash: 'redacted' }]),
    });
    const { files: found } = await snapshot();
    expect(found.find(({ path: file }) => file === 'model.safetensors')?.xetHash).toMatch(/^[0-9a-f]{64}$/);
    // Each content, and one question.
    expect(requests().resolve).toBe(allPaths.length + 1);
    expect(hub.requests).toEqual([]);
    await snapshot();
    expect(requests()).toEqual({ revision: 1 });
  });

  test('fetches what several files have in common once', async () => {
    const { snapshot, hub, fetched } = await bench();
    const names = Array.from({ length: 30 }, (_, index) => `${index}.txt`);
    await hub.commitFiles(repo, Object.fromEntries(names.map((name) => [name, text('the same\n')])));
    const result = await snapshot();
    expect(pathsOf(result)).toEqual([...names].sort());
    expect(fetched).toHaveLength(1);
    expect(result.bytes).toEqual({ network: 9, cache: 0, local: 29 * 9 });
  });

  test('many large files go eight at a time, or as many as are allowed', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`${index}.bin`, noise(index + 1, 1_100_000)]),
    );
    const one = await bench();
    await one.hub.commitFiles(repo, many);
    one.hub.faults.latencyMs = 10;
    await one.snapshot();
    expect(one.most.large).toBeGreaterThan(4);
    expect(one.most.large).toBeLessThanOrEqual(8);
    const two = await bench({ hub: one.hub, parts: { filesAtOnce: 2 } });
    await two.snapshot();
    expect(two.most.large).toBeLessThanOrEqual(2);
  });
});

describe('what is selected', () => {
  test.each<[what: string, options: Partial<SnapshotOptions>, paths: string[]]>([
    ['everything', {}, allPaths],
    [
      'what is allowed',
      { allowPatterns: ['*.txt', 'config*'] },
      ['config.json', 'data/deep/test.txt', 'data/train.txt'],
    ],
    ['one pattern', { allowPatterns: '*.md' }, ['README.md']],
    ['what is not ignored', { allowPatterns: ['data/'], ignorePatterns: '*/deep/*' }, ['data/train.txt']],
    ['a folder', { files: ['data/'] }, ['data/deep/test.txt', 'data/train.txt']],
    ['a folder, narrowed', { files: ['data/'], allowPatterns: ['*test*'] }, ['data/deep/test.txt']],
    ['files whatever is ignored', { files: ['config.json'], ignorePatterns: ['*'] }, ['config.json']],
    ['a file and a folder', { files: ['config.json', 'data/deep//'] }, ['config.json', 'data/deep/test.txt']],
    ['nothing, where nothing is allowed', { allowPatterns: [] }, []],
    ['nothing, where nothing is named', { files: [] }, []],
  ])('%s', async (_, options, paths) => {
    const { snapshot } = await filled();
    const reports: Progress[] = [];
    const result = await snapshot({ ...options, onProgress: (progress) => reports.push(progress) });
    expect(pathsOf(result)).toEqual(paths);
    expect(reports.at(-1)).toMatchObject({ phase: 'done', files: { done: paths.length, total: paths.length } });
    // The same from a listing that was noted.
    expect(pathsOf(await snapshot(options))).toEqual(paths);
  });

  test('named files and folders cost no listing of everything', async () => {
    const { snapshot, plan, requests, store, commit } = await filled();
    await plan({ files: ['config.json', 'data/train.txt'] });
    expect(requests()).toEqual({ revision: 1, 'paths-info': 1 });
    await plan({ files: ['data/'] });
    expect(requests()).toEqual({ revision: 1, tree: 1 });
    await snapshot({ files: ['config.json'] });
    expect(store.trees.size).toBe(0);
    requests();
    await snapshot({ files: ['config.json'], revision: commit });
    expect(requests()).toEqual({});
  });

  test.each<[what: string, options: Partial<SnapshotOptions>, says: RegExp]>([
    [
      'a pattern in another case',
      { allowPatterns: ['*.JSON'] },
      /'\*\.JSON' matches nothing: 'config\.json' differs in case/,
    ],
    [
      'a folder without its slash',
      { allowPatterns: ['data'] },
      /'data' matches nothing: it is a folder, write 'data\/'/,
    ],
    ['a path from the root', { allowPatterns: ['/config.json'] }, /write 'config\.json'/],
    [
      'a name in a folder',
      { allowPatterns: ['train.txt'] },
      /'data\/train\.txt' is in a folder, write '\*\/train\.txt'/,
    ],
    ['two stars at the top', { allowPatterns: ['**/config.json'] }, /write '\*config\.json'/],
    ['braces', { allowPatterns: ['*.{json,md}'] }, /braces have no meaning/],
    ['two patterns', { allowPatterns: ['*.zip', '*.tar'] }, /'\*\.zip' matches nothing\. '\*\.tar' matches nothing\./],
    ['everything ignored', { ignorePatterns: ['*.zip', '*'] }, /ignore pattern '\*' takes away all 6 files/],
    [
      'everything ignored together',
      { allowPatterns: ['data/'], ignorePatterns: ['*train*', '*test*'] },
      /ignore patterns '\*train\*' \(1\), '\*test\*' \(1\) together take away all 2/,
    ],
    [
      'a file that is not there',
      { files: ['modell.bin'] },
      /Not in owner\/model at 'main' \(commit [0-9a-f]{40}\): 'modell\.bin'/,
    ],
    ['files of which some are there', { files: ['config.json', 'no'] }, /: 'no'\. List/],
    ['a folder named as a file', { files: ['data'] }, /'data' \(it is a folder, write 'data\/'\)/],
    ['a folder that is not there', { files: ['nowhere/'] }, /'nowhere\/'/],
    ['a folder of which nothing is wanted', { files: ['data/'], allowPatterns: ['*.bin'] }, /None of the 2 files/],
  ])('an empty match is explained: %s', async (_, options, says) => {
    const { plan, store, snapshot } = await filled();
    await expectError(plan(options), 'ENTRY_NOT_FOUND', says);
    expect(store.writes).toEqual([]);
    await snapshot({ allowPatterns: 'config.json' });
    await expectError(plan(options), 'ENTRY_NOT_FOUND', says);
  });

  test('a named file that is nearly there is pointed out where all are known', async () => {
    const { plan, snapshot } = await filled();
    await snapshot({ allowPatterns: 'config.json' });
    await expectError(
      plan({ files: ['readme.md'] }),
      'ENTRY_NOT_FOUND',
      /'readme\.md' \('README\.md' differs in case\)/,
    );
    await expectError(plan({ files: ['*.md'] }), 'ENTRY_NOT_FOUND', /'\*\.md' \(it is a pattern.*--include/);
  });

  test('a repository without files has nothing', async () => {
    const { plan } = await filled({ fetch: listing(() => []) });
    await expectError(plan(), 'ENTRY_NOT_FOUND', /no files in owner\/model/);
  });

  test.each([['../a'], ['/../a'], ['a/../../b'], ['C:/a'], ['']])('%j is no name to ask for', async (name) => {
    const { plan, requests } = await filled();
    await expectError(plan({ files: [name] }), 'INVALID_ARGUMENT', /Not a path/);
    expect(requests()).toEqual({});
  });

  test.each<[code: XetErrorCode, options: Partial<SnapshotOptions>]>([
    ['REPOSITORY_NOT_FOUND', { repo: 'owner/nothing' }],
    ['REVISION_NOT_FOUND', { revision: 'nowhere' }],
    ['INVALID_ARGUMENT', { repo: 'a/b/c' }],
    ['INVALID_ARGUMENT', { offline: true, force: true }],
  ])('%s is told at once', async (code, options) => {
    const { plan, snapshot } = await filled();
    await snapshot();
    await expectError(plan(options), code, /./);
  });

  test('a repository that may not be seen any more is not given from here', async () => {
    const { plan, snapshot, hub } = await filled();
    await snapshot();
    await hub.setRepo(repo, { private: true });
    await expectError(plan(), 'REPOSITORY_NOT_FOUND', /token/);
  });

  test('a gated repository is listed, but its files are not to be had', async () => {
    const { snapshot, hub } = await filled();
    await hub.setRepo(repo, { gated: 'manual' });
    await expectError(snapshot(), 'GATED', /conditions.* 0 of 6 files of owner\/model are in place/);
  });
});

describe('what a server may not do', () => {
  const renamed = (path: string) =>
    listing((entry) => (entry.path === 'config.json' ? [entry, { ...entry, path }] : [entry]));

  test.each([['../outside'], ['/etc/passwd'], ['a\\..\\b'], ['.git/hooks/post-checkout'], ['README.md/x']])(
    'have a file written as %j: it is left out, and the rest is not',
    async (path) => {
      const { plan, store, warnings } = await filled({ fetch: renamed(path) });
      const { files, leftOut } = await plan();
      const lost = path === 'README.md/x' ? 'README.md' : path;
      expect(leftOut).toEqual([{ path: lost, reason: expect.stringMatching(/^it /) }]);
      expect(files.map(({ resolved }) => resolved.path)).not.toContain(lost);
      expect(files).toHaveLength(allPaths.length);
      expect(warnings).toEqual([expect.stringMatching(/^A file of owner\/model cannot be stored here/)]);
      if (lost === path) await expectError(plan({ allowPatterns: lost }), 'UNSUPPORTED', /owner\/model/);
      expect(store.writes).toEqual([]);
      // Whoever leaves it out gets the rest.
      const rest = await plan({ ignorePatterns: [path.replaceAll('\\', '/'), 'README.md'] });
      expect(rest.totals.files).toBe(allPaths.length - 1);
    },
  );

  test('keep all files away by one name that this system cannot have', async () => {
    const { plan } = await filled({ fetch: renamed('aux.json'), parts: { platform: 'windows' } });
    const planned = await plan();
    expect(planned.leftOut).toEqual([{ path: 'aux.json', reason: expect.stringContaining('device') }]);
    expect(planned.totals.files).toBe(allPaths.length);
    expect((await plan({ allowPatterns: 'config.json' })).totals.files).toBe(1);
  });

  test('give two files one name, where it would be one: elsewhere it is told', async () => {
    const fetch = renamed('CONFIG.json');
    const mac = await filled({ fetch, parts: { platform: 'darwin' } });
    expect((await mac.plan()).leftOut).toEqual([
      { path: 'CONFIG.json', reason: expect.stringContaining("'config.json'") },
    ]);
    const linux = await filled({ fetch });
    expect((await linux.plan()).warnings).toEqual([expect.stringContaining("'CONFIG.json' and 'config.json'")]);
    expect(linux.warnings).toHaveLength(1);
  });

  test('pass files off as notes about a folder', async () => {
    const { plan, warnings } = await filled({ fetch: renamed('.cache/huggingface/download/config.json.metadata') });
    expect((await plan({ localDir: '/folder' })).totals.files).toBe(allPaths.length);
    expect(warnings).toEqual([expect.stringMatching(/^Left out of owner\/model/)]);
    expect((await plan()).totals.files).toBe(allPaths.length + 1);
    await expectError(plan({ localDir: '/folder', allowPatterns: '.cache/*' }), 'UNSUPPORTED', /Left out/);
  });

  test('name content by what is no hash', async () => {
    const fetch = listing((entry) => [{ ...entry, ...(entry.path === 'config.json' && { oid: '../../x' }) }]);
    const { plan } = await filled({ fetch });
    await expectError(plan(), 'PROTOCOL', /sha1 or sha256/);
  });

  test('list a file twice', async () => {
    const { plan } = await filled({ fetch: renamed('config.json') });
    expect((await plan()).totals.files).toBe(allPaths.length);
  });
});

describe('a plan', () => {
  test('tells sizes, what is held and what is to be fetched, and writes nothing', async () => {
    const { snapshot, plan, store, commit } = await filled();
    await snapshot({ allowPatterns: 'model.*' });
    const before = [...store.writes];
    const preview = previewOf(await plan());
    expect(store.writes).toEqual(before);
    expect(preview).toMatchObject({ folder: `/cache/${commit}`, commit, warnings: [] });
    expect(preview.files.find(({ path: file }) => file === 'model.safetensors')).toEqual({
      path: 'model.safetensors',
      localPath: `/cache/${commit}/model.safetensors`,
      size: 1_500_000,
      etag: sha256(files['model.safetensors']),
      xetHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      held: true,
    });
    expect(preview.files.find(({ path: file }) => file === 'config.json')).toMatchObject({
      size: 3,
      held: false,
      localPath: undefined,
    });
    const bytes = preview.files.reduce((sum, { size }) => sum + size, 0);
    expect(preview.totals).toEqual({
      files: allPaths.length,
      bytes,
      heldFiles: 1,
      heldBytes: 1_500_000,
      fetchFiles: allPaths.length - 1,
      fetchBytes: bytes - 1_500_000,
    });
  });

  test('of what was never here writes nothing either', async () => {
    const { plan, store } = await filled();
    await plan();
    expect(store.writes).toEqual([]);
    expect(store.pointers.size + store.content.size).toBe(0);
  });

  test('does not believe a file of another size or content to be the right one', async () => {
    const { snapshot, plan, store } = await filled();
    await snapshot();
    const [first, second, ...rest] = [...store.pointers.values()];
    Object.assign(first ?? {}, { size: 1 });
    Object.assign(second ?? {}, { etag: 'f'.repeat(40) });
    expect((await plan()).totals).toMatchObject({ heldFiles: rest.length, fetchFiles: 2 });
    // Without links a folder does not tell what its files hold.
    Object.assign(second ?? {}, { etag: '' });
    expect((await plan()).totals).toMatchObject({ heldFiles: rest.length + 1, fetchFiles: 1 });
  });
});

describe('offline', () => {
  test('a snapshot that is whole is given without any request', async () => {
    const { snapshot, requests, commit, warnings } = await filled();
    await snapshot();
    requests();
    for (const revision of ['main', commit]) {
      const result = await snapshot({ offline: true, revision });
      expect(pathsOf(result)).toEqual(allPaths);
      expect(result).toMatchObject({ commit, folder: `/cache/${commit}`, requests: 0 });
    }
    expect(requests()).toEqual({});
    expect(warnings).toEqual([]);
  });

  test('what is missing is counted and named, with what to do', async () => {
    const { snapshot, plan, requests } = await filled();
    await snapshot({ allowPatterns: '*.json' });
    requests();
    await expectError(
      plan({ offline: true }),
      'OFFLINE',
      /^5 of 6 files of owner\/model at commit [0-9a-f]{40} are not here.*'README\.md'.* and 2 more\. Download them with a connection/,
    );
    expect((await plan({ offline: true, allowPatterns: '*.json' })).totals).toMatchObject({ files: 1, heldFiles: 1 });
    expect(requests()).toEqual({});
  });

  test('without a listing only named files can be had', async () => {
    const { snapshot, plan, store, commit } = await filled();
    await expectError(plan({ offline: true }), 'OFFLINE', /'main' of owner\/model was never downloaded here/);
    await expectError(
      plan({ offline: true, revision: commit }),
      'OFFLINE',
      /The files of owner\/model at commit \w+ are not known/,
    );
    await snapshot({ files: ['config.json', 'model.safetensors'] });
    expect(store.trees.size).toBe(0);
    const named = await snapshot({ offline: true, files: ['model.safetensors', 'config.json'] });
    expect(named.files.map(({ path: file, size, etag }) => [file, size, etag.length])).toEqual([
      ['model.safetensors', 1_500_000, 64],
      ['config.json', 3, 40],
    ]);
    await expectError(
      plan({ offline: true, files: ['config.json', 'README.md'] }),
      'OFFLINE',
      /1 of 2 files.*'README\.md'/,
    );
    await expectError(plan({ offline: true, files: ['data/'] }), 'OFFLINE', /are not known/);
    store.missing.add(`${commit}/nothing`);
    await expectError(plan({ offline: true, files: ['nothing'] }), 'ENTRY_NOT_FOUND', /'nothing'/);
  });

  test('a file that was changed meanwhile is told', async () => {
    const { snapshot, store } = await filled();
    await snapshot();
    store.content.clear();
    await expectError(snapshot({ offline: true, files: ['config.json'] }), 'OFFLINE', /'config\.json' is here but not/);
  });
});

describe('when the Hub cannot be had', () => {
  test.each<[what: string, code: XetErrorCode, status: number | undefined]>([
    ['no answer', 'NETWORK', undefined],
    ['a failing server', 'SERVER', 503],
    ['too many requests', 'RATE_LIMITED', 429],
  ])('%s: what is here does, if it is whole', async (_, code, status) => {
    const { snapshot, plan, hub, commit, warnings } = await filled();
    await snapshot({ allowPatterns: ['*.json', '*.md'] });
    hub.faults.add({
      kind: 'revision',
      times: 1e9,
      ...(status === undefined ? { action: 'refuse' } : { action: 'status', status }),
    });
    const result = await snapshot({ allowPatterns: '*.json' });
    expect(result).toMatchObject({ commit, bytes: { network: 0 } });
    expect(warnings).toEqual([
      expect.stringMatching(/Using the copy that is here of owner\/model: commit [0-9a-f]{40}, which 'main'/),
    ]);
    await expectError(plan(), code, /There is no copy here to use instead: 4 of 6 files/);
    await expectError(plan({ files: ['new.bin'] }), code, /There is no copy here to use instead: Not in owner\/model/);
    await expectError(plan({ allowPatterns: '*.json', force: true }), code, /^(?!.*copy here)/);
  });

  test('with nothing here the error is the one of the Hub', async () => {
    const { plan, hub } = await filled();
    hub.faults.add({ kind: 'revision', times: 1e9, action: 'refuse' });
    await expectError(
      plan(),
      'NETWORK',
      /There is no copy here to use instead: 'main' of owner\/model was never downloaded here/,
    );
  });

  test('a listing that fails is stood in for as well', async () => {
    const { snapshot, hub, commit, warnings } = await filled();
    await snapshot();
    await hub.commitFiles(repo, { 'config.json': text('{"new": true}\n') });
    hub.faults.add({ kind: 'tree', times: 1e9, action: 'status', status: 500 });
    expect((await snapshot()).commit).toBe(commit);
    expect(warnings).toHaveLength(1);
  });
});

describe('a snapshot that fails', () => {
  test('ends what is under way, and says how far it came', async () => {
    const { hub, parts, plan } = await filled();
    const planned = await plan();
    hub.resetRequests();
    hub.faults.add({
      kind: 'resolve',
      match: (path) => path.endsWith('README.md'),
      action: 'status',
      status: 404,
      times: 9,
    });
    hub.faults.add({ kind: 'resolve', match: (path) => path.endsWith('config.json'), action: 'delay', ms: 60_000 });
    const aborted: string[] = [];
    const told: string[] = [];
    const watched: SnapshotParts = {
      ...parts,
      fetchFile: async (file, place, settings) => {
        settings.signal.addEventListener('abort', () => aborted.push(file.path));
        return parts.fetchFile(file, place, settings);
      },
    };
    const error = await rejectionOf(runSnapshot(watched, planned, { onFile: ({ path: file }) => told.push(file) }));
    expect(error).toMatchObject({ code: 'ENTRY_NOT_FOUND', status: 404 });
    expect((error as Error).message).toMatch(/README\.md answered 404.* (\d) of 6 files of owner\/model are in place/);
    expect((error as Error).message).toContain(` ${told.length} of 6 files`);
    expect(told).not.toContain('config.json');
    expect(aborted).toContain('config.json');
    expect(isXetError((error as Error).cause)).toBe(true);
  });

  test('begins nothing new', async () => {
    const { hub, plan, parts } = await bench();
    await hub.commitFiles(
      repo,
      Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`${index}.txt`, text('x')])),
    );
    let begun = 0;
    const failing: SnapshotParts = {
      ...parts,
      fetchFile: async () => {
        begun++;
        throw new Error('broken');
      },
    };
    await expect(runSnapshot(failing, await plan())).rejects.toThrow('broken');
    expect(begun).toBeLessThan(50);
  });

  test('because it was aborted rejects at once, with the reason', async () => {
    const { hub, plan, parts, store } = await filled();
    // The Hub holds its answers for longer than any test lasts: only the abort can end this.
    const held = hub.faults.add({ kind: 'resolve', action: 'delay', ms: 3_600_000, times: 1e9 });
    const stop = new AbortController();
    const reason = new Error('enough');
    const running = rejectionOf(runSnapshot(parts, await plan(), { signal: stop.signal }));
    await vi.waitFor(() => expect(held.hits).toBeGreaterThan(0));
    stop.abort(reason);
    expect(await running).toBe(reason);
    expect(store.content.size).toBe(0);
    expect(await rejectionOf(plan({ signal: stop.signal }))).toBe(reason);
    expect(await rejectionOf(runSnapshot(parts, await plan(), { signal: stop.signal }))).toBe(reason);
  });

  test('in its planning as well', async () => {
    const { hub, plan } = await filled();
    const held = hub.faults.add({ kind: 'tree', action: 'delay', ms: 3_600_000, times: 1e9 });
    const stop = new AbortController();
    const running = rejectionOf(plan({ signal: stop.signal }));
    await vi.waitFor(() => expect(held.hits).toBe(1));
    stop.abort(new Error('enough'));
    expect(await running).toMatchObject({ message: 'enough' });
  });
});

describe('progress', () => {
  test('has its totals from the start, never goes back and ends with everything', async () => {
    const { snapshot } = await filled();
    await snapshot({ allowPatterns: 'model*' });
    const reports: Progress[] = [];
    const result = await snapshot({ onProgress: (progress) => reports.push(progress) });
    const total = result.files.reduce((sum, { size }) => sum + size, 0);
    expect(reports[0]).toMatchObject({ files: { done: 0, total: 6 }, bytes: { done: 0, total } });
    for (const [index, report] of reports.entries()) {
      const before = reports[index - 1];
      expect(report.bytes.total).toBe(total);
      expect(report.bytes.done).toBeGreaterThanOrEqual(before?.bytes.done ?? 0);
      expect(report.files.done).toBeGreaterThanOrEqual(before?.files.done ?? 0);
    }
    expect(reports.at(-1)).toMatchObject({
      phase: 'done',
      files: { done: 6, total: 6 },
      bytes: { done: total, total, local: 1_500_000 },
    });
  });

  test('adds up what the files report', async () => {
    const { parts, plan } = await filled();
    const reports: Progress[] = [];
    const reporting: SnapshotParts = {
      ...parts,
      fetchFile: async (file, place, settings) => {
        const at = (done: number, network: number, local: number) =>
          settings.onProgress({ bytes: { done, total: file.size, network, cache: 0, local } } as Progress);
        at(1, 10, 1);
        at(2, 20, 1);
        const outcome = await parts.fetchFile(file, place, { ...settings, onProgress: () => undefined });
        return { ...outcome, bytes: { network: 20, cache: 0, local: 1 } };
      },
    };
    const planned = await plan({ files: ['config.json', 'README.md'] });
    await runSnapshot(reporting, planned, { onProgress: (progress) => reports.push(progress) });
    expect(reports.at(-1)).toMatchObject({
      phase: 'done',
      bytes: { done: 13, total: 13, network: 40, cache: 0, local: 2 },
    });
  });
});

test('a Hub that lists without end of its own is followed page by page', async () => {
  const commit = 'c'.repeat(40);
  const url = await serve((request, response) => {
    const page = Number(new URL(request.url ?? '', 'http://hub').searchParams.get('cursor') ?? 0);
    const entries = Array.from({ length: 10 }, (_, index) => ({
      type: 'file',
      path: `${page * 10 + index}.txt`,
      size: 1,
      oid: 'a'.repeat(40),
    }));
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (page < 4)
      headers.link = `<http://${request.headers.host}${request.url?.split('&cursor')[0]}&cursor=${page + 1}>; rel="next"`;
    response.writeHead(200, headers).end(JSON.stringify(entries));
  });
  const http = makeHttp();
  const hub = new HubClient(http, { endpoint: url, accessToken: async () => undefined });
  const parts = { http, hub, store: new MemoryStore(), platform: 'other' as const, onWarning: () => undefined };
  const plan = await planSnapshot(parts, { repo, revision: commit });
  expect(plan.totals.files).toBe(50);
  expect(plan.requests).toBe(5);
});
