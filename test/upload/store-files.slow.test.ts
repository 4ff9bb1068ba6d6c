import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { memoryRecipeStore } from '../../src/cache/recipes/recipe-store.memory.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import { MemoryBudget } from '../../src/core/budget.ts';
import { chunkCount, totalLength } from '../../src/core/chunks.ts';
import { ZERO_HASH } from '../../src/core/hash.ts';
import { readRange } from '../../src/download/read-range.ts';
import { nodeContentHash } from '../../src/files/disk/content-check.node.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { type StoreContext, type StoreCounts, type StoreOptions, storeFiles } from '../../src/upload/store-files.ts';
import { commit, same } from '../local-hub/helpers.ts';
import { chunksOf, engineFor } from '../support/engines.ts';
import { codecWorkers } from '../support/fake-workers.ts';
import { sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { partsFor, pathsOf, REPO, uploadHub } from '../support/stations.ts';

const MIB = 1024 * 1024;

/** Bytes in pieces of odd lengths; the array behind them is used again. */
async function* inPieces(bytes: Uint8Array, pieceBytes = 700_001): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(pieceBytes);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const part = bytes.subarray(at, at + pieceBytes);
    piece.set(part);
    yield piece.subarray(0, part.length);
  }
}

function uploaderFor(hub: LocalHub, parts: Partial<StoreContext> = {}) {
  const budget = parts.budget ?? new MemoryBudget(256 * MIB, 64 * MIB);
  const context = { ...partsFor(hub), makeHash: () => nodeContentHash('sha256'), ...parts, budget };
  const upload = (files: Uint8Array[], options: Partial<StoreOptions> = {}) =>
    storeFiles(
      context,
      files.map((bytes) => inPieces(bytes)),
      { signal: new AbortController().signal, ...options },
    );
  return { context, budget, upload };
}

/** Downloads a file that is committed under its sha256. */
async function download(hub: LocalHub, path: string): Promise<Uint8Array> {
  const { engine, hubClient } = engineFor(hub);
  const file = await hubClient.resolve(REPO, 'main', path);
  const parts: Uint8Array[] = [];
  const read = readRange(engine, file, { start: 0, end: file.size }, { signal: new AbortController().signal });
  for await (const { bytes } of read) parts.push(bytes);
  return Buffer.concat(parts);
}

async function expectStored(hub: LocalHub, files: Uint8Array[]): Promise<void> {
  const operations = files.map((bytes, at) => ({
    key: 'lfsFile',
    value: { path: `${at}.bin`, algo: 'sha256', oid: sha256(bytes), size: bytes.length },
  }));
  expect((await commit(hub, REPO.name, operations)).status).toBe(200);
  for (const [at, bytes] of files.entries()) expect(same(await download(hub, `${at}.bin`), bytes)).toBe(true);
}

describe('files that are stored and downloaded again', () => {
  const kinds: [string, () => Uint8Array[]][] = [
    ['random', () => [randomBytes(9_000_000, 1)]],
    ['compressible', () => [text(6_000_000, 2)]],
    ['float', () => [weights(8, 3)]],
    ['constant', () => [new Uint8Array(5_000_000).fill(7)]],
    ['tiny', () => [Uint8Array.of(0), text(100, 4), randomBytes(8192, 5), randomBytes(131_072, 6)]],
    ['many small', () => Array.from({ length: 60 }, (_, seed) => text(2000 + seed * 700, 100 + seed))],
  ];
  test.each(kinds)('%s content is stored, and downloads are identical', async (_, make) => {
    const hub = await uploadHub({ checkSha256: true });
    const files = make();
    const { upload, budget } = uploaderFor(hub);
    const result = await upload(files);
    expect(result.files.map(({ size, sha256 }) => ({ size, sha256 }))).toEqual(
      files.map((bytes) => ({ size: bytes.length, sha256: sha256(bytes) })),
    );
    for (const [at, file] of result.files.entries()) {
      const { records } = await chunksOf(files[at] ?? new Uint8Array());
      expect(same(file.records, records)).toBe(true);
      expect(file.terms.reduce((sum, term) => sum + term.unpackedLength, 0)).toBe(file.size);
      expect(totalLength(file.records)).toBe(file.size);
    }
    expect(budget.usedBytes).toBe(0);
    await expectStored(hub, files);
  });

  test('a file larger than a xorb is stored through workers within a small memory budget', async () => {
    const hub = await uploadHub();
    const bytes = randomBytes(80 * MIB, 8);
    const { spawn } = codecWorkers(loadCodec);
    const pool = new CodecPool({ size: 2, load: loadCodec, spawn });
    onTestFinished(() => pool.close());
    const small = new MemoryBudget(32 * MIB, 8 * MIB);
    const { upload } = uploaderFor(hub, { pool, budget: small });
    const { files, counts } = await upload([bytes]);
    expect(small.peakBytes).toBeLessThanOrEqual(small.limitBytes);
    expect(small.usedBytes).toBe(0);
    expect(counts.xorbs).toBeGreaterThanOrEqual(20);
    expect(files[0]?.terms).toHaveLength(counts.xorbs);
    await expectStored(hub, [bytes]);
  });

  test.each([0, 0.5])('blocks reuse the buffers of earlier blocks if a share of %d of them is known', async (known) => {
    const hub = await uploadHub();
    const bytes = randomBytes(80 * MIB, 21);
    if (known > 0) await uploaderFor(hub).upload([bytes.subarray(0, known * bytes.length)]);
    const { pool } = partsFor(hub);
    const memory = new Set<ArrayBufferLike>();
    let blocks = 0;
    const run = pool.run.bind(pool);
    vi.spyOn(pool, 'run').mockImplementation((operation, input, ...rest) => {
      if (operation.name === 'cutChunks' && input.length > 512 * 1024) {
        memory.add(input.buffer);
        blocks++;
      }
      return run(operation, input, ...rest);
    });
    const { upload } = uploaderFor(hub, { pool, budget: new MemoryBudget(32 * MIB, 8 * MIB) });
    const { counts } = await upload([bytes]);
    expect(counts.knownBytes > 0).toBe(known > 0);
    expect(blocks).toBeGreaterThanOrEqual(80);
    // Up to four xorbs of four blocks each are on their way, and what comes back is kept for one.
    expect(memory.size).toBeLessThan((2 / 3) * blocks);
  });

  test('xorbs have up to 64 MiB if the memory budget allows', async () => {
    const hub = await uploadHub();
    const bytes = randomBytes(80 * MIB, 9);
    const { upload, budget } = uploaderFor(hub, { budget: new MemoryBudget(512 * MIB, 128 * MIB) });
    const { files, counts } = await upload([bytes]);
    expect(counts.xorbs).toBe(2);
    expect(files[0]?.terms[0]?.unpackedLength).toBeGreaterThan(63.5 * MIB);
    expect(budget.peakBytes).toBeLessThanOrEqual(budget.limitBytes);
    await expectStored(hub, [bytes]);
  });

  test('an empty file has no chunks, and nothing is registered for it', async () => {
    const hub = await uploadHub();
    const { files } = await uploaderFor(hub).upload([new Uint8Array()]);
    expect(files).toEqual([
      { size: 0, sha256: sha256(new Uint8Array()), xetHash: ZERO_HASH, terms: [], records: new Uint8Array() },
    ]);
    expect(await uploaderFor(hub).upload([])).toMatchObject({ files: [] });
    expect(pathsOf(hub, 'shard-upload')).toEqual([]);
  });
});

describe('what is stored is not sent again', () => {
  test('a repeated upload sends no xorb', async () => {
    const hub = await uploadHub();
    const files = [weights(6, 11), text(300_000, 12)];
    await uploaderFor(hub).upload(files);
    hub.resetRequests();
    const { counts } = await uploaderFor(hub).upload(files);
    expect(pathsOf(hub, 'xorb-upload')).toEqual([]);
    expect(counts).toMatchObject({ xorbs: 0, sentBytes: 0, knownBytes: counts.readBytes });
    await expectStored(hub, files);
  });

  test('storing a variant with 5 % changes sends little more than the changes', async () => {
    const hub = await uploadHub();
    const base = randomBytes(24_000_000, 13);
    await uploaderFor(hub).upload([base]);
    const variant = base.slice();
    variant.set(randomBytes(600_000, 14), 5_000_000);
    variant.set(randomBytes(600_000, 15), 17_000_000);
    const { counts } = await uploaderFor(hub).upload([variant]);
    const known = new Set((await hashesOf(base)).keys());
    let changed = 0;
    for (const [hash, length] of await hashesOf(variant)) if (!known.has(hash)) changed += length;
    expect(changed).toBeGreaterThan(1_200_000);
    expect(counts.sentBytes).toBeLessThanOrEqual(1.15 * changed);
    expect(counts.readBytes - counts.knownBytes).toBe(changed);
    await expectStored(hub, [base, variant]);
  });

  test('files of one upload share chunks without help of the CAS', async () => {
    const hub = await uploadHub();
    const base = randomBytes(3_000_000, 16);
    const files = [base, base, new Uint8Array(Buffer.concat([randomBytes(50_000, 17), base]))];
    const { counts } = await uploaderFor(hub).upload(files);
    expect(counts.readBytes - counts.knownBytes).toBeLessThan(3_300_000);
    await expectStored(hub, files);
  });

  test('recipes provide chunks that the CAS does not report, and are not trusted on another server', async () => {
    const hub = await uploadHub();
    const base = randomBytes(4_000_000, 18);
    const [first] = (await uploaderFor(hub).upload([base])).files;
    const recipes = memoryRecipeStore();
    await recipes.put({ fileHash: first!.xetHash, size: first!.size, terms: first!.terms, records: first!.records });
    const variant = new Uint8Array(Buffer.concat([randomBytes(200_000, 19), base]));
    for (const [target, most] of [
      [hub, 600_000],
      [await uploadHub(), 4_300_000],
    ] as const) {
      target.faults.add({ kind: 'chunk-query', action: 'status', status: 404, times: 99 });
      target.resetRequests();
      const { counts } = await uploaderFor(target, { recipes }).upload([variant]);
      expect(counts.sentBytes).toBeGreaterThan(most / 3);
      expect(counts.sentBytes).toBeLessThan(most);
      expect(pathsOf(target, 'reconstruction').length).toBeLessThanOrEqual(2);
      await expectStored(target, [variant]);
    }
  });
});

async function hashesOf(bytes: Uint8Array): Promise<Map<string, number>> {
  const { records, starts } = await chunksOf(bytes);
  const found = new Map<string, number>();
  for (let at = 0; at < chunkCount(records); at++) {
    const hash = Buffer.from(records.subarray(at * 36, at * 36 + 32)).toString('hex');
    found.set(hash, (starts[at + 1] ?? 0) - (starts[at] ?? 0));
  }
  return found;
}

describe('failures while files are stored', () => {
  test('all xorbs are stored before the shard is sent', async () => {
    const hub = await uploadHub({ grants: false });
    hub.faults.add({ kind: 'xorb-upload', action: 'delay', ms: 150 });
    const { upload } = uploaderFor(hub, { budget: new MemoryBudget(32 * MIB, 8 * MIB) });
    await upload([randomBytes(12_000_000, 20)]);
    const kinds = hub.requests.map(({ kind }) => kind).filter((kind) => /upload/.test(kind));
    expect(kinds.lastIndexOf('xorb-upload')).toBeLessThan(kinds.indexOf('shard-upload'));
  });

  test('a rejected xorb ends the upload before a shard is sent', async () => {
    const hub = await uploadHub({ grants: false });
    hub.faults.add({ kind: 'xorb-upload', action: 'status', status: 403, times: 99, after: 1 });
    const { upload, budget } = uploaderFor(hub, { budget: new MemoryBudget(32 * MIB, 8 * MIB) });
    expect(await rejectionOf(upload([randomBytes(20_000_000, 21)]))).toMatchObject({ code: 'FORBIDDEN', status: 403 });
    expect(pathsOf(hub, 'shard-upload')).toEqual([]);
    expect(budget.usedBytes).toBe(0);
  });

  test('temporary failures of every kind are retried', async () => {
    const hub = await uploadHub();
    for (const kind of ['xorb-upload', 'shard-upload', 'grant', 'chunk-query', 'token'] as const) {
      hub.faults.add({ kind, action: 'status', status: 503 });
      hub.faults.add({ kind, action: 'refuse' });
    }
    const files = [randomBytes(2_000_000, 22)];
    await uploaderFor(hub).upload(files);
    await expectStored(hub, files);
  });

  test('errors of a source, and pieces that are not bytes, reject the upload', async () => {
    const hub = await uploadHub();
    const { context, budget } = uploaderFor(hub);
    const signal = new AbortController().signal;
    async function* broken() {
      yield randomBytes(3_000_000, 23);
      throw new Error('the disk is gone');
    }
    await expect(storeFiles(context, [broken()], { signal })).rejects.toThrow('the disk is gone');
    const wrong = ['text'] as unknown as Uint8Array[];
    expect(await rejectionOf(storeFiles(context, [wrong], { signal }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(budget.usedBytes).toBe(0);
    expect(pathsOf(hub, 'shard-upload')).toEqual([]);
  });

  test.each(['source', 'xorb-upload', 'shard-upload', 'chunk-query'] as const)(
    'an abort while waiting for %s ends the upload and releases its memory',
    async (where) => {
      const hub = await uploadHub({ grants: false });
      if (where !== 'source') hub.faults.add({ kind: where, action: 'delay', ms: 60_000, times: 9 });
      async function* silent() {
        yield randomBytes(2_000_000, 24);
        if (where === 'source') await new Promise(() => undefined);
      }
      const controller = new AbortController();
      const { context, budget } = uploaderFor(hub);
      const ended = rejectionOf(storeFiles(context, [silent()], { signal: controller.signal }));
      await new Promise((resolve) => setTimeout(resolve, 400));
      controller.abort(new Error('enough'));
      // The server would not respond within the timeout of this test.
      expect(await ended).toMatchObject({ message: 'enough' });
      expect(budget.usedBytes).toBe(0);
    },
  );

  test('a source is read ahead only as far as the memory budget allows', async () => {
    const hub = await uploadHub({ grants: false });
    hub.faults.add({ kind: 'xorb-upload', action: 'stall', afterBytes: 0, ms: 100_000, times: 99 });
    const budget = new MemoryBudget(32 * MIB, 8 * MIB);
    const { context } = uploaderFor(hub, { budget });
    const controller = new AbortController();
    let read = 0;
    async function* endless() {
      for (let seed = 0; ; seed++) {
        read += MIB;
        yield randomBytes(MIB, 1000 + seed);
      }
    }
    const ended = rejectionOf(storeFiles(context, [endless()], { signal: controller.signal }));
    // Until nothing is read any more.
    for (let before = -1; read !== before && read < 64 * MIB; ) {
      before = read;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    expect(read).toBeLessThan(64 * MIB);
    expect(budget.peakBytes).toBeLessThanOrEqual(budget.limitBytes);
    controller.abort(new Error('enough'));
    await ended;
  });
});

test('the progress reports of an upload add up to its counts', async () => {
  const hub = await uploadHub();
  const reports: Readonly<StoreCounts>[] = [];
  const bytes = randomBytes(9_000_000, 25);
  const { counts } = await uploaderFor(hub).upload([bytes], { onProgress: (done) => reports.push(done) });
  for (const name of Object.keys(counts) as (keyof StoreCounts)[]) {
    expect(reports.every((report) => report[name] >= 0)).toBe(true);
    expect(reports.reduce((sum, report) => sum + report[name], 0)).toBe(counts[name]);
  }
  expect(counts).toMatchObject({ readBytes: bytes.length, knownBytes: 0, refusedBytes: 0 });
});
