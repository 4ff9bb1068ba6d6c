import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FragmentationRule, SourceChooser } from '../../src/upload/choose-sources.ts';
import { type ChunkPlace, follows, verificationRanges } from '../../src/upload/file-terms.ts';
import { FRAME_OVERHEAD_BYTES, XORB_LIMITS, XorbPacker } from '../../src/upload/xorb-packer.ts';
import { holds } from '../support/property.ts';

const lengths = fc.array(fc.integer({ min: 1, max: 131_072 }), { maxLength: 400 });
const limits = fc.record({
  maxBytes: fc.integer({ min: 131_072 + FRAME_OVERHEAD_BYTES, max: 2_000_000 }),
  maxChunks: fc.integer({ min: 1, max: 50 }),
});

test('XorbPacker fills xorbs in order, each up to its limits', () => {
  holds(300, fc.tuple(lengths, limits), ([sizes, { maxBytes, maxChunks }]) => {
    const packer = new XorbPacker({ maxBytes, maxChunks });
    const xorbs: number[][] = [];
    for (const size of sizes) {
      const { xorb, index } = packer.next(size);
      if (xorb === xorbs.length) xorbs.push([]);
      expect(xorb).toBe(xorbs.length - 1);
      expect(index).toBe((xorbs[xorb]?.push(size + FRAME_OVERHEAD_BYTES) as number) - 1);
    }
    const bytesOf = (xorb: number[]) => xorb.reduce((sum, size) => sum + size, 0);
    xorbs.forEach((xorb, number) => {
      expect(xorb.length).toBeLessThanOrEqual(maxChunks);
      expect(bytesOf(xorb)).toBeLessThanOrEqual(maxBytes);
      const [next] = xorbs[number + 1] ?? [];
      if (next !== undefined) expect(xorb.length === maxChunks || bytesOf(xorb) + next > maxBytes).toBe(true);
    });
  });
});

test('a xorb of incompressible chunks stays below 64 MiB including frame headers', () => {
  const packer = new XorbPacker();
  let chunks = 0;
  while (packer.next(131_072).xorb === 0) chunks++;
  expect(chunks).toBe(Math.floor(XORB_LIMITS.maxBytes / (131_072 + FRAME_OVERHEAD_BYTES)));
  const small = new XorbPacker();
  for (chunks = 0; small.next(1).xorb === 0; ) chunks++;
  expect(chunks).toBe(XORB_LIMITS.maxChunks);
});

/** Chunks by a number that stands for their content, known ones with a place. */
const content = fc.array(fc.nat(40), { maxLength: 300 });
const knownXorbs = fc.array(fc.array(fc.nat(40), { minLength: 1, maxLength: 20 }), { maxLength: 3 });

/** Everything that a file of such chunks becomes, with each new chunk known to those after it. */
function build(chunks: number[], foreign: number[][], blocks: number[], rule = new FragmentationRule()) {
  const lengthOf = (chunk: number) => 1000 + chunk;
  const stored = new Map<string, number>();
  const places = new Map<number, ChunkPlace>();
  const learn = (chunk: number, place: ChunkPlace) => {
    stored.set(`${place.xorb}/${place.index}`, chunk);
    if (!places.has(chunk)) places.set(chunk, place);
  };
  foreign.forEach((xorb, number) => {
    xorb.forEach((chunk, index) => {
      learn(chunk, { xorb: `known ${number}`, index });
    });
  });
  const packer = new XorbPacker({ maxBytes: 20_000, maxChunks: 12 });
  const chooser = new SourceChooser(rule);
  const fresh: number[] = [];
  let refused = 0;
  const ends = [...blocks.map((at) => at % (chunks.length + 1)), chunks.length].sort((a, b) => a - b);
  ends.forEach((end, block) => {
    const start = ends[block - 1] ?? 0;
    const part = chunks.slice(start, end);
    const find = (position: number, before: ChunkPlace | undefined) => {
      const chunk = part[position] ?? -1;
      const next = before && { xorb: before.xorb, index: before.index + 1 };
      return next && stored.get(`${next.xorb}/${next.index}`) === chunk ? next : places.get(chunk);
    };
    const chosen = chooser.choose(part.map(lengthOf), { find }, (position) => {
      const place = packer.next(lengthOf(part[position] ?? 0));
      learn(part[position] ?? 0, place);
      return place;
    });
    expect(chosen.places).toHaveLength(part.length);
    fresh.push(...chosen.fresh.map((position) => position + start));
    refused += chosen.refusedBytes;
  });
  return { terms: chooser.terms.terms, stored, fresh, refused, lengthOf };
}

test('the terms of a file contain each of its chunks once, and no two terms could be merged', () => {
  holds(400, fc.tuple(content, knownXorbs, fc.array(fc.nat(300), { maxLength: 4 })), ([chunks, foreign, blocks]) => {
    const { terms, stored, lengthOf } = build(chunks, foreign, blocks);
    const expanded = terms.flatMap(({ xorb, chunks: { start, end } }) =>
      Array.from({ length: end - start }, (_, at) => stored.get(`${xorb}/${start + at}`)),
    );
    expect(expanded).toEqual(chunks);
    const ranges = verificationRanges(terms);
    terms.forEach((term, position) => {
      const range = ranges[position] ?? { start: 0, end: 0 };
      expect(range.start).toBe(ranges[position - 1]?.end ?? 0);
      const own = chunks.slice(range.start, range.end);
      expect(term.unpackedLength).toBe(own.reduce((sum, chunk) => sum + lengthOf(chunk), 0));
      const before = terms[position - 1];
      if (before) {
        const last = { xorb: before.xorb, index: before.chunks.end - 1 };
        expect(follows({ xorb: term.xorb, index: term.chunks.start }, last)).toBe(false);
      }
    });
    expect(ranges.at(-1)?.end ?? 0).toBe(chunks.length);
  });
});

test('known chunks are not stored again until a file has 128 terms', () => {
  holds(
    200,
    fc.tuple(
      content.map((all) => all.slice(0, 120)),
      knownXorbs,
    ),
    ([chunks, foreign]) => {
      const { fresh, refused } = build(chunks, foreign, []);
      const known = new Set(foreign.flat());
      expect(new Set(fresh.map((at) => chunks[at])).size).toBe(fresh.length);
      expect(fresh.filter((at) => known.has(chunks[at] ?? -1))).toEqual([]);
      expect(refused).toBe(0);
    },
  );
});

/** A file of runs from distant places in ten thousand known chunks. */
function scattered(run: number, runs: number) {
  const xorb = Array.from({ length: 10_000 }, (_, chunk) => chunk);
  const chunks = Array.from({ length: runs }, (_, at) => xorb.slice((at * 37 * run) % 9000).slice(0, run)).flat();
  const { fresh } = build(chunks, [xorb], []);
  return { chunks: chunks.length, fresh: fresh.length };
}

test('short runs of known chunks are refused once a file has many of them, long runs never', () => {
  expect(scattered(4, 300).fresh).toBe(0);
  expect(scattered(8, 300).fresh).toBe(0);
  const { chunks, fresh } = scattered(3, 300);
  expect(fresh).toBe(0);
  expect(chunks).toBe(900);
  // Runs of three average three, so none of them is shorter than the average; single chunks between them are.
  const rule = new FragmentationRule();
  for (let term = 0; term < 128; term++) rule.added(3, false);
  expect(rule.allows(3)).toBe(true);
  expect(rule.allows(2)).toBe(false);
});

test('a known chunk that would fragment a fragmented file further is stored again, next to the other stored ones', () => {
  const xorb = Array.from({ length: 10_000 }, (_, chunk) => chunk);
  const runs = Array.from({ length: 200 }, (_, at) => [at * 20, at * 20 + 1, at * 20 + 2]);
  const single = Array.from({ length: 100 }, (_, at) => 5000 + at * 20);
  const { terms, fresh, refused, lengthOf } = build([...runs.flat(), ...single], [xorb], []);
  expect(fresh).toEqual(single.map((_, at) => 600 + at));
  expect(refused).toBe(single.reduce((sum, chunk) => sum + lengthOf(chunk), 0));
  // 300 without the rule; with it the hundred share xorbs, of two or three such chunks here.
  expect(terms.length).toBeLessThanOrEqual(250);
  expect(terms.slice(200).every(({ xorb: name }) => typeof name === 'number')).toBe(true);
});

test('after a refusal the average run length must recover before short runs are allowed', () => {
  const rule = new FragmentationRule({ window: 4, chunksPerTerm: 8, tolerance: 0.5 });
  for (let term = 0; term < 3; term++) rule.added(3, false);
  expect(rule.allows(1)).toBe(true);
  rule.added(3, false);
  expect(rule.allows(2)).toBe(false);
  rule.added(12, true);
  // 24 chunks in 4 terms: enough before, not enough now.
  expect(rule.allows(5)).toBe(false);
  expect(rule.allows(6)).toBe(true);
  rule.added(8, true);
  expect(rule.allows(1)).toBe(true);
  for (const chunks of [8, 4, 4, 2]) rule.added(chunks, false);
  expect(rule.allows(1)).toBe(true);
});
