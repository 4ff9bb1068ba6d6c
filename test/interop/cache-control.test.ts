import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { CacheUsage, XetClient } from 'xetkit';
import type { LocalHub } from 'xetkit/local-hub';
import { clientOf, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';
import { hfCommand, run } from './tools.ts';

// What `client.cache` counts and frees, next to what Python's client says of the same folder before and after.

const MODEL = 'owner/model';
const base = randomBytes(2_000_000, 1);
const table = randomBytes(700_000, 2);

interface PythonScan {
  size: number;
  warnings: string[];
  unfinished: number;
  detachedBytes: number;
  repos: Record<
    string,
    {
      size: number;
      blobs: number;
      /** Seconds since 1970. */
      lastAccessed: number;
      lastModified: number;
      revisions: Record<string, { refs: string[]; size: number; files: number }>;
    }
  >;
}

interface Setup {
  hub: LocalHub;
  client: XetClient;
  cacheDir: string;
  commits: string[];
  python<T>(name: string, args?: object): Promise<T>;
}

/** A model of which xetkit brought some commits and Python others, a data set, and a space. */
async function filled(): Promise<Setup> {
  const hub = await hubFor();
  const cacheDir = join(await scratch(), 'hub');
  const home = await scratch();
  const client = clientOf(hub, { cacheDir });
  const script = join(dirname(fileURLToPath(import.meta.url)), 'cache_control.py');
  const python = async <T>(name: string, args: object = {}): Promise<T> => {
    const { code, stdout, stderr } = await run(join(dirname(hfCommand()), 'python'), [script], {
      env: {
        HF_ENDPOINT: hub.url,
        HF_HOME: home,
        HF_TOKEN: 'hf_local',
        HF_HUB_DISABLE_TELEMETRY: '1',
        HF_HUB_DISABLE_PROGRESS_BARS: '1',
      },
      input: JSON.stringify({ name, arguments: { cache_dir: cacheDir, ...args } }),
    });
    if (code !== 0) throw new Error(`${name} failed: ${stderr}`);
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T;
  };
  const byPython = (repo: string, revision: string, type = 'model') =>
    python('snapshot', { repo, repo_type: type, revision });
  const commits: string[] = [];
  for (let version = 0; version < 4; version++) {
    const files = {
      'base.bin': base,
      'config.json': text(50 + version, version),
      [`v${version % 2}.bin`]: randomBytes(300_000, version),
    };
    const { commit } = await hub.commitFiles(MODEL, files, version === 2 ? { branch: 'side' } : {});
    commits.push(commit);
    const revision = version === 2 ? 'side' : 'main';
    if (version % 2 === 0) await client.snapshot({ repo: MODEL, revision });
    else await byPython(MODEL, revision);
  }
  await byPython(MODEL, commits[1]!);
  await hub.commitFiles('datasets/owner/data', { 'table.bin': table, 'ü text.txt': text(3000, 9) });
  await client.snapshot({ repo: 'datasets/owner/data' });
  await hub.commitFiles('spaces/owner/space', { 'app.py': text(900, 8) });
  await byPython('owner/space', 'main', 'space');
  return { hub, client, cacheDir, commits, python };
}

/** Our numbers in the form of Python's. */
function comparable({ repos, hubBytes, unfinished }: CacheUsage): Omit<PythonScan, 'warnings' | 'detachedBytes'> {
  const unfinishedBytes = unfinished.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    size: hubBytes - unfinishedBytes - repos.reduce((sum, { unusedBytes }) => sum + unusedBytes, 0),
    unfinished: unfinishedBytes,
    repos: Object.fromEntries(
      repos.map(
        ({
          repo,
          type,
          bytes: size,
          blobCount: blobs,
          lastAccessedMs: lastAccessed,
          lastModifiedMs: lastModified,
          revisions,
        }) => [
          `${type} ${repo.replace(/^(?:datasets|spaces)\//, '')}`,
          {
            size,
            blobs,
            lastAccessed: lastAccessed / 1000,
            lastModified: lastModified / 1000,
            revisions: Object.fromEntries(
              revisions.map((revision) => [
                revision.commit,
                { refs: revision.refs, size: revision.bytes, files: revision.fileCount },
              ]),
            ),
          },
        ],
      ),
    ),
  };
}

/** Times as Python rounds them. */
const rounded = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (key, each: unknown) =>
    /^last/.test(key) ? Math.round(Number(each) * 100) : each,
  );

/** Both count the same, and Python has nothing to say against the folder. */
async function expectAgreement({ client, python }: Setup): Promise<{ usage: CacheUsage; scan: PythonScan }> {
  const scan = await python<PythonScan>('scan');
  const usage = await client.cache.usage();
  const { warnings, detachedBytes: _, ...theirs } = scan;
  expect(warnings).toEqual([]);
  expect(usage.warnings).toEqual([]);
  expect(rounded(comparable(usage))).toEqual(rounded(theirs));
  return { usage, scan };
}

describe('what is in a cache folder', () => {
  test('is counted as Python counts it, also what a prune frees', async () => {
    const setup = await filled();
    const { client, cacheDir, python, commits } = setup;
    await writeFile(join(cacheDir, 'models--owner--model', 'blobs', `${'a'.repeat(40)}.0123abcd.incomplete`), 'half');
    const before = await expectAgreement(setup);
    const free = before.scan.detachedBytes + 'half'.length;
    expect(before.usage.prunable.bytes).toBe(free);
    expect(before.usage.prunable.revisions).toBe(2);
    const planned = await client.cache.prune({ dryRun: true });
    expect(planned.freedBytes).toBe(free);
    expect(await client.cache.prune()).toEqual({ ...planned, dryRun: false });
    const after = await expectAgreement(setup);
    expect(before.scan.size - after.scan.size).toBe(before.scan.detachedBytes);
    expect(after.scan).toMatchObject({ detachedBytes: 0, unfinished: 0 });
    const refs = Object.values(after.scan.repos['model owner/model']!.revisions).flatMap((revision) => revision.refs);
    expect(refs.sort()).toEqual(['main', 'side']);
    const at = await python<string>('snapshot', {
      repo: MODEL,
      repo_type: 'model',
      revision: 'main',
      local_only: true,
    });
    expect(at).toContain(commits[3]);
    expect(sha256(await readFile(join(at, 'base.bin')))).toBe(sha256(base));
  });

  test('is removed with as much freed as Python expects, and no complaints of its own', async () => {
    const setup = await filled();
    const { client, commits, python } = setup;
    let { scan } = await expectAgreement(setup);
    for (const target of [commits[0]!, `${MODEL}@side`, 'datasets/owner/data', commits[3]!, MODEL]) {
      const { revisions } = await client.cache.remove(target, { dryRun: true });
      const expected = await python<number>('expected', { commits: revisions.map(({ commit }) => commit) });
      expect((await client.cache.remove(target)).freedBytes, target).toBe(expected);
      const after = (await expectAgreement(setup)).scan;
      expect(scan.size - after.size, target).toBe(expected);
      scan = after;
    }
    expect(Object.keys(scan.repos)).toEqual(['space owner/space']);
  });

  test("is verified and repaired, and Python's next download mends it", async () => {
    const setup = await filled();
    const { hub, client, cacheDir, commits, python } = setup;
    const { hubBytes } = (await expectAgreement(setup)).usage;
    expect(await client.cache.verify()).toMatchObject({ bytes: hubBytes, wrong: [], unknown: [], warnings: [] });
    const blob = join(cacheDir, 'models--owner--model', 'blobs', sha256(base));
    const wrong = Uint8Array.from(base);
    wrong[1_000_000]! ^= 1;
    await rm(blob);
    await writeFile(blob, wrong);
    expect((await python<PythonScan>('scan')).warnings).toEqual([]);
    const { wrong: found } = await client.cache.verify({ repair: true });
    expect(found).toMatchObject([{ repo: MODEL, localPath: blob, removed: true }]);
    await expectAgreement(setup);
    hub.resetRequests();
    const at = await python<string>('snapshot', { repo: MODEL, repo_type: 'model', revision: commits[3]! });
    expect(seen(hub, 'xorb').length).toBeGreaterThan(0);
    expect(sha256(await readFile(join(at, 'base.bin')))).toBe(sha256(base));
    await expectAgreement(setup);
  });
});
