import { describe, expect, test } from 'vitest';
import {
  CHUNK_RECORD_BYTES,
  ChunkRecordList,
  chunkCount,
  chunkHashHex,
  chunkLength,
  chunkSlice,
  totalLength,
} from '../../src/core/chunks.ts';
import { HASH_BYTES, hashFromHex, hashToHex, isHashHex, ZERO_HASH } from '../../src/core/hash.ts';
import { readVectors } from '../support/read-vectors.ts';
import { concat, recordsOf } from '../support/vectors.ts';

const vectors = await readVectors();
const SAMPLE = vectors.hashVectors.chunk[0]!.xet;

describe('text form of hashes', () => {
  test('vectors, both ways', () => {
    expect(vectors.hashVectors.hexString).toHaveLength(2);
    for (const { rawBytes, xet } of vectors.hashVectors.hexString) {
      // The first vector names its bytes by a pattern instead of a list.
      const raw = typeof rawBytes === 'string' ? Array.from({ length: 32 }, (_, byte) => byte) : rawBytes;
      expect(hashToHex(Uint8Array.from(raw))).toBe(xet);
      expect(hashFromHex(xet)).toEqual(Uint8Array.from(raw));
    }
  });

  test('zeros and ones', () => {
    expect(hashToHex(new Uint8Array(32))).toBe(ZERO_HASH);
    expect(hashFromHex(ZERO_HASH)).toEqual(new Uint8Array(32));
    expect(hashToHex(new Uint8Array(32).fill(0xff))).toBe('f'.repeat(64));
  });

  test('from anywhere in a larger array', () => {
    const bytes = concat([new Uint8Array(5).fill(9), hashFromHex(SAMPLE), new Uint8Array(3).fill(9)]);
    expect(hashToHex(bytes, 5)).toBe(SAMPLE);
    expect(hashToHex(bytes.subarray(5))).toBe(SAMPLE);
  });

  test('capital letters are read, never written', () => {
    expect(hashFromHex(SAMPLE.toUpperCase())).toEqual(hashFromHex(SAMPLE));
    expect(hashToHex(hashFromHex(SAMPLE.toUpperCase()))).toBe(SAMPLE);
    expect(isHashHex(SAMPLE)).toBe(true);
    expect(isHashHex(SAMPLE.toUpperCase())).toBe(false);
  });

  test.each([
    ['nothing', ''],
    ['a digit too few', SAMPLE.slice(1)],
    ['a digit too many', `${SAMPLE}0`],
    ['a letter that is no digit', `g${SAMPLE.slice(1)}`],
    ['a prefix', `0x${SAMPLE.slice(2)}`],
    ['a sign', `-${SAMPLE.slice(1)}`],
    ['a blank in front', ` ${SAMPLE.slice(1)}`],
    ['a line break at the end', `${SAMPLE}\n`],
    ['full-width digits', `\uff10${SAMPLE.slice(1)}`],
    ['a letter whose lower case is another alphabet', `\u212a${SAMPLE.slice(1)}`],
  ])('refuses %s', (_, text) => {
    expect(() => hashFromHex(text)).toThrow(expect.objectContaining({ name: 'XetError', code: 'INVALID_ARGUMENT' }));
    expect(isHashHex(text)).toBe(false);
  });

  test('no other type is a hash', () => {
    for (const value of [undefined, null, 64, {}, [SAMPLE], new Uint8Array(32)]) expect(isHashHex(value)).toBe(false);
  });

  test('the message of a refusal does not repeat a whole page', () => {
    expect(() => hashFromHex('x'.repeat(10_000))).toThrow(/^.{1,200}$/);
  });
});

describe('chunk records', () => {
  const list: [string, number][] = [
    [SAMPLE, 1],
    [ZERO_HASH, 131_072],
    ['f'.repeat(64), 0],
    [SAMPLE, 0xffff_ffff],
  ];
  const records = recordsOf(list);

  test('count, lengths and hashes', () => {
    expect(CHUNK_RECORD_BYTES).toBe(HASH_BYTES + 4);
    expect(chunkCount(records)).toBe(4);
    expect(list.map((_, index) => chunkLength(records, index))).toEqual(list.map(([, length]) => length));
    expect(list.map((_, index) => chunkHashHex(records, index))).toEqual(list.map(([hash]) => hash));
  });

  test('the sum goes past 32 bits', () => {
    expect(totalLength(records)).toBe(1 + 131_072 + 0xffff_ffff);
    expect(totalLength(recordsOf([...list, ...list]))).toBe(2 * (1 + 131_072 + 0xffff_ffff));
    expect(totalLength(new Uint8Array())).toBe(0);
  });

  test('a slice is a view', () => {
    const middle = chunkSlice(records, 1, 3);
    expect(middle).toEqual(recordsOf(list.slice(1, 3)));
    expect(middle.buffer).toBe(records.buffer);
    expect(chunkCount(chunkSlice(records, 2, 2))).toBe(0);
    expect(chunkCount(chunkSlice(records, 3, 100))).toBe(1);
  });

  test('helpers work on views with an offset', () => {
    const shifted = concat([new Uint8Array(3), records]).subarray(3);
    expect(chunkLength(shifted, 3)).toBe(0xffff_ffff);
    expect(chunkHashHex(shifted, 1)).toBe(ZERO_HASH);
  });
});

describe('a growing list of records', () => {
  const one = (index: number) => recordsOf([[index.toString(16).padStart(64, '0'), index]]);

  test('keeps what was pushed, one by one', () => {
    const list = new ChunkRecordList();
    expect(list.count).toBe(0);
    expect(list.records).toHaveLength(0);
    // Past several doublings of the 64 records it starts with.
    for (let index = 0; index < 1000; index++) {
      list.push(one(index));
      expect(list.count).toBe(index + 1);
    }
    expect(list.records).toEqual(concat(Array.from({ length: 1000 }, (_, index) => one(index))));
  });

  test('keeps what was pushed at once, at and beyond its capacity', () => {
    for (const count of [0, 1, 63, 64, 65, 128, 5000]) {
      const batch = concat(Array.from({ length: count }, (_, index) => one(index)));
      const list = new ChunkRecordList();
      list.push(batch);
      list.push(one(7));
      list.push(new Uint8Array());
      expect(list.count).toBe(count + 1);
      expect(list.records).toEqual(concat([batch, one(7)]));
    }
  });

  test('copies its input', () => {
    const list = new ChunkRecordList();
    const batch = one(5);
    list.push(batch);
    batch.fill(0xff);
    expect(list.records).toEqual(one(5));
  });

  test('leaves an old view as it was', () => {
    const list = new ChunkRecordList();
    list.push(one(1));
    const before = list.records;
    for (let index = 0; index < 200; index++) list.push(one(index));
    expect(before).toEqual(one(1));
  });
});
