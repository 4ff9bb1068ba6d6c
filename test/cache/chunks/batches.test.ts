import fc from 'fast-check';
import { expect, test } from 'vitest';
import { coalesceRuns, missingRuns, type XorbRun } from '../../../src/cache/chunks/batches.ts';
import { placeInFile } from '../../../src/cache/chunks/chunk-database.ts';
import { subtractRanges } from '../../../src/cache/chunks/chunk-runs.ts';
import { joinBytes, totalLength } from '../../../src/core/chunks.ts';
import type { ChunkRange } from '../../../src/core/ranges.ts';
import { SampleXorbs } from '../../support/chunk-samples.ts';

const MIB = 1024 * 1024;
const xorbs = new SampleXorbs(1, 500);

const range = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 12 }))
  .map(([start, length]): ChunkRange => ({ start, end: start + length }));
const xorb = fc.integer({ min: 0, max: 2 });
const given = fc.array(fc.record({ xorb, chunks: range }), { maxLength: 12 });
const entries = fc.array(fc.record({ xorb, chunks: range }), { maxLength: 8 });

const runOf = (number: number, chunks: ChunkRange, from = xorbs): XorbRun => ({
  xorb: from.name(number),
  run: from.run(number, chunks),
});

/** Every chunk by its name, once for each time that it is there. */
const chunksOf = (ranges: { xorb: string; chunks: ChunkRange }[]) =>
  ranges.flatMap(({ xorb: name, chunks: { start, end } }) =>
    Array.from({ length: end - start }, (_, index) => `${name.slice(0, 2)} ${start + index}`),
  );

test('missing runs have each chunk that no entry has once, in parts of the given runs', () => {
  fc.assert(
    fc.property(given, entries, (runs, held) => {
      const heldBy = new Map<string, ChunkRange[]>();
      for (const one of held) {
        const name = xorbs.name(one.xorb);
        heldBy.set(name, [...(heldBy.get(name) ?? []), one.chunks]);
      }
      const before = structuredClone(heldBy);
      const missing = missingRuns(
        runs.map((one) => runOf(one.xorb, one.chunks)),
        heldBy,
      );
      expect(heldBy).toEqual(before);
      const found = chunksOf(missing.map(({ xorb: name, run }) => ({ xorb: name, chunks: run.chunks })));
      const wanted = runs.flatMap((one) =>
        subtractRanges(one.chunks, heldBy.get(xorbs.name(one.xorb)) ?? []).map((chunks) => ({
          xorb: xorbs.name(one.xorb),
          chunks,
        })),
      );
      expect(found.toSorted()).toEqual([...new Set(chunksOf(wanted))].sort());
      for (const { xorb: name, run } of missing) {
        const number = Number.parseInt(name.slice(0, 2), 16);
        expect(xorbs.wrongIn(number, run)).toBeUndefined();
      }
    }),
    { seed: 20261127 },
  );
});

test('parts that do not fit are left out, and may come with a later run', () => {
  fc.assert(
    fc.property(given, fc.integer({ min: 0, max: 12 }), (runs, maxChunks) => {
      const all = runs.map((one) => runOf(one.xorb, one.chunks));
      const fits = ({ chunks }: { chunks: ChunkRange }) => chunks.end - chunks.start <= maxChunks;
      const taken = missingRuns(all, new Map(), ({ chunks }) => fits({ chunks }));
      expect(taken.every(({ run }) => fits(run))).toBe(true);
      const fitting = all.filter(({ run }) => fits(run));
      const chunksOfRuns = (list: XorbRun[]) =>
        new Set(chunksOf(list.map((one) => ({ xorb: one.xorb, chunks: one.run.chunks }))));
      for (const chunk of chunksOfRuns(fitting)) expect(chunksOfRuns(taken)).toContain(chunk);
    }),
    { seed: 20261127 },
  );
});

test('coalesced entries have the bytes of their runs in order, and their places in a file are where the bytes are', () => {
  fc.assert(
    fc.property(given, (runs) => {
      const missing = missingRuns(
        runs.map((one) => runOf(one.xorb, one.chunks)),
        new Map(),
      );
      const rows = placeInFile('a-file', coalesceRuns(missing, MIB));
      expect(chunksOf(rows).sort()).toEqual(
        chunksOf(missing.map(({ xorb: name, run }) => ({ xorb: name, chunks: run.chunks }))).sort(),
      );
      const file = joinBytes(rows.flatMap(({ pieces }) => pieces));
      for (const { xorb: name, chunks, records, place } of rows) {
        const at = place?.at ?? Number.NaN;
        const bytes = file.subarray(at, at + totalLength(records));
        const wrong = xorbs.wrongIn(Number.parseInt(name.slice(0, 2), 16), { chunks, records, bytes });
        expect([place?.file, wrong]).toEqual(['a-file', undefined]);
      }
      // Runs that continue each other are never left apart.
      for (const [index, row] of rows.entries()) {
        const next = rows[index + 1];
        expect(next?.xorb === row.xorb && next.chunks.start === row.chunks.end).toBe(false);
      }
    }),
    { seed: 20261127 },
  );
});

test('coalesced entries are no longer than the limit', () => {
  const large = new SampleXorbs(60_000, 60_000);
  const runs = Array.from({ length: 50 }, (_, index) => runOf(1, { start: index, end: index + 1 }, large));
  const rows = coalesceRuns(runs.toReversed(), MIB);
  expect(rows.map(({ records }) => totalLength(records) <= MIB)).toEqual([true, true, true]);
  expect(rows.map(({ chunks }) => chunks)).toEqual([
    { start: 0, end: 17 },
    { start: 17, end: 34 },
    { start: 34, end: 50 },
  ]);
});
