import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { XetClient } from 'xetkit';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { chunkFile } from '../../src/codec/chunk-file.node.ts';
import { chunkCount, chunkHashHex, chunkLength } from '../../src/core/chunks.ts';
import { sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { native, realWeights } from './tools.ts';

// Weights of a real model, and the same with 5 % of them changed, both put there by the native client.

const NAME = 'model.safetensors';
const BASE = 'owner/base';
const TUNED = 'owner/tuned';
/** One repository whose second commit is the variant. */
const UPDATED = 'owner/updated';
const SHARE = 0.05;
const RUNS = 4;

let folder: string;
let hub: LocalHub;
let base: Buffer;
let tuned: Buffer;
/** Bytes of the chunks of the variant that the base does not have. */
let changedBytes: number;
let firstCommit: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-interop-variant-'));
  hub = await startLocalHub({ dir: join(folder, 'hub') });
  const write = async (repo: string, bytes: Uint8Array) => {
    const at = join(folder, 'sources', repo);
    await mkdir(at, { recursive: true });
    await writeFile(join(at, NAME), bytes);
    const env = { HF_ENDPOINT: hub.url, HF_HOME: join(folder, 'uploader'), HF_TOKEN: 'hf_local' };
    return native<string>('upload_folder', { endpoint: hub.url, repo, repo_type: 'model', folder: at }, env);
  };
  const original = join(folder, NAME);
  await realWeights(original);
  base = await readFile(original);
  tuned = Buffer.from(base);
  for (let run = 0; run < RUNS; run++) {
    const length = Math.floor((base.length * SHARE) / RUNS);
    tuned.set(randomBytes(length, 100 + run), Math.floor((base.length * (run + 0.5)) / RUNS));
  }
  await write(BASE, base);
  await write(TUNED, tuned);
  firstCommit = await write(UPDATED, base);
  await write(UPDATED, tuned);

  const signal = new AbortController().signal;
  const known = new Set<string>();
  const { records } = await chunkFile(original, signal);
  for (let index = 0; index < chunkCount(records); index++) known.add(chunkHashHex(records, index));
  const other = await chunkFile(join(folder, 'sources', TUNED, NAME), signal);
  changedBytes = 0;
  for (let index = 0; index < chunkCount(other.records); index++) {
    if (!known.has(chunkHashHex(other.records, index))) changedBytes += chunkLength(other.records, index);
  }
  expect(changedBytes / base.length).toBeGreaterThan(SHARE);
  expect(changedBytes / base.length).toBeLessThan(SHARE * 1.5);
});

afterAll(async () => {
  await hub?.close();
  await rm(folder, { recursive: true, force: true });
});

let users = 0;
/** A machine that has seen nothing yet. */
function machine() {
  const home = join(folder, `machine-${++users}`);
  const cacheDir = join(home, 'hub');
  const client = () =>
    new XetClient({ endpoint: hub.url, accessToken: '', cacheDir, chunkCache: { dir: join(home, 'xetkit') } });
  return { home, cacheDir, client };
}

async function bytesOnDisk(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

const fetched = () =>
  hub.requests.filter(({ kind }) => kind === 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);

test('a variant costs its difference, a repeat nothing, and nothing is stored twice', async () => {
  const { home, client } = machine();
  await using one = client();
  const first = await one.downloadFile({ repo: BASE, path: NAME });
  expect(first.bytes.network).toBeGreaterThan(0.5 * base.length);
  hub.resetRequests();
  await using two = client();
  const second = await two.downloadFile({ repo: TUNED, path: NAME });
  expect(sha256(await readFile(second.localPath))).toBe(sha256(tuned));
  expect(second.verified).toBe('xet');
  console.log(
    `variant: ${fetched()} bytes fetched, ${changedBytes} bytes of chunks changed, ${second.bytes.cache} of ${second.size} from this machine`,
  );
  expect(fetched()).toBe(second.bytes.network);
  expect(fetched()).toBeLessThanOrEqual(1.15 * changedBytes);
  expect(second.bytes.cache).toBeGreaterThan(0.9 * base.length);
  const { bytes, hitRates } = two.metrics();
  expect(bytes).toMatchObject({ cache: second.bytes.cache, content: tuned.length });
  console.log(`hit rate: ${(hitRates.all * 100).toFixed(1)} %`);
  expect(hitRates.all).toBe(second.bytes.cache / tuned.length);

  const disk = await bytesOnDisk(home);
  console.log(`disk: ${disk} bytes for ${base.length + tuned.length} bytes of files`);
  expect(disk).toBeLessThanOrEqual(1.02 * (base.length + tuned.length));

  hub.resetRequests();
  for (const repo of [BASE, TUNED]) {
    const again = await two.downloadFile({ repo, path: NAME });
    expect(again.bytes).toEqual({ network: 0, cache: 0, local: base.length });
  }
  expect(fetched()).toBe(0);
});

test('the other way round, into folders of the user', async () => {
  const { home, client } = machine();
  await using one = client();
  await one.downloadFile({ repo: TUNED, path: NAME, localDir: join(home, 'tuned') });
  hub.resetRequests();
  const second = await one.downloadFile({ repo: BASE, path: NAME, localDir: join(home, 'base') });
  expect(sha256(await readFile(second.localPath))).toBe(sha256(base));
  expect(fetched()).toBeLessThanOrEqual(1.15 * changedBytes);
});

test('what Python fetched of another commit is used', async () => {
  const { home, cacheDir, client } = machine();
  const env = { HF_ENDPOINT: hub.url, HF_HOME: home };
  await native(
    'hub_download',
    { endpoint: hub.url, repo: UPDATED, path: NAME, cache_dir: cacheDir, revision: firstCommit },
    env,
  );
  hub.resetRequests();
  await using one = client();
  const updated = await one.downloadFile({ repo: UPDATED, path: NAME });
  expect(sha256(await readFile(updated.localPath))).toBe(sha256(tuned));
  expect(fetched()).toBeLessThanOrEqual(1.15 * changedBytes);
});

test('what Python fetched is used once it was met', async () => {
  const { home, cacheDir, client } = machine();
  const env = { HF_ENDPOINT: hub.url, HF_HOME: home };
  await native('hub_download', { endpoint: hub.url, repo: BASE, path: NAME, cache_dir: cacheDir }, env);
  hub.resetRequests();
  await using one = client();
  expect((await one.downloadFile({ repo: BASE, path: NAME })).bytes).toEqual({
    network: 0,
    cache: 0,
    local: base.length,
  });
  const second = await one.downloadFile({ repo: TUNED, path: NAME });
  expect(sha256(await readFile(second.localPath))).toBe(sha256(tuned));
  expect(fetched()).toBeLessThanOrEqual(1.15 * changedBytes);
});

test('a range of a known file comes from here, and is right', async () => {
  const { client } = machine();
  await using one = client();
  await one.downloadFile({ repo: BASE, path: NAME });
  hub.resetRequests();
  const file = await one.open({ repo: BASE, path: NAME });
  expect(sha256(await file.read(40_000_001, 45_000_000))).toBe(sha256(base.subarray(40_000_001, 45_000_000)));
  expect(hub.requests.filter(({ kind }) => kind === 'xorb' || kind === 'reconstruction')).toEqual([]);
});
