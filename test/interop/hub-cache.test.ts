import { type ChildProcess, spawn } from 'node:child_process';
import {
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { XetClient } from 'xetkit';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { acquirePythonLock, isPythonLockHeld } from '../../src/files/disk/python-lock.node.ts';
import { openRepoStore } from '../../src/files/disk/repo-store.node.ts';
import { DEFAULT_TIMEOUTS, Http } from '../../src/http/http.ts';
import { DEFAULT_RETRY } from '../../src/http/retry-timing.ts';
import { HubClient, type ResolvedFile } from '../../src/hub/client.ts';
import { fileOf, listEntries } from '../../src/hub/listing.ts';
import { parseRepo } from '../../src/hub/repo.ts';
import type { ListEntry } from '../../src/hub/types.ts';
import { carryOut, planPrune, planRemoval } from '../../src/manage/clean.node.ts';
import { scanCache } from '../../src/manage/scan.node.ts';
import { verifyCache } from '../../src/manage/verify.node.ts';
import { filesUnder, sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';
import { fill, KnownHere, quiet } from '../support/stores.ts';
import { hfCommand, run } from './tools.ts';

// One Hub cache folder, and one folder of the user's, that Python's client and xetkit use in turns and at once.

const REPO = 'owner/model';
const VARIANT = 'datasets/owner/variant';
const weights = randomBytes(11_000_000, 1);
const config = new TextEncoder().encode('{"layers": 1}\n');
const files: Record<string, Uint8Array> = {
  'config.json': new TextEncoder().encode('{"layers": 2}\n'),
  'README.md': text(4000, 2),
  'model.safetensors': weights,
  'data/ü text #1.bin': Buffer.concat([Uint8Array.of(0), text(10_600_000, 3)]),
  'empty.txt': new Uint8Array(),
};
const paths = Object.keys(files).sort();
/** An empty file needs no fetching. */
const full = paths.filter((path) => files[path]!.length > 0);
const largeBytes = 21_600_001;

let folder: string;
let hub: LocalHub;
/** The first commit has another configuration and nothing else of interest; `main` is the last. */
let commits: [first: string, last: string];
let cacheDir: string;
let localDir: string;
let fresh = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-interop-cache-'));
  hub = await startLocalHub({ dir: join(folder, 'hub') });
  const first = await hub.commitFiles(REPO, { ...files, 'config.json': config });
  const last = await hub.commitFiles(REPO, { 'config.json': files['config.json']! });
  commits = [commitOf(first), commitOf(last)];
  await hub.commitFiles(VARIANT, { 'copy.safetensors': weights, 'öther.txt': config });
});

afterAll(async () => {
  await hub?.close();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => {
  fresh++;
  cacheDir = join(folder, `cache-${fresh}`);
  localDir = join(folder, `local-${fresh}`);
  // What a client remembers of other folders would spare it most requests.
  vi.stubEnv('XETKIT_CACHE', join(folder, `known-${fresh}`));
  hub.resetRequests();
});

afterEach(() => vi.unstubAllEnvs());

const commitOf = (result: unknown) => (typeof result === 'string' ? result : (result as { commit: string }).commit);

interface Failed {
  error: string;
  message: string;
}

function startPython(name: string, args: object, env: NodeJS.ProcessEnv): ChildProcess {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'hub_cache.py');
  const child = spawn(join(dirname(hfCommand()), 'python'), [script], {
    env: { ...process.env, ...pythonEnv(), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin!.write(`${JSON.stringify({ name, arguments: args })}\n`);
  return child;
}

function pythonEnv(): NodeJS.ProcessEnv {
  return {
    HF_ENDPOINT: hub.url,
    HF_HOME: join(folder, 'home'),
    HF_HUB_CACHE: cacheDir,
    HF_TOKEN: 'hf_local',
    HF_HUB_DISABLE_TELEMETRY: '1',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
  };
}

/** Calls a function of hub_cache.py. */
async function python<T = string>(name: string, args: object, env: NodeJS.ProcessEnv = {}): Promise<T> {
  const child = startPython(name, args, env);
  let [stdout, stderr] = ['', ''];
  child.stdout!.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin!.end();
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${name} failed: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T;
}

const offline = { HF_HUB_OFFLINE: '1' };

/** Requests that carry content, and the bytes that they carried. */
function dataRequests(): { count: number; bytes: number } {
  const data = hub.requests.filter(
    ({ kind, method }) => method === 'GET' && /^(xorb|bridge|resolve-cache)$/.test(kind),
  );
  return { count: data.length, bytes: data.reduce((sum, { bytesSent }) => sum + bytesSent, 0) };
}

const api = () =>
  new HubClient(
    new Http({ fetch: (url, init) => fetch(url, init), timeouts: DEFAULT_TIMEOUTS, retry: DEFAULT_RETRY }),
    { endpoint: hub.url, accessToken: async () => undefined },
  );

interface Fetched {
  commit: string;
  /** Files of which content was fetched. */
  wrote: string[];
}

type Fetcher = (repo: string, revision: string, into?: { localDir: string }) => Promise<Fetched>;

/** All files by the modules alone, with content over plain HTTP. */
const byModules: Fetcher = async (name, revision, into) => {
  const repo = parseRepo(name);
  const client = api();
  const commit = await client.commitOf(repo, revision);
  const store = openRepoStore({ cacheDir, localDir: into?.localDir, known: new KnownHere() });
  let entries = await store.tree(repo, commit);
  if (!entries) {
    entries = [];
    for await (const entry of listEntries(client, repo, commit, { recursive: true })) entries.push(entry);
    await store.noteTree(repo, commit, entries);
  }
  await store.noteCommit(repo, revision, commit);
  const wrote: string[] = [];
  const bring = async (entry: ListEntry) => {
    const file = fileOf(client, repo, commit, entry);
    const place = store.place(file, revision);
    if (await place.existing(quiet.signal)) return;
    let waited = false;
    const onWait = () => {
      waited = true;
    };
    const sink = await place.openSink({ ...quiet, onWait });
    try {
      if (waited && (await place.existing(quiet.signal))) return;
      await sink.write(0, await contentOf(file), new Uint8Array());
      await sink.publish('sha256');
      if (file.size > 0) wrote.push(file.path);
    } finally {
      await sink.close();
    }
  };
  await Promise.all(entries.filter(({ type }) => type === 'file').map(bring));
  return { commit, wrote: wrote.sort() };
};

async function contentOf(file: ResolvedFile): Promise<Uint8Array> {
  const answer = await fetch(file.url);
  if (!answer.ok) throw new Error(`${file.url} answered with ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

interface SnapshotOutcome {
  commit: string;
  files: { path: string; bytes: { network: number } }[];
}

/** All files by the client as it ships. */
const byClient: Fetcher = async (repo, revision, into) => {
  await using client = new XetClient({ endpoint: hub.url, accessToken: '', cacheDir });
  const { commit, files: brought } = await (
    client as unknown as { snapshot(options: object): Promise<SnapshotOutcome> }
  ).snapshot({ repo, revision, ...into });
  return {
    commit,
    wrote: brought
      .filter(({ bytes }) => bytes.network > 0)
      .map(({ path }) => path)
      .sort(),
  };
};

const hasSnapshot = 'snapshot' in XetClient.prototype;

async function expectFiles(at: string): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    expect(sha256(await readFile(join(at, path))), path).toBe(sha256(bytes));
  }
}

interface PythonScan {
  size: number;
  warnings: string[];
  unfinished: string[];
  detachedBytes: number;
  repos: {
    type: string;
    name: string;
    size: number;
    blobs: number;
    lastAccessed: number;
    lastModified: number;
    revisions: { commit: string; refs: string[]; size: number; lastModified: number; files: [string, number][] }[];
  }[];
}

/** Our scan in the form of Python's. Times are in seconds there. */
async function ourScan(): Promise<Omit<PythonScan, 'detachedBytes'>> {
  const { size, warnings, unfinished, repos } = await scanCache(cacheDir);
  return {
    size,
    warnings: warnings.map(({ localPath: path }) => path),
    unfinished: unfinished.map(({ path }) => basename(path)).sort(),
    repos: repos
      .map(({ type, name, size: bytes, blobs, lastAccessed, lastModified, revisions }) => ({
        type,
        name,
        size: bytes,
        blobs,
        lastAccessed: lastAccessed / 1000,
        lastModified: lastModified / 1000,
        revisions: revisions.map((revision) => ({
          commit: revision.commit,
          refs: revision.refs,
          size: revision.size,
          lastModified: revision.lastModified / 1000,
          files: revision.files.map(({ file, size: length }) => [file, length] as [string, number]).sort(),
        })),
      }))
      .sort((a, b) => `${a.type} ${a.name}`.localeCompare(`${b.type} ${b.name}`)),
  };
}

const rounded = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (key, each: unknown) =>
    /^last/.test(key) ? Math.round(Number(each) * 100) : each,
  );

/** The cache folder is whole and clean, and both say the same of it. */
async function expectHealthy(): Promise<PythonScan> {
  const theirs = await python<PythonScan>('scan', { cache_dir: cacheDir });
  expect(theirs.warnings).toEqual([]);
  const { detachedBytes: _, ...comparable } = theirs;
  expect(rounded(await ourScan())).toEqual(rounded(comparable));
  const { wrong, unknown } = await verifyCache(await scanCache(cacheDir));
  expect({ wrong, unknown }).toEqual({ wrong: [], unknown: [] });
  return theirs;
}

describe.each([
  ['the modules', byModules, true],
  ['the client', byClient, hasSnapshot],
] as const)('%s and Python on one cache folder', (_, xetkit, available) => {
  test.skipIf(!available)('Python first: nothing is fetched again', async () => {
    const at = await python('snapshot', { repo: REPO });
    const model = join(cacheDir, 'models--owner--model');
    const look = async () =>
      Promise.all(paths.map(async (path) => (await lstat(join(at, path), { bigint: true })).ctimeNs));
    const before = await look();
    hub.resetRequests();
    expect(await xetkit(REPO, 'main')).toEqual({ commit: commits[1], wrote: [] });
    expect(dataRequests().count).toBe(0);
    expect(hub.requests.map(({ kind }) => kind)).toEqual(['revision']);
    expect(await look()).toEqual(before);
    expect(await readFile(join(model, 'refs', 'main'), 'utf8')).toBe(commits[1]);
    await expectHealthy();
  });

  test.skipIf(!available)('xetkit first: Python needs one request, and none offline', async () => {
    expect(await xetkit(REPO, 'main')).toEqual({ commit: commits[1], wrote: full });
    const snapshot = join(cacheDir, 'models--owner--model', 'snapshots', commits[1]);
    await expectFiles(snapshot);
    hub.resetRequests();
    expect(await python('snapshot', { repo: REPO })).toBe(snapshot);
    expect(hub.requests.map(({ kind }) => kind)).toEqual(['revision']);

    hub.resetRequests();
    const path = 'data/ü text #1.bin';
    expect(await python('snapshot', { repo: REPO }, offline)).toBe(snapshot);
    expect(await python('snapshot', { repo: REPO, local_files_only: true })).toBe(snapshot);
    expect(await python('snapshot', { repo: REPO, revision: commits[1] })).toBe(snapshot);
    expect(await python('download', { repo: REPO, path }, offline)).toBe(join(snapshot, path));
    expect(await python('download', { repo: REPO, path, revision: commits[1] })).toBe(join(snapshot, path));
    expect(await python('download', { repo: REPO, path, local_files_only: true })).toBe(join(snapshot, path));
    expect(await python('cached', { repo: REPO, path })).toBe(join(snapshot, path));
    expect(hub.requests).toEqual([]);
    expect(await python('checksums', { repo: REPO })).toEqual({ checked: paths.length, wrong: [], missing: [] });
    const { repos } = await expectHealthy();
    expect(repos[0]).toMatchObject({ name: REPO, blobs: paths.length, revisions: [{ refs: ['main'] }] });
  });

  test.skipIf(!available)('another commit brings only what is new, whoever brings it', async () => {
    await python('snapshot', { repo: REPO, revision: commits[0] });
    expect((await xetkit(REPO, 'main')).wrote).toEqual(['config.json']);
    hub.resetRequests();
    await python('snapshot', { repo: REPO });
    expect(dataRequests().count).toBe(0);
    const { repos } = await expectHealthy();
    expect(repos[0]).toMatchObject({ blobs: paths.length + 1, revisions: [{}, {}] });
  });

  test.skipIf(!available)('a listing of one is a listing of the other', async () => {
    await xetkit(REPO, 'main');
    await python('snapshot', { repo: VARIANT.slice('datasets/'.length), repo_type: 'dataset' });
    const [model, dataset] = [parseRepo(REPO), parseRepo(VARIANT)];
    const described = async (repo: typeof model) => {
      const entries: ListEntry[] = [];
      for await (const entry of listEntries(api(), repo, 'main', { recursive: true })) entries.push(entry);
      return entries.filter(({ type }) => type === 'file').sort((a, b) => (a.path < b.path ? -1 : 1));
    };
    const ours = (await described(model)).map(({ path, size, oid, xetHash }) => ({
      path,
      size,
      oid,
      xetHash: xetHash ?? null,
    }));
    expect(await python('tree', { repo: REPO }, offline)).toEqual(ours);

    const store = openRepoStore({ cacheDir, known: new KnownHere() });
    const commit = (await store.commitOf(dataset, 'main')) ?? '';
    expect(await store.tree(dataset, commit)).toEqual(await described(dataset));
    // To the letter: it could be either one's.
    const tree = join(cacheDir, 'datasets--owner--variant', 'trees', `${commit}.json`);
    const theirs = await readFile(tree, 'utf8');
    await unlink(tree);
    await store.noteTree(dataset, commit, await described(dataset));
    expect(await readFile(tree, 'utf8')).toBe(theirs);
  });

  test.skipIf(!available)('both at once: large content comes once, and all is whole', async () => {
    hub.faults.bytesPerSecond = 20_000_000;
    onTestFinished(() => {
      hub.faults.bytesPerSecond = 0;
    });
    for (let round = 0; round < 3; round++) {
      cacheDir = join(folder, `cache-${fresh}-${round}`);
      vi.stubEnv('XETKIT_CACHE', join(folder, `known-${fresh}-${round}`));
      hub.resetRequests();
      const theirs = python('snapshot', { repo: REPO });
      // Python takes its time to start: from when its listing has been asked for, it is downloading.
      await vi.waitFor(() => expect(hub.requests.map(({ kind }) => kind)).toContain('tree'), { timeout: 30_000 });
      await new Promise((resolve) => setTimeout(resolve, round * 150));
      const [at, { commit }] = await Promise.all([theirs, xetkit(REPO, 'main')]);
      expect(at).toBe(join(cacheDir, 'models--owner--model', 'snapshots', commit));
      await expectFiles(at);
      // Once, and whatever was asked for a second time as it was slow to come.
      expect(dataRequests().bytes).toBeLessThan(largeBytes * 1.5);
      const { unfinished } = await expectHealthy();
      expect(unfinished).toEqual([]);
    }
  });

  test.skipIf(!available)('without links both find what the other one has copied', async () => {
    vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1');
    await python('download', { repo: REPO, path: 'model.safetensors' });
    expect((await xetkit(REPO, 'main')).wrote).toEqual(full.filter((path) => path !== 'model.safetensors'));
    hub.resetRequests();
    const at = await python('snapshot', { repo: REPO });
    expect(dataRequests().count).toBe(0);
    for (const path of paths) expect((await lstat(join(at, path))).isFile(), path).toBe(true);
    expect(await python('scan', { cache_dir: cacheDir })).toMatchObject({ warnings: [] });
  });
});

describe.each([
  ['the modules', byModules, true],
  ['the client', byClient, hasSnapshot],
] as const)('%s and Python on one folder of the user', (_, xetkit, available) => {
  test.skipIf(!available)('Python first: nothing is fetched again', async () => {
    await python('snapshot', { repo: REPO, local_dir: localDir });
    hub.resetRequests();
    expect((await xetkit(REPO, 'main', { localDir })).wrote).toEqual([]);
    expect(hub.requests.map(({ kind }) => kind)).toEqual(['revision']);
    await expectFiles(localDir);
  });

  test.skipIf(!available)('xetkit first: Python fetches nothing, and asks nothing for a commit', async () => {
    expect((await xetkit(REPO, 'main', { localDir })).wrote).toEqual(full);
    await expectFiles(localDir);
    expect(await filesUnder(cacheDir)).toEqual([]);
    hub.resetRequests();
    expect(await python('snapshot', { repo: REPO, revision: commits[1], local_dir: localDir })).toBe(localDir);
    expect(hub.requests).toEqual([]);
    await python('snapshot', { repo: REPO, local_dir: localDir });
    expect(hub.requests.map(({ kind }) => kind)).toEqual(['revision']);
    expect(await python('snapshot', { repo: REPO, local_dir: localDir }, offline)).toBe(localDir);
    await expectFiles(localDir);
    expect(await python('checksums', { repo: REPO, local_dir: localDir })).toMatchObject({ wrong: [], missing: [] });
  });

  test.skipIf(!available)('a file that somebody changed is replaced by either', async () => {
    await xetkit(REPO, 'main', { localDir });
    const spoil = async () => {
      await writeFile(join(localDir, 'README.md'), 'changed\n');
      const later = new Date(Date.now() + 10_000);
      await utimes(join(localDir, 'README.md'), later, later);
    };
    await spoil();
    await python('snapshot', { repo: REPO, local_dir: localDir });
    await expectFiles(localDir);
    await spoil();
    expect((await xetkit(REPO, 'main', { localDir })).wrote).toEqual(['README.md']);
    await expectFiles(localDir);
  });

  test.skipIf(!available)('what the cache folder has is not fetched', async () => {
    await python('snapshot', { repo: REPO });
    hub.resetRequests();
    expect((await xetkit(REPO, 'main', { localDir })).wrote).toEqual([]);
    expect(dataRequests().count).toBe(0);
    await expectFiles(localDir);
    await python('snapshot', { repo: REPO, revision: commits[1], local_dir: localDir });
    expect(dataRequests().count).toBe(0);
  });

  test.skipIf(!available)('both at once: all is whole', async () => {
    hub.faults.bytesPerSecond = 20_000_000;
    onTestFinished(() => {
      hub.faults.bytesPerSecond = 0;
    });
    const theirs = python('snapshot', { repo: REPO, local_dir: localDir });
    await vi.waitFor(() => expect(hub.requests.map(({ kind }) => kind)).toContain('tree'), { timeout: 30_000 });
    await Promise.all([theirs, xetkit(REPO, 'main', { localDir })]);
    await expectFiles(localDir);
    hub.resetRequests();
    await python('snapshot', { repo: REPO, revision: commits[1], local_dir: localDir });
    expect((await xetkit(REPO, commits[1], { localDir })).wrote).toEqual([]);
    expect(hub.requests).toEqual([]);
    expect((await filesUnder(localDir)).filter((path) => path.includes('incomplete'))).toEqual([]);
  });
});

describe('what is known to be missing', () => {
  test('is known to both', async () => {
    const repo = parseRepo(REPO);
    const store = openRepoStore({ cacheDir, known: new KnownHere() });
    const failed = await python<Failed>('download', { repo: REPO, path: 'sub/none.json' });
    expect(failed.error).toMatch(/EntryNotFound/);
    expect(await store.knownMissing(repo, commits[1], 'sub/none.json')).toBe(true);
    await store.noteCommit(repo, 'main', commits[1]);
    await store.noteMissing(repo, commits[1], 'sub/neither.json');
    expect(await python('cached', { repo: REPO, path: 'sub/neither.json' })).toBe('missing');
    expect(await python('cached', { repo: REPO, path: 'sub/unknown.json' })).toBeNull();
    expect((await python<PythonScan>('scan', { cache_dir: cacheDir })).warnings).toEqual([]);
  });
});

describe('locks', () => {
  const lockOf = (bytes: Uint8Array) => join(cacheDir, '.locks', 'models--owner--model', `${sha256(bytes)}.lock`);

  test('what Python holds is waited for', async () => {
    const lock = lockOf(weights);
    await mkdir(dirname(lock), { recursive: true });
    const holder = startPython('hold', { path: lock }, {});
    await new Promise((resolve) => holder.stdout!.once('data', resolve));
    expect(await isPythonLockHeld(lock)).toBe(true);
    const repo = parseRepo(REPO);
    const store = openRepoStore({ cacheDir, known: new KnownHere() });
    const file = await api().resolve(repo, 'main', 'model.safetensors');
    const onWait = vi.fn();
    let done = false;
    const filling = fill(store.place(file, 'main'), weights, onWait).finally(() => {
      done = true;
    });
    await vi.waitFor(() => expect(onWait).toHaveBeenCalledTimes(1), { timeout: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(done).toBe(false);
    holder.stdin!.end();
    await filling;
    expect(await isPythonLockHeld(lock)).toBe(false);
  });

  test('Python waits for what xetkit holds, and then finds the file', async () => {
    const repo = parseRepo(REPO);
    const store = openRepoStore({ cacheDir, known: new KnownHere() });
    const file = await api().resolve(repo, 'main', 'model.safetensors');
    const sink = await store.place(file, 'main').openSink(quiet);
    let done = false;
    hub.resetRequests();
    const theirs = python('download', { repo: REPO, path: file.path }).finally(() => {
      done = true;
    });
    await vi.waitFor(() => expect(hub.requests.map(({ kind }) => kind)).toContain('resolve'), { timeout: 30_000 });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(done).toBe(false);
    await sink.write(0, weights, new Uint8Array());
    const path = await sink.publish('sha256');
    await sink.close();
    expect(await theirs).toBe(path);
    expect(dataRequests().count).toBe(0);
    await expectHealthy();
  });

  test('are let go by a Python that is killed', async () => {
    const lock = lockOf(weights);
    await mkdir(dirname(lock), { recursive: true });
    const holder = startPython('hold', { path: lock }, {});
    await new Promise((resolve) => holder.stdout!.once('data', resolve));
    const onWait = vi.fn(() => void holder.kill('SIGKILL'));
    const ours = await acquirePythonLock(lock, { signal: quiet.signal, onWait });
    expect(onWait).toHaveBeenCalledTimes(1);
    await ours?.release();
  });
});

describe('content that repositories share', () => {
  const variant = { repo: 'owner/variant', path: 'copy.safetensors', repo_type: 'dataset' };

  test('Python brings it, another repository takes it, Python finds it there', async () => {
    await python('download', { repo: REPO, path: 'model.safetensors' });
    hub.resetRequests();
    expect((await byModules(VARIANT, 'main')).wrote).toEqual(['öther.txt']);
    expect(dataRequests().bytes).toBeLessThan(1000);
    await python('download', variant);
    expect(await python('download', variant, offline)).toContain('copy.safetensors');
    const { size, repos } = await expectHealthy();
    expect(repos.map(({ blobs }) => blobs)).toEqual([2, 1]);
    expect(size).toBe(weights.length + config.length);
  });

  test('xetkit brings it, Python takes it', async () => {
    await python('download', { repo: REPO, path: 'data/ü text #1.bin' });
    await byModules(VARIANT, 'main');
    hub.resetRequests();
    await python('download', { repo: REPO, path: 'model.safetensors' });
    expect(dataRequests().count).toBe(0);
    await expectHealthy();
  });

  test('stays as long as one repository needs it, whoever removes the other', async () => {
    const bring = async () => {
      await python('download', { repo: REPO, path: 'model.safetensors' });
      await byModules(VARIANT, 'main');
    };
    await bring();
    expect(await python<number>('delete', { cache_dir: cacheDir, commits: [commits[1]] })).toBe(0);
    expect((await expectHealthy()).size).toBe(weights.length + config.length);
    await bring();
    const plan = await planRemoval(await scanCache(cacheDir), [{ repo: { type: 'dataset', name: 'owner/variant' } }]);
    expect((await carryOut(plan)).freedBytes).toBe(config.length);
    expect((await expectHealthy()).size).toBe(weights.length);
    expect(sha256(await readFile(await python('download', { repo: REPO, path: 'model.safetensors' }, offline)))).toBe(
      sha256(weights),
    );
    const last = await planRemoval(await scanCache(cacheDir), [{ commit: commits[1] }]);
    expect((await carryOut(last)).freedBytes).toBe(weights.length);
    expect((await expectHealthy()).size).toBe(0);
  });
});

describe('a look at the cache folder', () => {
  test("counts as Python's, also what removing would free", async () => {
    await byModules(REPO, commits[0]);
    await python('snapshot', { repo: REPO });
    await byModules(VARIANT, 'main');
    await writeFile(join(cacheDir, 'models--owner--model', 'blobs', `${'a'.repeat(40)}.0123abcd.incomplete`), 'half');
    const { detachedBytes, unfinished } = await expectHealthy();
    expect(detachedBytes).toBe(config.length);
    expect(unfinished).toHaveLength(1);
    const plan = await planPrune(await scanCache(cacheDir), { graceMs: 0, unlockedGraceMs: 0 });
    expect(plan.freedBytes).toBe(detachedBytes + 'half'.length);
    await carryOut(plan);
    const after = await expectHealthy();
    expect(after.unfinished).toEqual([]);
    expect(after.repos.flatMap(({ revisions }) => revisions.map(({ refs }) => refs))).toEqual([['main'], ['main']]);
    hub.resetRequests();
    await python('snapshot', { repo: REPO });
    expect(dataRequests().count).toBe(0);
  });

  test('sees the damage that Python sees, and a prune mends it', async () => {
    await byModules(REPO, 'main');
    await byModules(VARIANT, 'main');
    const [model, dataset] = ['models--owner--model', 'datasets--owner--variant'].map((name) => join(cacheDir, name));
    const pointer = join(model!, 'snapshots', commits[1], 'model.safetensors');
    await unlink(join(dirname(pointer), await readlink(pointer)));
    await writeFile(join(dataset!, 'refs', 'gone'), 'f'.repeat(40));
    await mkdir(join(cacheDir, 'models--owner--nothing'));
    await mkdir(join(cacheDir, 'something'));
    await symlink('nowhere', join(cacheDir, 'models--owner--lost'));
    const theirs = await python<PythonScan>('scan', { cache_dir: cacheDir });
    expect(theirs.repos).toEqual([]);
    const ours = await ourScan();
    const damaged = [
      model!,
      dataset!,
      ...['models--owner--nothing', 'something', 'models--owner--lost'].map((name) => join(cacheDir, name)),
    ];
    for (const path of damaged) {
      expect(theirs.warnings.filter((warning) => warning.includes(path)).length, path).toBe(1);
      expect(ours.warnings.filter((warning) => warning.startsWith(path)).length, path).toBe(1);
    }
    expect(theirs.warnings.length).toBe(ours.warnings.length);
    await carryOut(await planPrune(await scanCache(cacheDir), { graceMs: 0, unlockedGraceMs: 0 }));
    const mended = await python<PythonScan>('scan', { cache_dir: cacheDir });
    expect(mended.repos.map(({ name }) => name)).toEqual(['owner/variant', 'owner/model']);
    expect(await python('snapshot', { repo: REPO })).toBe(dirname(pointer));
    await expectFiles(dirname(pointer));
  });

  test('a verification finds what Python does not, and the next download mends it', async () => {
    const at = await python('snapshot', { repo: REPO });
    const blob = join(at, 'model.safetensors');
    const wrong = Uint8Array.from(weights);
    wrong[5_000_000]! ^= 1;
    const { atime, mtime, mode } = await stat(blob);
    const real = join(dirname(blob), await readlink(blob));
    await rm(join(dirname(real), await readlink(real)));
    await writeFile(join(dirname(real), await readlink(real)), wrong, { mode });
    await utimes(blob, atime, mtime);
    expect((await python<PythonScan>('scan', { cache_dir: cacheDir })).warnings).toEqual([]);
    const { wrong: found } = await verifyCache(await scanCache(cacheDir), { repair: true });
    expect(found).toMatchObject([{ etag: sha256(weights), removed: true }]);
    await expectHealthy();
    await python('snapshot', { repo: REPO });
    await expectFiles(at);
    await expectHealthy();
  });

  test("Python's own commands are content with it", async () => {
    await byModules(REPO, 'main');
    for (const args of [
      ['cache', 'ls'],
      ['cache', 'verify', REPO],
      ['cache', 'prune', '--yes'],
    ]) {
      const { code, stdout, stderr } = await run(hfCommand(), args, { env: pythonEnv() });
      expect(code, `${args.join(' ')}: ${stdout} ${stderr}`).toBe(0);
    }
    await expectHealthy();
  });
});
