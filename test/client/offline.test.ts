import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import type { FaultRule } from '../../src/entries/local-hub.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { scratch, sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes, text } from '../support/samples.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const FOLDER = 'models--owner--model';
// Less than what other Hub clients are kept out for: locks of theirs cost a process.
const weights = randomBytes(900_000, 1);
const config = text(500, 2);
const files = { 'weights.bin': weights, 'config.json': config };

afterEach(() => vi.unstubAllEnvs());

/** Two ways to have files, each with both files of a commit in it. */
const stores = { 'the cache folder': 'cacheDir', 'a folder': 'localDir' } as const;
type Store = (typeof stores)[keyof typeof stores];

async function setUp(store: Store = 'cacheDir') {
  const hub = await sourceHub();
  const { commit } = await hub.commitFiles(repo, files);
  const folder = await scratch();
  const cacheDir = store === 'cacheDir' ? folder : await scratch();
  const warnings: string[] = [];
  const where = store === 'localDir' ? { localDir: folder } : {};
  /** A new client each time: nobody remembers anything but the disk. */
  const get = (
    path: string,
    target: { revision?: string; force?: boolean; signal?: AbortSignal } = {},
    options?: XetClientOptions,
  ) =>
    sourceClient(hub, { cacheDir, onWarning: (message) => warnings.push(message), ...options }).downloadFile({
      ...{ repo, path, ...where, ...target },
    });
  for (const path of Object.keys(files)) await get(path);
  hub.resetRequests();
  return { hub, commit, folder, cacheDir, warnings, get };
}

const kinds = (hub: LocalHub) => hub.requests.map(({ kind }) => kind);

describe.each(Object.entries(stores))('a file that is here, in %s', (_what, store) => {
  test('at a commit costs no request, and at a branch one', async () => {
    const { hub, commit, get, warnings } = await setUp(store);
    for (const [path, bytes] of Object.entries(files)) {
      const pinned = await get(path, { revision: commit });
      expect(kinds(hub)).toEqual([]);
      expect(pinned).toMatchObject({
        ...{ size: bytes.length, commit, requests: 0 },
        bytes: { network: 0, cache: 0, local: bytes.length },
      });
      expect(sha256(await readFile(pinned.localPath))).toBe(sha256(bytes));
      const branch = await get(path);
      expect(branch).toMatchObject({ localPath: pinned.localPath, etag: pinned.etag, commit, requests: 1 });
      // To where a small file is kept the Hub redirects; that is one answer to the one who asks.
      expect(kinds(hub).filter((kind) => kind !== 'resolve-cache')).toEqual(['resolve']);
      hub.resetRequests();
    }
    expect(warnings).toEqual([]);
  });

  test('is not taken for right without being looked at', async () => {
    const { hub, commit, get } = await setUp(store);
    const { localPath: path } = await get('weights.bin', { revision: commit });
    for (const damage of [() => truncate(path, 5000), () => writeFile(path, randomBytes(weights.length, 9))]) {
      await damage();
      hub.resetRequests();
      const again = await get('weights.bin', { revision: commit });
      expect(kinds(hub)).toContain('xorb');
      expect(sha256(await readFile(again.localPath))).toBe(sha256(weights));
    }
  });

  test('is fetched again where that is wanted, also at a commit', async () => {
    const { hub, commit, get } = await setUp(store);
    const { bytes } = await get('weights.bin', { revision: commit, force: true });
    expect(bytes).toMatchObject({ cache: 0, local: 0 });
    expect(kinds(hub)).toContain('resolve');
    expect(kinds(hub)).toContain('xorb');
  });

  test('serves while no server may be asked, whatever it is asked for by', async () => {
    const { hub, commit, get } = await setUp(store);
    for (const revision of [undefined, 'main', commit]) {
      const { localPath: path, ...result } = await get('weights.bin', { revision }, { offline: true });
      expect(sha256(await readFile(path))).toBe(sha256(weights));
      expect(result).toMatchObject({ commit, size: weights.length, requests: 0 });
    }
    expect(kinds(hub)).toEqual([]);
  });

  test.each<[string, Omit<FaultRule, 'kind'> & FaultRule]>([
    ['does not answer', { kind: 'any', action: 'refuse', times: 1e9 }],
    ['is broken', { kind: 'any', action: 'status', status: 503, times: 1e9 }],
    ['has too much to do', { kind: 'any', action: 'status', status: 429, times: 1e9 }],
  ])('serves while the Hub %s, with a warning', async (_how, fault) => {
    const { hub, commit, get, warnings } = await setUp(store);
    hub.faults.add(fault);
    const { localPath: path, ...result } = await get('weights.bin', {}, { retry: { attempts: 2 } });
    expect(sha256(await readFile(path))).toBe(sha256(weights));
    expect(result).toMatchObject({ commit, bytes: { network: 0, cache: 0, local: weights.length } });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/weights\.bin/);
    expect(warnings[0]).toMatch(new RegExp(commit));
  });

  test('does not serve where the Hub refuses it', async () => {
    const { hub, get, warnings } = await setUp(store);
    for (const [status, code] of [
      // Without a token the Hub says no more of what is not there, or is private.
      [401, 'REPOSITORY_NOT_FOUND'],
      [403, 'FORBIDDEN'],
      [404, 'ENTRY_NOT_FOUND'],
    ] as const) {
      hub.faults.clear();
      const headers = status === 404 ? { 'x-error-code': 'EntryNotFound' } : undefined;
      hub.faults.add({ kind: 'resolve', action: 'status', status, ...(headers && { headers }), times: 1e9 });
      expect(await rejectionOf(get('weights.bin'))).toMatchObject({ name: 'XetError', code });
    }
    expect(warnings).toEqual([]);
  });

  test('that is damaged does not serve while the Hub is away', async () => {
    const { hub, get } = await setUp(store);
    const { localPath: path } = await get('weights.bin');
    await writeFile(path, randomBytes(weights.length, 9));
    hub.faults.add({ kind: 'any', action: 'refuse', times: 1e9 });
    const away = get('weights.bin', {}, { retry: { attempts: 2 } });
    expect(await rejectionOf(away)).toMatchObject({ code: 'NETWORK' });
    const offline = get('weights.bin', {}, { offline: true });
    expect(await rejectionOf(offline)).toMatchObject({ code: 'OFFLINE' });
  });

  test('does not serve in place of one that is to be fetched again', async () => {
    const { hub, get } = await setUp(store);
    hub.faults.add({ kind: 'any', action: 'refuse', times: 1e9 });
    const away = get('weights.bin', { force: true }, { retry: { attempts: 2 } });
    expect(await rejectionOf(away)).toMatchObject({ code: 'NETWORK' });
  });

  test('does not serve whoever has lost patience', async () => {
    const { hub, get } = await setUp(store);
    hub.faults.add({ kind: 'resolve', action: 'stall', afterBytes: 0, times: 1e9 });
    const stop = new AbortController();
    const waiting = rejectionOf(get('weights.bin', { signal: stop.signal }));
    await vi.waitFor(() => expect(kinds(hub)).toEqual(['resolve']));
    stop.abort('enough');
    expect(await waiting).toBe('enough');
  });
});

describe('without a server', () => {
  test('what is not here is OFFLINE, and nobody is asked', async () => {
    const { hub, commit, get } = await setUp();
    await hub.commitFiles(repo, { 'more.bin': weights }, { branch: 'other' });
    hub.resetRequests();
    for (const [path, target] of [
      ['more.bin', {}],
      ['more.bin', { revision: commit }],
      ['weights.bin', { revision: 'other' }],
      ['weights.bin', { revision: 'f'.repeat(40) }],
    ] as const) {
      const error = await rejectionOf(get(path, target, { offline: true }));
      expect(error).toMatchObject({ name: 'XetError', code: 'OFFLINE', retryable: false });
      expect(String(error)).toMatch(new RegExp(path));
    }
    expect(kinds(hub)).toEqual([]);
  });

  test('a file cannot be fetched again while offline, as in a snapshot', async () => {
    const { hub, get } = await setUp();
    const outcome = await rejectionOf(get('weights.bin', { force: true }, { offline: true }));
    expect(outcome).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('force or offline') });
    expect(kinds(hub)).toEqual([]);
  });

  test('nothing else is asked for either', async () => {
    const { hub, commit, cacheDir } = await setUp();
    const client = sourceClient(hub, { cacheDir, offline: true });
    const listing = async () => {
      for await (const _ of client.listFiles({ repo })) break;
    };
    for (const revision of ['main', commit]) {
      const target = { repo, path: 'weights.bin', revision };
      expect(await rejectionOf(client.fileInfo(target))).toMatchObject({ code: 'OFFLINE' });
      expect(await rejectionOf(client.open(target))).toMatchObject({ code: 'OFFLINE' });
    }
    expect(await rejectionOf(listing())).toMatchObject({ code: 'OFFLINE' });
    expect(kinds(hub)).toEqual([]);
  });

  test('a place on the disk is all that is touched: what is not here makes no folder', async () => {
    const { hub } = await setUp();
    const empty = join(await scratch(), 'nothing');
    const client = sourceClient(hub, { cacheDir: empty, offline: true });
    expect(await rejectionOf(client.downloadFile({ repo, path: 'weights.bin' }))).toMatchObject({ code: 'OFFLINE' });
    await expect(readdir(empty)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test.each(['1', 'true', 'ON', 'yes'])('is what HF_HUB_OFFLINE=%s asks for', async (value) => {
    const { hub, get } = await setUp();
    vi.stubEnv('HF_HUB_OFFLINE', value);
    const { localPath: path } = await get('weights.bin');
    expect(sha256(await readFile(path))).toBe(sha256(weights));
    expect(await rejectionOf(get('other.bin'))).toMatchObject({ code: 'OFFLINE' });
    expect(kinds(hub)).toEqual([]);
    // Who says so himself is right.
    await get('weights.bin', {}, { offline: false });
    expect(kinds(hub)).toEqual(['resolve']);
  });

  test.each(['0', 'false', '', 'off'])('is not what HF_HUB_OFFLINE=%j asks for', async (value) => {
    const { hub, get } = await setUp();
    vi.stubEnv('HF_HUB_OFFLINE', value);
    await get('weights.bin');
    expect(kinds(hub)).toEqual(['resolve']);
  });

  test('is what the environment of transformers asks for as well', async () => {
    const { hub, get } = await setUp();
    vi.stubEnv('TRANSFORMERS_OFFLINE', '1');
    await get('weights.bin');
    expect(kinds(hub)).toEqual([]);
  });
});

describe('a file that does not exist', () => {
  const noted = (cacheDir: string, commit: string, path: string) =>
    stat(join(cacheDir, FOLDER, '.no_exist', commit, path)).then(
      (found) => found.isFile() && found.size === 0,
      () => false,
    );

  test.each(['branch', 'commit'])('is noted for the commit, as Python notes it (%s)', async (by) => {
    const { hub, commit, cacheDir, get } = await setUp();
    const target = by === 'commit' ? { revision: commit } : {};
    for (const path of ['none.json', 'deep/er/none.json']) {
      expect(await rejectionOf(get(path, target))).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
      expect(await noted(cacheDir, commit, path)).toBe(true);
    }
    hub.resetRequests();
    // Known without a server; what was never asked for is not.
    const missing = await rejectionOf(get('none.json', target, { offline: true }));
    expect(missing).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
    expect(await rejectionOf(get('never.json', target, { offline: true }))).toMatchObject({ code: 'OFFLINE' });
    expect(kinds(hub)).toEqual([]);
  });

  test('is noted for no commit if there is none', async () => {
    const { cacheDir, get } = await setUp();
    for (const revision of ['nowhere', 'e'.repeat(40)]) {
      expect(await rejectionOf(get('weights.bin', { revision }))).toMatchObject({ code: 'REVISION_NOT_FOUND' });
    }
    await expect(readdir(join(cacheDir, FOLDER, '.no_exist'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('may exist at the next commit', async () => {
    const { hub, get } = await setUp();
    expect(await rejectionOf(get('late.bin'))).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
    await hub.commitFiles(repo, { 'late.bin': weights });
    const { localPath: path } = await get('late.bin');
    expect(sha256(await readFile(path))).toBe(sha256(weights));
  });

  test('is no place to write to for whoever names it so that it leads elsewhere', async () => {
    const { cacheDir, get } = await setUp();
    const before = (await readdir(cacheDir, { recursive: true })).sort();
    for (const path of ['../../../outside', '/../outside', 'a/../../outside', 'a\0b']) {
      expect(await rejectionOf(get(path))).toBeInstanceOf(Error);
    }
    expect((await readdir(cacheDir, { recursive: true })).sort()).toEqual(before);
  });
});

test('a branch that has moved on is asked for, and serves as it was while the Hub is away', async () => {
  const { hub, commit, get, warnings } = await setUp();
  const newer = randomBytes(800_000, 5);
  const { commit: next } = await hub.commitFiles(repo, { 'weights.bin': newer });
  hub.faults.add({ kind: 'any', action: 'refuse', times: 1e9 });
  const before = await get('weights.bin', {}, { retry: { attempts: 2 } });
  expect(before.commit).toBe(commit);
  expect(sha256(await readFile(before.localPath))).toBe(sha256(weights));
  expect(warnings).toHaveLength(1);
  hub.faults.clear();
  const after = await get('weights.bin');
  expect(after.commit).toBe(next);
  expect(sha256(await readFile(after.localPath))).toBe(sha256(newer));
  // The old one is still there for who asks for it.
  hub.resetRequests();
  const pinned = await get('weights.bin', { revision: commit });
  expect(sha256(await readFile(pinned.localPath))).toBe(sha256(weights));
  expect(kinds(hub)).toEqual([]);
  const offline = await get('weights.bin', {}, { offline: true });
  expect(offline.commit).toBe(next);
});

describe('where a whole copy is here', () => {
  const snapshotOf = (hub: LocalHub, cacheDir: string, options: XetClientOptions = {}) => {
    const warnings: string[] = [];
    const client = sourceClient(hub, { cacheDir, onWarning: (warning) => warnings.push(warning), ...options });
    return { client, warnings };
  };

  test.each([
    ['a failing server', { action: 'status', status: 503 }],
    ['a broken connection', { action: 'refuse' }],
  ] as const)('%s is asked twice, for a snapshot and for a file, and the copy is used', async (_, fault) => {
    const hub = await sourceHub();
    await hub.commitFiles(repo, { 'a.txt': text(30, 1), 'b.txt': text(30, 2) });
    const cacheDir = await scratch();
    await snapshotOf(hub, cacheDir).client.snapshot({ repo });
    hub.faults.add({ kind: 'any', times: 1e9, ...fault });
    let retries = 0;
    const { client, warnings } = snapshotOf(hub, cacheDir, { onRetry: () => void retries++ });
    expect((await client.snapshot({ repo })).files).toHaveLength(2);
    expect(retries).toBe(1);
    expect((await client.downloadFile({ repo, path: 'a.txt' })).bytes.local).toBe(30);
    expect(retries).toBe(2);
    expect(warnings).toEqual([
      expect.stringMatching(/Using the copy that is here/),
      expect.stringMatching(/copy that is here/),
    ]);
  });

  test('a refusal says how to use it, and only where it is whole', async () => {
    const hub = await sourceHub({ tokens: { hf_good: { name: 'me', write: true } } });
    await hub.commitFiles(repo, { 'a.txt': text(30, 1), 'b.txt': text(30, 2) });
    await hub.setRepo(repo, { private: true });
    const cacheDir = await scratch();
    const { commit } = await snapshotOf(hub, cacheDir, { accessToken: 'hf_good' }).client.snapshot({
      repo,
      allowPatterns: 'a.txt',
    });
    const { client } = snapshotOf(hub, cacheDir, { accessToken: 'hf_expired' });
    const said = new RegExp(
      `All of it is here as of commit ${commit} of ${repo}: use that with offline \\(--offline\\)\\.$`,
    );
    expect(await rejectionOf(client.snapshot({ repo, allowPatterns: 'a.txt' }))).toMatchObject({
      message: expect.stringMatching(said),
    });
    expect(await rejectionOf(client.downloadFile({ repo, path: 'a.txt' }))).toMatchObject({
      message: expect.stringMatching(said),
    });
    expect(await rejectionOf(client.snapshot({ repo }))).toMatchObject({
      message: expect.not.stringContaining('is here'),
    });
    expect(await rejectionOf(client.downloadFile({ repo, path: 'b.txt' }))).toMatchObject({
      message: expect.not.stringContaining('is here'),
    });
  });
});
