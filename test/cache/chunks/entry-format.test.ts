import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeEntryHead,
  encodeEntryHead,
  entryBytes,
  entryHeadBytes,
} from '../../../src/cache/chunks/entry-format.ts';
import { hashFromHex } from '../../../src/core/hash.ts';
import { SampleXorbs } from '../../support/chunk-samples.ts';
import { holds } from '../../support/property.ts';

const xorbs = new SampleXorbs(1, 500);
const chunks = { start: 3, end: 9 };
const run = xorbs.run(171, chunks);
const name = xorbs.name(171);
const head = encodeEntryHead(name, run);

test('is laid out as it says', () => {
  const view = new DataView(head.buffer);
  expect(new TextDecoder().decode(head.subarray(0, 8))).toBe('xetchunk');
  expect([8, 12, 16, 52].map((at) => view.getUint32(at, true))).toEqual([1, 3, 9, run.bytes.length]);
  expect(head.subarray(20, 52)).toEqual(hashFromHex(name));
  expect(head.subarray(56)).toEqual(run.records);
  expect(entryHeadBytes(chunks)).toBe(56 + 6 * 36);
  expect(entryBytes(run)).toBe(head.length + run.bytes.length);
});

test('gives back the records', () => {
  expect(decodeEntryHead(head, name, chunks, entryBytes(run))).toEqual(run.records);
});

test('is not that of other chunks, of another xorb, or of another length', () => {
  expect(decodeEntryHead(head, xorbs.name(172), chunks, entryBytes(run))).toBeUndefined();
  expect(decodeEntryHead(head, name, { start: 4, end: 10 }, entryBytes(run))).toBeUndefined();
  expect(decodeEntryHead(head, name, { start: 3, end: 8 }, entryBytes(run))).toBeUndefined();
  expect(decodeEntryHead(head.subarray(1), name, chunks, entryBytes(run))).toBeUndefined();
  for (const off of [-1, 1]) expect(decodeEntryHead(head, name, chunks, entryBytes(run) + off)).toBeUndefined();
});

test('no flipped bit before the hashes goes unnoticed', () => {
  holds(400, fc.nat({ max: 56 * 8 - 1 }), (bit) => {
    const flipped = head.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeEntryHead(flipped, name, chunks, entryBytes(run))).toBeUndefined();
  });
});

test('no lengths are believed that the file does not have', () => {
  holds(
    400,
    fc.tuple(fc.nat({ max: 5 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    ([index, length, total]) => {
      const changed = head.slice();
      const view = new DataView(changed.buffer);
      view.setUint32(56 + index * 36 + 32, length, true);
      view.setUint32(52, total, true);
      const records = decodeEntryHead(changed, name, chunks, entryBytes(run));
      if (records) expect(records).toEqual(run.records);
    },
  );
});

test('no chunk is longer than a chunk may be, even if the file is', () => {
  for (const [length, fits] of [
    [128 * 1024, true],
    [128 * 1024 + 1, false],
  ] as const) {
    const records = new Uint8Array(36);
    new DataView(records.buffer).setUint32(32, length, true);
    const long = { chunks: { start: 0, end: 1 }, records, bytes: new Uint8Array(length) };
    const found = decodeEntryHead(encodeEntryHead(name, long), name, long.chunks, entryBytes(long));
    expect(found !== undefined).toBe(fits);
  }
});
