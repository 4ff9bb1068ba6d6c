import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findRange, type Reconstruction, readReconstruction } from '../../src/cas/reconstruction.ts';
import { type Plan, planDownload } from '../../src/download/plan.ts';
import { type Layout, layouts, toV2, toV2Merged, xorbHash } from '../cas/wire.ts';
import { holds, thrownBy } from '../http/property.ts';

const model = (layout: Layout) => readReconstruction(toV2(layout));
const allBytes = ({ terms, offset }: Layout) => terms.reduce((sum, term) => sum + term.unpackedLength, -offset);

/** A reconstruction and how many of its bytes are wanted. */
const wishes = fc.tuple(layouts, fc.nat(), fc.boolean()).map(([layout, length, whole]) => ({
  layout,
  whole,
  length: whole ? allBytes(layout) : length % (allBytes(layout) + 1),
}));

/** Most bytes that have been fetched and wait for a later piece, over the course of the file. */
function mostHeld({ pieces, jobs }: Plan): number {
  const held = pieces.map((_, at) => {
    const begun = jobs.filter((job) => (job.pieces[0] ?? 0) <= at);
    const waiting = begun.flatMap((job) => job.pieces.filter((index) => index > at));
    return waiting.reduce((sum, index) => sum + (pieces[index]?.term.unpackedLength ?? 0), 0);
  });
  return Math.max(0, ...held);
}

describe('pieces', () => {
  test('tile the wanted bytes exactly', () => {
    holds(300, wishes, ({ layout, length, whole }) => {
      const from = model(layout);
      const { pieces } = planDownload(from, length, { whole, maxHeldBytes: 1e6 });
      // Where each piece's bytes lie, counted from the start of the first term.
      let termStart = 0;
      let next = layout.offset;
      pieces.forEach((piece, index) => {
        expect(piece.term).toBe(from.terms[index]);
        expect(termStart + piece.skip).toBe(next);
        expect(piece.skip + piece.length).toBeLessThanOrEqual(piece.term.unpackedLength);
        next += piece.length;
        termStart += piece.term.unpackedLength;
      });
      expect(next - layout.offset).toBe(length);
      if (whole) expect(pieces).toHaveLength(from.terms.length);
      // None is there for nothing.
      for (const piece of pieces) expect(piece.length).toBeGreaterThan(0);
    });
  });

  test('nothing wanted is nothing planned', () => {
    holds(30, layouts, (layout) => {
      expect(planDownload(model(layout), 0, { whole: false, maxHeldBytes: 1e6 })).toEqual({ pieces: [], jobs: [] });
    });
    const empty: Reconstruction = { offsetIntoFirstTerm: 0, terms: [], xorbs: new Map() };
    expect(planDownload(empty, 0, { whole: true, maxHeldBytes: 0 })).toEqual({ pieces: [], jobs: [] });
  });
});

describe('jobs', () => {
  const planned = fc.tuple(wishes, fc.oneof(fc.constant(0), fc.nat(200_000), fc.nat(20_000_000)));

  test.each([false, true])('serve each piece once, with a range that holds its term (together: %s)', (group) => {
    holds(300, planned, ([{ layout, length, whole }, maxHeldBytes]) => {
      const from = readReconstruction(toV2Merged(layout));
      const { pieces, jobs } = planDownload(from, length, { whole, maxHeldBytes, group });
      expect(jobs.flatMap((job) => job.pieces).sort((a, b) => a - b)).toEqual(pieces.map((_, index) => index));
      jobs.forEach((job, index) => {
        expect(job.ranges.length).toBeGreaterThan(0);
        if (!group) expect(job.ranges).toHaveLength(1);
        for (const range of job.ranges) expect(job.signed.ranges).toContain(range);
        // Ascending and each once, as a server may insist.
        job.ranges.forEach((range, at) => {
          expect(range.bytes.start).toBeGreaterThanOrEqual(job.ranges[at - 1]?.bytes.end ?? 0);
        });
        // None is fetched for nothing.
        const used = job.pieces.map((at) => pieces[at] && findRange(from, pieces[at].term)?.range);
        expect(new Set(job.ranges)).toEqual(new Set(used));
        expect([...job.pieces].sort((a, b) => a - b)).toEqual(job.pieces);
        for (const at of job.pieces) {
          const piece = pieces[at];
          expect(piece?.job).toBe(index);
          expect(piece?.term.xorb).toBe(job.signed.xorb);
        }
      });
    });
  });

  test.each([false, true])('are in the order of first use (together: %s)', (group) => {
    holds(300, planned, ([{ layout, length, whole }, maxHeldBytes]) => {
      const from = readReconstruction(toV2Merged(layout));
      const { jobs } = planDownload(from, length, { whole, maxHeldBytes, group });
      const firsts = jobs.map((job) => job.pieces[0] ?? -1);
      expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
      expect(new Set(firsts).size).toBe(firsts.length);
    });
  });

  test('fetch each range once when what is held may be large', () => {
    holds(200, wishes, ({ layout, length, whole }) => {
      for (const group of [false, true]) {
        const from = readReconstruction(toV2Merged(layout));
        const { jobs } = planDownload(from, length, { whole, maxHeldBytes: Number.MAX_SAFE_INTEGER, group });
        const ranges = jobs.flatMap((job) => job.ranges);
        expect(new Set(ranges).size).toBe(ranges.length);
      }
    });
  });

  test('fetch each range once when what they need to hold just fits', () => {
    holds(200, wishes, ({ layout, length, whole }) => {
      const once = planDownload(model(layout), length, { whole, maxHeldBytes: Number.MAX_SAFE_INTEGER });
      const { jobs } = planDownload(model(layout), length, { whole, maxHeldBytes: mostHeld(once) });
      expect(jobs).toHaveLength(once.jobs.length);
    });
  });

  test.each([false, true])('hold no more than they may (together: %s)', (group) => {
    holds(300, planned, ([{ layout, length, whole }, maxHeldBytes]) => {
      const from = readReconstruction(toV2Merged(layout));
      const plan = planDownload(from, length, { whole, maxHeldBytes, group });
      expect(mostHeld(plan)).toBeLessThanOrEqual(maxHeldBytes);
    });
  });

  test('ask for small ranges of one address together, where that is allowed, and a hundred at most', () => {
    const ranges = (count: number, bytesEach: number): Layout => ({
      offset: 0,
      xorbs: [
        {
          hash: xorbHash(1),
          ranges: Array.from({ length: count }, (_, at) => ({
            chunks: [at * 2, at * 2 + 1],
            bytes: [at * bytesEach * 2, at * bytesEach * 2 + bytesEach],
            url: 'https://cdn.test/',
          })),
        },
      ],
      terms: Array.from({ length: count }, (_, at) => ({ xorb: 0, chunks: [at * 2, at * 2 + 1], unpackedLength: 100 })),
    });
    const jobs = (layout: Layout, options: { group: boolean; maxHeldBytes?: number }) =>
      planDownload(readReconstruction(toV2Merged(layout)), allBytes(layout), {
        whole: true,
        maxHeldBytes: 1e9,
        ...options,
      }).jobs.map((job) => job.ranges.length);
    expect(jobs(ranges(5, 1000), { group: true })).toEqual([5]);
    expect(jobs(ranges(5, 1000), { group: false })).toEqual([1, 1, 1, 1, 1]);
    expect(jobs(ranges(250, 1000), { group: true })).toEqual([100, 100, 50]);
    // What each request holds counts here as well: the first piece is handed on, the others wait.
    expect(jobs(ranges(5, 1000), { group: true, maxHeldBytes: 100 })).toEqual([2, 2, 1]);
    // Large ones are better off by themselves: they run side by side.
    expect(jobs(ranges(3, 300_000), { group: true })).toEqual([1, 1, 1]);
    // A plan that does not say so does not ask for several.
    const alone = planDownload(readReconstruction(toV2Merged(ranges(2, 1000))), 200, {
      whole: true,
      maxHeldBytes: 1e9,
    });
    expect(alone.jobs).toHaveLength(2);
  });

  test('fetch again what may not be held', () => {
    const [a, b] = [xorbHash(1), xorbHash(2)];
    const layout: Layout = {
      offset: 0,
      xorbs: [a, b].map((hash) => ({
        hash,
        ranges: [{ chunks: [0, 10], bytes: [0, 1000], url: 'https://cdn.test/' }],
      })),
      terms: [0, 1, 0, 1].map((xorb) => ({ xorb, chunks: [0, 10] as [number, number], unpackedLength: 1000 })),
    };
    const pieces = (maxHeldBytes: number) =>
      planDownload(model(layout), 4000, { whole: true, maxHeldBytes }).jobs.map((job) => job.pieces);
    expect(pieces(2000)).toEqual([
      [0, 2],
      [1, 3],
    ]);
    expect(pieces(1999)).toEqual([[0, 2], [1], [3]]);
    expect(pieces(999)).toEqual([[0], [1], [2], [3]]);
  });
});

describe("a length that is not the reconstruction's", () => {
  test('is PROTOCOL for a whole file', () => {
    holds(200, fc.tuple(layouts, fc.integer({ min: 1, max: 300_000 })), ([layout, more]) => {
      const all = allBytes(layout);
      for (const length of [all + more, Math.max(0, all - more)]) {
        const error = thrownBy(() => planDownload(model(layout), length, { whole: true, maxHeldBytes: 1e6 }));
        expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
      }
    });
  });

  test('is PROTOCOL for a range that it does not reach', () => {
    holds(100, fc.tuple(layouts, fc.integer({ min: 1, max: 300_000 })), ([layout, more]) => {
      const error = thrownBy(() =>
        planDownload(model(layout), allBytes(layout) + more, { whole: false, maxHeldBytes: 1e6 }),
      );
      expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
    });
  });

  test('is PROTOCOL for a file without terms', () => {
    const empty: Reconstruction = { offsetIntoFirstTerm: 0, terms: [], xorbs: new Map() };
    for (const whole of [true, false]) {
      expect(thrownBy(() => planDownload(empty, 1, { whole, maxHeldBytes: 1 }))).toMatchObject({ code: 'PROTOCOL' });
    }
  });
});
