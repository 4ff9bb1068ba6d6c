import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHUNK_RECORD_BYTES, chunkHashHex } from '../../src/core/chunks.ts';
import { Coverage } from '../../src/download/coverage.ts';
import { xorbHash } from '../support/cas-wire.ts';
import { holds } from '../support/property.ts';
import { splitMix64 } from '../support/vectors.ts';

interface Part {
  at: number;
  length: number;
  chunks: Uint8Array;
}

/** Parts that are apart or touch, in file order, each with as many records as its number says. */
const inOrder: fc.Arbitrary<Part[]> = fc
  .array(fc.record({ gap: fc.nat(4), length: fc.integer({ min: 1, max: 9 }), chunks: fc.nat(3) }), { maxLength: 30 })
  .map((steps) => {
    let at = 0;
    return steps.map(({ gap, length, chunks }, index) => {
      const part = { at: at + gap, length, chunks: splitMix64(index + 1, chunks * CHUNK_RECORD_BYTES) };
      at = part.at + length;
      return part;
    });
  });

const shuffled = fc.tuple(inOrder, fc.array(fc.nat(), { maxLength: 30 })).map(([parts, keys]) => {
  const order = parts.map((part, index) => ({ part, key: keys[index] ?? 0 }));
  return { parts, order: order.sort((a, b) => a.key - b.key).map(({ part }) => part) };
});

describe('coverage', () => {
  test('is the same in whatever order its parts come', () => {
    holds(500, shuffled, ({ parts, order }) => {
      const coverage = new Coverage();
      for (const { at, length, chunks } of order) coverage.add(at, length, chunks);
      expect(coverage.parts.map(({ start, end }) => ({ start, end }))).toEqual(
        parts.map(({ at, length }) => ({ start: at, end: at + length })),
      );
      const records = coverage.records();
      expect(Buffer.from(records).equals(Buffer.concat(parts.map(({ chunks }) => chunks)))).toBe(true);
    });
  });

  test('may be looked at between the parts', () => {
    holds(300, shuffled, ({ order }) => {
      const coverage = new Coverage();
      const bytes = new Set<number>();
      for (const { at, length, chunks } of order) {
        coverage.add(at, length, chunks);
        for (let byte = at; byte < at + length; byte++) bytes.add(byte);
        const parts = coverage.parts;
        for (const [index, { start }] of parts.entries())
          expect(start).toBeGreaterThanOrEqual(parts[index - 1]?.end ?? 0);
        expect(parts.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(bytes.size);
      }
    });
  });

  test('has its holes where no part is', () => {
    holds(500, fc.tuple(shuffled, fc.nat(150), fc.nat(150)), ([{ parts, order }, a, b]) => {
      const coverage = new Coverage();
      for (const { at, length, chunks } of order) coverage.add(at, length, chunks);
      const range = { start: Math.min(a, b), end: Math.max(a, b) };
      const missing: number[] = [];
      for (let byte = range.start; byte < range.end; byte++) {
        if (!parts.some(({ at, length }) => at <= byte && byte < at + length)) missing.push(byte);
      }
      const found = coverage.holes(range).flatMap(({ start, end }) => {
        return Array.from({ length: end - start }, (_, index) => start + index);
      });
      expect(found).toEqual(missing);
    });
  });

  test('does not count nothing as a part', () => {
    const coverage = new Coverage();
    coverage.add(5, 0, new Uint8Array());
    expect(coverage.parts).toEqual([]);
    expect(coverage.holes({ start: 0, end: 10 })).toEqual([{ start: 0, end: 10 }]);
  });

  test('gives records that later parts do not change', () => {
    const record = (seed: number) => splitMix64(seed, CHUNK_RECORD_BYTES);
    const coverage = new Coverage();
    coverage.add(10, 5, record(2));
    const before = coverage.records();
    coverage.add(0, 10, record(1));
    expect(chunkHashHex(before, 0)).toBe(xorbHash(2));
    expect([0, 1].map((index) => chunkHashHex(coverage.records(), index))).toEqual([xorbHash(1), xorbHash(2)]);
  });
});
