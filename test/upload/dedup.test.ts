import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { memoryRecipeStore } from '../../src/cache/recipes/recipe-store.memory.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import {
  CHUNK_RECORD_BYTES,
  type ChunkRecords,
  chunkCount,
  chunkHashes,
  chunkHashHex,
  chunkLength,
  chunkSlice,
  totalLength,
} from '../../src/core/chunks.ts';
import { hashToHex } from '../../src/core/hash.ts';
import type { Recipe } from '../../src/core/recipe.ts';
import { CasTokenSource } from '../../src/hub/token.ts';
import { ChunkIndex, ChunkTable, eligibleChunks } from '../../src/upload/chunk-index.ts';
import { ChunkQueries } from '../../src/upload/known-chunks.ts';
import { KnownRecipes, readRecipes } from '../../src/upload/known-recipes.ts';
import { inTurn, json, makeHttp, serve, status } from '../http/server.ts';
import { chunksOf } from '../support/engines.ts';
import { holds } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';

const codec = await loadCodec();
const signal = new AbortController().signal;
const keyHashes = async (hashes: Uint8Array, key: Uint8Array) => codec.keyedHashes(hashes, key);

/** A record whose hash is made of a number; numbers with the same remainder by 4 share its first 48 bits. */
function record(content: number, length = 100 + content): ChunkRecords {
  const bytes = new Uint8Array(CHUNK_RECORD_BYTES).fill(content % 4, 0, 8);
  new DataView(bytes.buffer).setUint32(8, content);
  new DataView(bytes.buffer).setUint32(32, length, true);
  return bytes;
}
const recordsOf = (contents: number[]) => new Uint8Array(Buffer.concat(contents.map((content) => record(content))));
const wantedOf = (records: ChunkRecords, position: number) => ({
  hashes: chunkHashes(records),
  position,
  length: chunkLength(records, position),
});

describe('ChunkTable', () => {
  const parts = fc.array(fc.tuple(fc.nat(2), fc.array(fc.nat(30), { minLength: 1, maxLength: 12 })), { maxLength: 12 });

  test('every place found contains the chunk, also the places after another one', () => {
    holds(60, parts, (added) => {
      const table = new ChunkTable();
      const xorbs: number[][] = [[], [], []];
      for (const [xorb, contents] of added) {
        table.add(xorb, xorbs[xorb]?.length ?? 0, recordsOf(contents));
        xorbs[xorb]?.push(...contents);
      }
      expect(table.count).toBe(xorbs.flat().length);
      const all = recordsOf(Array.from({ length: 31 }, (_, content) => content));
      for (let content = 0; content <= 30; content++) {
        const place = table.find(wantedOf(all, content));
        if (place) expect(xorbs[Number(place.xorb)]?.[place.index]).toBe(content);
        xorbs.forEach((chunks, xorb) => {
          chunks.forEach((chunk, index) => {
            const next = table.findAfter({ xorb, index: index - 1 }, wantedOf(all, content));
            expect(next).toEqual(chunk === content ? { xorb, index } : undefined);
          });
        });
      }
    });
  });

  test('a chunk with another length, or with only the same first hash bytes, is not found', () => {
    const table = new ChunkTable();
    table.add('a', 5, recordsOf([4, 6]));
    expect(table.find(wantedOf(recordsOf([6]), 0))).toEqual({ xorb: 'a', index: 6 });
    expect(table.find(wantedOf(record(6, 7), 0))).toBeUndefined();
    expect(table.find(wantedOf(recordsOf([8]), 0))).toBeUndefined();
  });

  test("known chunks are counted once, and chunks beyond a xorb's 8192 are ignored", () => {
    const table = new ChunkTable();
    table.add('a', 0, recordsOf([1, 2, 3]));
    table.add('a', 0, recordsOf([1, 2, 3]));
    table.add('b', 8190, recordsOf([1, 2, 3]));
    expect(table.count).toBe(3);
  });
});

const content = randomBytes(3_000_000, 5);
const { records } = await chunksOf(content);
const xorb = hashToHex(codec.xorbHash(records));

/** A response of the CAS: a shard with keyed chunk hashes. */
function keyedShard(key = new Uint8Array(32).fill(7), expirySeconds = 2000, chunks = records): Uint8Array {
  const writer = codec.shardWriter();
  writer.addXorb({ hash: xorb, chunks });
  const shard = writer.toKeyed(key, 1000, expirySeconds);
  writer.free();
  return shard;
}

describe('ChunkIndex', () => {
  test('chunks of a keyed shard are found by keyed hash until the key expires', async () => {
    const index = new ChunkIndex();
    index.learn(codec.readShard(keyedShard()), 1500);
    index.learn(codec.readShard(keyedShard(new Uint8Array(32).fill(8))), 1500);
    const known = await index.lookup(records, keyHashes, 1500);
    for (let at = 0; at < chunkCount(records); at++) expect(known.find(at, undefined)).toEqual({ xorb, index: at });
    expect((await index.lookup(records, keyHashes, 2000)).find(0, undefined)).toBeUndefined();
    const late = new ChunkIndex();
    late.learn(codec.readShard(keyedShard()), 2000);
    expect((await late.lookup(records, keyHashes, 1500)).find(0, undefined)).toBeUndefined();
  });

  test("an upload's own chunks are found as soon as they have a place, and runs continue in their xorb", async () => {
    const index = new ChunkIndex();
    const known = await index.lookup(records, keyHashes, 0);
    expect(known.find(3, undefined)).toBeUndefined();
    index.add(0, 0, chunkSlice(records, 3, 5));
    index.add('other', 9, chunkSlice(records, 3, 5));
    expect(known.find(3, undefined)).toEqual({ xorb: 0, index: 0 });
    expect(known.find(4, { xorb: 'other', index: 9 })).toEqual({ xorb: 'other', index: 10 });
  });

  test("a file's first chunk and one chunk in 1024 are eligible for queries", () => {
    const made = Array.from({ length: 5000 }, (_, at) => {
      const one = record(at);
      new DataView(one.buffer).setUint32(24, at, true);
      return one;
    });
    const all = new Uint8Array(Buffer.concat(made));
    expect(eligibleChunks(all, false)).toEqual([0, 1024, 2048, 3072, 4096]);
    const rest = chunkSlice(all, 1, 2000);
    expect(eligibleChunks(rest, true)).toEqual([0, 1023]);
    expect(eligibleChunks(rest, false)).toEqual([1023]);
    expect(eligibleChunks(new Uint8Array(), true)).toEqual([]);
  });
});

/** Queries of a CAS that answers like this. */
async function queriesOf(
  handler: Parameters<typeof serve>[0],
  headers: () => Promise<Record<string, string>> = async () => ({}),
) {
  const cas = await serve(handler);
  const hub = await serve(json({ accessToken: 'secret', exp: Date.now() / 1000 + 3600, casUrl: cas }));
  const http = makeHttp();
  const pool = new CodecPool({ size: 0, load: loadCodec });
  onTestFinished(() => pool.close());
  return new ChunkQueries({ http, tokens: new CasTokenSource(http, hub, headers), pool });
}

describe('ChunkQueries', () => {
  const hash = chunkHashHex(records, 0);

  test('a 200 response is read as a shard, and 404 means that the chunk is unknown', async () => {
    const handler = inTurn((request, response) => {
      expect(request.url).toBe(`/v1/chunks/default/${hash}`);
      expect(request.headers.authorization).toBe('Bearer secret');
      response.end(keyedShard());
    }, status(404));
    const queries = await queriesOf(handler);
    expect((await queries.query(hash, signal))?.xorbs.map((one) => one.hash)).toEqual([xorb]);
    expect(await queries.query(hash, signal)).toBeUndefined();
    expect(handler.requests).toHaveLength(2);
  });

  test('a 429 response is not retried and stops all queries', async () => {
    const handler = inTurn(status(429, { 'retry-after': '60' }));
    const queries = await queriesOf(handler);
    expect(await queries.query(hash, signal)).toBeUndefined();
    expect(await queries.query(hash, signal)).toBeUndefined();
    expect(handler.requests).toHaveLength(1);
  });

  test.each([
    ['garbage', status(200, {}, 'no shard')],
    ['failures', status(500)],
    ['refusals', status(403)],
  ])('%s means that the chunk is unknown, and stops queries after a few times', async (_, answer) => {
    const handler = inTurn(answer);
    const queries = await queriesOf(handler);
    for (let time = 0; time < 10; time++) expect(await queries.query(hash, signal)).toBeUndefined();
    expect(handler.requests.length).toBeLessThanOrEqual(8);
  });

  test('an error that is not one of the CAS rejects', async () => {
    const bug = new TypeError('a bug');
    const queries = await queriesOf(status(404), () => Promise.reject(bug));
    await expect(queries.query(hash, signal)).rejects.toBe(bug);
  });

  test('at most eight queries run at once, and an abort ends them', async () => {
    let now = 0;
    let most = 0;
    const queries = await queriesOf((_, response) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        response.writeHead(404).end();
      }, 5);
    });
    const answers = await Promise.all(Array.from({ length: 40 }, () => queries.query(hash, signal)));
    expect(answers.every((answer) => answer === undefined)).toBe(true);
    expect(most).toBe(8);
    await expect(queries.query(hash, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('KnownRecipes', () => {
  const half = chunkCount(records) >> 1;
  const recipe: Recipe = {
    fileHash: hashToHex(codec.fileHash(records)),
    size: content.length,
    terms: [
      {
        xorb: '1'.repeat(64),
        chunks: { start: 10, end: 10 + half },
        unpackedLength: totalLength(chunkSlice(records, 0, half)),
      },
      {
        xorb: '2'.repeat(64),
        chunks: { start: 0, end: chunkCount(records) - half },
        unpackedLength: totalLength(chunkSlice(records, half, chunkCount(records))),
      },
    ],
    records,
  };

  test('recipes that share chunks are confirmed by the CAS once, and only confirmed terms are used', async () => {
    let asked = 0;
    const known = new KnownRecipes([recipe], async () => {
      asked++;
      return [{ xorb: '1'.repeat(64), chunks: { start: 0, end: 500 }, unpackedLength: 1 }];
    });
    const index = new ChunkIndex();
    const add = (name: string, first: number, chunks: ChunkRecords) => index.add(name, first, chunks);
    await known.confirm(recordsOf([1, 2, 3]), add, signal);
    expect(asked).toBe(0);
    await Promise.all([known.confirm(records, add, signal), known.confirm(chunkSlice(records, 0, 2), add, signal)]);
    expect(asked).toBe(1);
    const view = await index.lookup(records, keyHashes, 0);
    expect(view.find(1, undefined)).toEqual({ xorb: '1'.repeat(64), index: 11 });
    expect(view.find(half, undefined)).toBeUndefined();
  });

  test('a recipe whose file the CAS does not know is not used', async () => {
    const known = new KnownRecipes([recipe], async () => undefined);
    let added = 0;
    await known.confirm(records, () => void added++, signal);
    expect(added).toBe(0);
  });

  test('recipes of likely files are read first, others up to a size limit', async () => {
    const store = memoryRecipeStore();
    await store.put(recipe);
    expect(await readRecipes(store, [], 0)).toEqual([]);
    expect((await readRecipes(store, ['3'.repeat(64), recipe.fileHash], 0)).map((one) => one.fileHash)).toEqual([
      recipe.fileHash,
    ]);
    expect(await readRecipes(store, [], 1_000_000)).toHaveLength(1);
  });
});
