import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { HubApiError, hfHubDownload, snapshotDownload } from 'xetkit/compat';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { contentUnder, scratch, seen } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

// The words of Python's client, for people who bring programs from there.

let hub: LocalHub;
let first: string;
const big = randomBytes(300_000, 1);
beforeAll(async () => {
  hub = await startLocalHub({ tokens: { hf_reader: { name: 'reader' } } });
  ({ commit: first } = await hub.commitFiles('owner/model', { 'config.json': '{}', 'onnx/model.bin': big }));
  await hub.commitFiles('owner/model', { 'config.json': '{"later": 1}', 'notes/a.txt': 'a', 'notes/b.md': 'b' });
  await hub.commitFiles('datasets/owner/data', { 'rows.csv': 'a,b\n' });
  await hub.commitFiles('owner/secret', { 'a.txt': 'secret' });
  await hub.setRepo('owner/secret', { private: true });
});
afterAll(() => hub.close());

const repoId = 'owner/model';
/** Where to, and from where. */
async function places() {
  return { cacheDir: await scratch(), endpoint: hub.url };
}

describe('hfHubDownload', () => {
  test('gives the path in the cache folder, as Python lays it out', async () => {
    const to = await places();
    const path = await hfHubDownload({ repoId, filename: 'onnx/model.bin', revision: first, ...to });
    expect(path).toBe(join(to.cacheDir, 'models--owner--model/snapshots', first, 'onnx/model.bin'));
    expect(await realpath(path)).toMatch(/\/blobs\/[0-9a-f]{64}$/);
    expect(Buffer.compare(await readFile(path), big)).toBe(0);
  });

  test('takes the folder and the name apart', async () => {
    const path = await hfHubDownload({ repoId, filename: 'model.bin', subfolder: 'onnx', ...(await places()) });
    expect(path.endsWith('/onnx/model.bin')).toBe(true);
  });

  test('takes the type, and null for what is not said', async () => {
    const wanted = { repoId: 'owner/data', filename: 'rows.csv', revision: null, subfolder: null, token: null };
    const path = await hfHubDownload({ ...wanted, repoType: 'dataset', ...(await places()) });
    expect(await readFile(path, 'utf8')).toBe('a,b\n');
  });

  test('puts files into a folder of the caller', async () => {
    const localDir = await scratch();
    const path = await hfHubDownload({ repoId, filename: 'config.json', localDir, ...(await places()) });
    expect(path).toBe(join(localDir, 'config.json'));
    expect(await contentUnder(localDir)).toEqual(['config.json']);
  });

  test('asks nobody with localFilesOnly', async () => {
    const to = await places();
    const wanted = { repoId, filename: 'config.json', ...to };
    await expect(hfHubDownload({ ...wanted, localFilesOnly: true })).rejects.toMatchObject({ code: 'OFFLINE' });
    const path = await hfHubDownload(wanted);
    hub.resetRequests();
    expect(await hfHubDownload({ ...wanted, localFilesOnly: true })).toBe(path);
    expect(hub.requests).toEqual([]);
  });

  test('fetches again with forceDownload', async () => {
    const wanted = { repoId, filename: 'onnx/model.bin', ...(await places()) };
    await hfHubDownload(wanted);
    hub.resetRequests();
    await hfHubDownload(wanted);
    expect(seen(hub, 'xorb')).toEqual([]);
    await hfHubDownload({ ...wanted, forceDownload: true });
    expect(seen(hub, 'xorb').length).toBeGreaterThan(0);
    await expect(hfHubDownload({ ...wanted, forceDownload: true, localFilesOnly: true })).rejects.toThrow(TypeError);
  });

  test('takes the token of the environment, one of its own, or none', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_reader');
    const wanted = { repoId: 'owner/secret', filename: 'a.txt', endpoint: hub.url };
    const own = async (token?: string | boolean) =>
      readFile(await hfHubDownload({ ...wanted, token, cacheDir: await scratch() }), 'utf8');
    expect(await own()).toBe('secret');
    expect(await own(true)).toBe('secret');
    await expect(own(false)).rejects.toThrow(HubApiError);
    await expect(own('hf_wrong')).rejects.toMatchObject({ statusCode: 401 });
    vi.unstubAllEnvs();
    expect(await own('hf_reader')).toBe('secret');
  });

  test.each([
    ['no file', { filename: 'nope' }, 404],
    ['no revision', { filename: 'config.json', revision: 'nope' }, 404],
    ['no repository', { repoId: 'owner/none', filename: 'a' }, 401],
  ])('%s is a HubApiError', async (_what, wanted, statusCode) => {
    const error = await hfHubDownload({ repoId, ...wanted, ...(await places()) }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HubApiError);
    expect(error).toMatchObject({ statusCode });
  });
});

describe('snapshotDownload', () => {
  test.each([
    ['a list', { allowPatterns: ['*.json', 'notes/*'], ignorePatterns: ['*.md'] }, ['config.json', 'notes/a.txt']],
    ['one text', { allowPatterns: '*.bin' }, ['onnx/model.bin']],
    ['none', { allowPatterns: null, ignorePatterns: 'o*' }, ['config.json', 'notes/a.txt', 'notes/b.md']],
  ])('takes patterns as %s, in either words', async (_how, patterns, expected) => {
    const { cacheDir, endpoint } = await places();
    const theirs = await snapshotDownload({ repo: repoId, hubUrl: endpoint, cacheDir, ...patterns });
    const pythons = await snapshotDownload({ repoId, endpoint, cacheDir, ...patterns });
    expect(pythons).toBe(theirs);
    expect(await contentUnder(theirs)).toEqual(expected);
  });

  test('into a folder of the caller, a few at a time, told of as it goes', async () => {
    const localDir = await scratch();
    const done: number[] = [];
    const wanted = { repoId: 'owner/data', repoType: 'dataset' as const, localDir, maxWorkers: 1, endpoint: hub.url };
    const path = await snapshotDownload({ ...wanted, onProgress: ({ files }) => done.push(files.done) });
    expect(path).toBe(localDir);
    expect(await contentUnder(localDir)).toEqual(['rows.csv']);
    expect(done.at(-1)).toBe(1);
  });

  test('asks nobody with localFilesOnly', async () => {
    const { cacheDir, endpoint } = await places();
    const path = await snapshotDownload({ repoId, cacheDir, endpoint });
    hub.resetRequests();
    expect(await snapshotDownload({ repoId, cacheDir, endpoint, localFilesOnly: true })).toBe(path);
    expect(await snapshotDownload({ repo: repoId, cacheDir, hubUrl: endpoint, localFilesOnly: true })).toBe(path);
    expect(hub.requests).toEqual([]);
  });

  test('ends with its signal', async () => {
    const reason = new Error('enough');
    const wanted = { repoId, ...(await places()), signal: AbortSignal.abort(reason) };
    await expect(snapshotDownload(wanted)).rejects.toBe(reason);
  });
});
