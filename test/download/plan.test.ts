import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findRange, type Reconstruction } from '../../src/cas/reconstruction.ts';
import { MAX_CHUNK_BYTES } from '../../src/core/chunks.ts';
import type { ByteRange } from '../../src/core/ranges.ts';
import { joinPlans, type Plan, type PlanOptions, type Section, wasteOf } from '../../src/download/plan.ts';
import { planDownload, readReconstruction } from '../support/at-once.ts';
import { type Layout, layouts, toV2, toV2Merged, xorbHash } from '../support/cas-wire.ts';
import { holds, thrownBy } from '../support/property.ts';

const model = (layout: Layout) => readReconstruction(toV2(layout));
/** The plan for the first bytes of what a reconstruction was asked for, as a file that begins at byte 0. */
const planFor = (from: Reconstruction, length: number, { whole, ...options }: PlanOptions & { whole: boolean }) =>
  planDownload(
    { from, span: { start: 0, end: length }, exact: whole, wanted: length > 0 ? [{ start: 0, end: length }] : [] },
    options,
  );
const allBytes = ({ terms, offset }: Layout) => terms.reduce((sum, term) => sum + term.unpackedLength, -offset);

/** A reconstruction and how many of its bytes are wanted. */
const wishes = fc.tuple(layouts, fc.nat(), fc.boolean()).map(([layout, length, whole]) => ({
  layout,
  whole,
  length: whole ? allBytes(layout) : length % (allBytes(layout) + 1),
}));

/** A layout in which every chunk is equally long, as far as its lengths say so. */
const evenly = (layout: Layout, chunkBytes: number): Layout => {
  const terms = layout.terms.map((term) => ({
    ...term,
    unpackedLength: (term.chunks[1] - term.chunks[0]) * chunkBytes,
  }));
  return { ...layout, terms, offset: layout.offset % (terms[0]?.unpackedLength ?? 1) };
};

/** Most bytes that have been read and wait for a later piece, over the course of the file, where chunks are equally long. */
function mostHeld({ pieces, jobs }: Plan, chunkBytes: number): number {
  let most = 0;
  for (const at of pieces.keys()) {
    let chunksHeld = 0;
    for (const job of jobs) {
      const terms = (indices: number[]) => indices.flatMap((index) => pieces[index]?.term.chunks ?? []);
      const head = Math.max(0, ...terms(job.pieces.filter((index) => index <= at)).map(({ end }) => end));
      const later = terms(job.pieces.filter((index) => index > at));
      const held = new Set<number>();
      for (const { start, end } of later) for (let chunk = start; chunk < Math.min(end, head); chunk++) held.add(chunk);
      chunksHeld += held.size;
    }
    most = Math.max(most, chunksHeld * chunkBytes);
  }
  return most;
}

describe('pieces', () => {
  test('tile the wanted bytes exactly', () => {
    holds(300, wishes, ({ layout, length, whole }) => {
      const from = model(layout);
      const { pieces } = planFor(from, length, { whole, maxHeldBytes: 1e6 });
      // Where each piece's bytes lie, counted from the start of the first term.
      let termStart = 0;
      let next = layout.offset;
      pieces.forEach((piece, index) => {
        expect(piece.term).toBe(from.terms[index]);
        expect(termStart + piece.skip).toBe(next);
        expect(piece.at).toBe(next - layout.offset);
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
      expect(planFor(model(layout), 0, { whole: false, maxHeldBytes: 1e6 })).toEqual({ pieces: [], jobs: [] });
    });
    const empty: Reconstruction = { offsetIntoFirstTerm: 0, terms: [], xorbs: new Map() };
    expect(planFor(empty, 0, { whole: true, maxHeldBytes: 0 })).toEqual({ pieces: [], jobs: [] });
  });
});

describe('jobs', () => {
  const planned = fc.tuple(wishes, fc.oneof(fc.constant(0), fc.nat(200_000), fc.nat(20_000_000)));

  test.each([false, true])('serve each piece once, with a range that holds its term (together: %s)', (group) => {
    holds(300, planned, ([{ layout, length, whole }, maxHeldBytes]) => {
      const from = readReconstruction(toV2Merged(layout));
      const { pieces, jobs } = planFor(from, length, { whole, maxHeldBytes, group });
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
      const { jobs } = planFor(from, length, { whole, maxHeldBytes, group });
      const firsts = jobs.map((job) => job.pieces[0] ?? -1);
      expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
      expect(new Set(firsts).size).toBe(firsts.length);
    });
  });

  test('fetch each range once when what is held may be large', () => {
    holds(200, wishes, ({ layout, length, whole }) => {
      for (const group of [false, true]) {
        const from = readReconstruction(toV2Merged(layout));
        const { jobs } = planFor(from, length, { whole, maxHeldBytes: Number.MAX_SAFE_INTEGER, group });
        const ranges = jobs.flatMap((job) => job.ranges);
        expect(new Set(ranges).size).toBe(ranges.length);
      }
    });
  });

  test('fetch each range once when all chunks of the file could be held', () => {
    holds(200, wishes, ({ layout, whole }) => {
      const even = evenly(layout, MAX_CHUNK_BYTES);
      const from = readReconstruction(toV2Merged(even));
      const chunks = new Set<string>();
      for (const { xorb, chunks: range } of from.terms) {
        for (let chunk = range.start; chunk < range.end; chunk++) chunks.add(`${xorb} ${chunk}`);
      }
      const { jobs } = planFor(from, allBytes(even), { whole, maxHeldBytes: chunks.size * MAX_CHUNK_BYTES });
      const ranges = jobs.flatMap((job) => job.ranges);
      expect(new Set(ranges).size).toBe(ranges.length);
      expect(jobs.some(({ again }) => again)).toBe(false);
    });
  });

  test.each([false, true])('hold no more than they may (together: %s)', (group) => {
    const chunkLengths = fc.integer({ min: 1, max: MAX_CHUNK_BYTES });
    holds(300, fc.tuple(planned, chunkLengths), ([[{ layout, whole }, maxHeldBytes], chunkBytes]) => {
      const even = evenly(layout, chunkBytes);
      const from = readReconstruction(toV2Merged(even));
      const plan = planFor(from, allBytes(even), { whole, maxHeldBytes, group });
      expect(mostHeld(plan, chunkBytes)).toBeLessThanOrEqual(maxHeldBytes);
    });
  });

  /** A xorb whose first address has one range with all of it. */
  const oneXorb = (terms: [start: number, end: number][], chunkBytes: number): Layout => ({
    offset: 0,
    xorbs: [{ hash: xorbHash(1), ranges: [{ chunks: [0, 8192], bytes: [0, 1000], url: 'https://cdn.test/' }] }],
    terms: terms.map((chunks) => ({ xorb: 0, chunks, unpackedLength: (chunks[1] - chunks[0]) * chunkBytes })),
  });

  test('hold of a term that goes on where the range was left only what was read already', () => {
    // As in a model whose last tensor begins with the page of zeros that stands between the others.
    const terms: [number, number][] = [
      [0, 83],
      ...Array.from({ length: 5 }, () => [82, 83] as [number, number]),
      [82, 1004],
    ];
    const layout = oneXorb(terms, 64 * 1024);
    const { jobs } = planFor(model(layout), allBytes(layout), { whole: true, maxHeldBytes: 128 * 1024 });
    expect(jobs).toHaveLength(1);
  });

  test('hold a chunk once, however many pieces want it', () => {
    const layout = oneXorb(
      Array.from({ length: 80_000 }, () => [0, 1]),
      MAX_CHUNK_BYTES,
    );
    const { jobs } = planFor(model(layout), allBytes(layout), { whole: true, maxHeldBytes: MAX_CHUNK_BYTES });
    expect(jobs.map(({ pieces }) => pieces.length)).toEqual([80_000]);
  });

  test('say which of them fetch a range again', () => {
    const layout = oneXorb(
      [
        [0, 100],
        [0, 100],
        [0, 100],
      ],
      64 * 1024,
    );
    const { jobs } = planFor(model(layout), allBytes(layout), { whole: true, maxHeldBytes: 1000 });
    expect(jobs.map(({ again }) => again)).toEqual([false, true, true]);
  });

  test.each<[string, (index: number) => [number, number]]>([
    ['the same chunk', () => [0, 1]],
    ['the same thousand chunks', () => [0, 1000]],
    ['ranges that overlap', (index) => [index % 7000, (index % 7000) + 1000]],
    ['ranges that repeat', (index) => [(index * 37) % 8000, ((index * 37) % 8000) + 1 + (index % 150)]],
    ['one chunk after the other, from the last on', (index) => [8191 - (index % 8192), 8192 - (index % 8192)]],
    ['small and large ones in turn', (index) => (index % 2 ? [0, 8192] : [index % 8192, (index % 8192) + 1])],
  ])('are planned with a look at each piece a few times, for ten thousand terms of %s', (_what, chunksOf) => {
    const layout = oneXorb(
      Array.from({ length: 10_000 }, (_, index) => chunksOf(index)),
      8192,
    );
    const from = model(layout);
    for (const maxHeldBytes of [0, 1_000_000, 12 * 1024 * 1024, Number.POSITIVE_INFINITY]) {
      let looks = 0;
      for (const term of from.terms) {
        const { chunks } = term;
        Object.defineProperty(term, 'chunks', {
          configurable: true,
          get: () => {
            looks++;
            return chunks;
          },
        });
      }
      const { pieces, jobs } = planFor(from, allBytes(layout), { whole: true, maxHeldBytes });
      expect(pieces).toHaveLength(10_000);
      expect(jobs.reduce((sum, job) => sum + job.pieces.length, 0)).toBe(10_000);
      expect(looks).toBeLessThanOrEqual(5 * 10_000);
    }
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
      planFor(readReconstruction(toV2Merged(layout)), allBytes(layout), {
        whole: true,
        maxHeldBytes: 1e9,
        ...options,
      }).jobs.map((job) => job.ranges.length);
    expect(jobs(ranges(5, 1000), { group: true })).toEqual([5]);
    expect(jobs(ranges(5, 1000), { group: false })).toEqual([1, 1, 1, 1, 1]);
    expect(jobs(ranges(250, 1000), { group: true })).toEqual([100, 100, 50]);
    // They come in the order in which they are wanted, so nothing has to be held.
    expect(jobs(ranges(5, 1000), { group: true, maxHeldBytes: 0 })).toEqual([5]);
    // Large ones are better off by themselves: they run side by side.
    expect(jobs(ranges(3, 300_000), { group: true })).toEqual([1, 1, 1]);
    // A plan that does not say so does not ask for several.
    const alone = planFor(readReconstruction(toV2Merged(ranges(2, 1000))), 200, {
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
      planFor(model(layout), 4000, { whole: true, maxHeldBytes }).jobs.map((job) => job.pieces);
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
        const error = thrownBy(() => planFor(model(layout), length, { whole: true, maxHeldBytes: 1e6 }));
        expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
      }
    });
  });

  test('is PROTOCOL for a range that it does not reach', () => {
    holds(100, fc.tuple(layouts, fc.integer({ min: 1, max: 300_000 })), ([layout, more]) => {
      const error = thrownBy(() =>
        planFor(model(layout), allBytes(layout) + more, { whole: false, maxHeldBytes: 1e6 }),
      );
      expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
    });
  });

  test('is PROTOCOL for a file without terms', () => {
    const empty: Reconstruction = { offsetIntoFirstTerm: 0, terms: [], xorbs: new Map() };
    for (const whole of [true, false]) {
      expect(thrownBy(() => planFor(empty, 1, { whole, maxHeldBytes: 1 }))).toMatchObject({ code: 'PROTOCOL' });
    }
  });
});

/** What is wanted of a reconstruction that was asked for from some byte of a file on: runs with holes between them. */
const wishesWithHoles = fc
  .tuple(layouts, fc.nat(5_000_000), fc.boolean(), fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 8 }))
  .map(([layout, start, exact, cuts]) => {
    const all = allBytes(layout);
    const wanted: ByteRange[] = [];
    for (let at = 0, index = 0; index < cuts.length && at < all; index++) {
      const [gap, length] = cuts[index] ?? [0, 0];
      const from = at + (gap % Math.max(1, Math.ceil((all - at) / 3)));
      const to = Math.min(all, from + 1 + (length % Math.max(1, Math.ceil((all - from) / 2))));
      if (from < to) wanted.push({ start: start + from, end: start + to });
      at = to;
    }
    return { layout, exact, span: { start, end: start + all }, wanted };
  });

const sectionOf = ({ layout, span, exact, wanted }: { layout: Layout } & Omit<Section, 'from'>): Section => ({
  from: readReconstruction(toV2Merged(layout)),
  span,
  exact,
  wanted,
});

/** Where the bytes of a piece lie in the file; adjacent ones of different terms stay apart. */
const bytesOf = ({ pieces }: Plan): ByteRange[] => pieces.map(({ at, length }) => ({ start: at, end: at + length }));

function joinedUp(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: ByteRange[] = [];
  for (const { start, end } of ranges) {
    const last = joined.at(-1);
    if (last?.end === start) last.end = end;
    else joined.push({ start, end });
  }
  return joined;
}

describe('holes in what is wanted', () => {
  test('are not planned, and everything else is, once and in order', () => {
    holds(500, wishesWithHoles, (wish) => {
      const section = sectionOf(wish);
      const plan = planDownload(section, { maxHeldBytes: 1e6 });
      expect(joinedUp(bytesOf(plan))).toEqual(joinedUp(section.wanted));
      for (const piece of plan.pieces) expect(piece.length).toBeGreaterThan(0);
    });
  });

  test('leave each piece in its term, and its term in a range of its job', () => {
    holds(500, fc.tuple(wishesWithHoles, fc.nat(2_000_000), fc.boolean()), ([wish, maxHeldBytes, group]) => {
      const section = sectionOf(wish);
      const { pieces, jobs } = planDownload(section, { maxHeldBytes, group });
      const starts: number[] = [];
      let at = section.span.start - section.from.offsetIntoFirstTerm;
      for (const { unpackedLength } of section.from.terms) {
        starts.push(at);
        at += unpackedLength;
      }
      let earlier = 0;
      for (const piece of pieces) {
        const index = section.from.terms.indexOf(piece.term);
        expect(index).toBeGreaterThanOrEqual(earlier);
        earlier = index;
        expect((starts[index] ?? 0) + piece.skip).toBe(piece.at);
        expect(piece.skip + piece.length).toBeLessThanOrEqual(piece.term.unpackedLength);
        const range = findRange(section.from, piece.term)?.range;
        expect(jobs[piece.job]?.ranges).toContain(range);
      }
      expect(jobs.flatMap((job) => job.pieces).sort((a, b) => a - b)).toEqual(pieces.map((_, index) => index));
      // No job is there for nothing, and no range of one.
      for (const job of jobs) {
        const used = new Set(job.pieces.map((index) => pieces[index] && findRange(section.from, pieces[index].term)));
        expect(used.size).toBeGreaterThan(0);
        expect(new Set(job.ranges)).toEqual(new Set([...used].map((place) => place?.range)));
      }
    });
  });

  test('that are everything leave nothing to do', () => {
    holds(50, wishesWithHoles, (wish) => {
      const plan = planDownload({ ...sectionOf(wish), wanted: [] }, { maxHeldBytes: 1e6 });
      expect(plan).toEqual({ pieces: [], jobs: [] });
      expect(wasteOf(plan)).toBe(0);
    });
  });
});

describe('the end of a file', () => {
  const withEnd = fc.tuple(wishesWithHoles, fc.integer({ min: 1, max: 300_000 }));

  test('must be where the terms end, if the end of what was asked for is that of the file', () => {
    holds(200, withEnd, ([wish, more]) => {
      const section = sectionOf(wish);
      const longer = { ...section, span: { ...section.span, end: section.span.end + more } };
      const shorter = { ...section, span: { ...section.span, end: section.span.end - more } };
      const inside = section.wanted.filter(({ end }) => end <= shorter.span.end);
      for (const exact of [true, false]) {
        const plan = (changed: Section) => thrownBy(() => planDownload({ ...changed, exact }, { maxHeldBytes: 0 }));
        expect(plan({ ...longer })).toMatchObject({ code: 'PROTOCOL', message: /shorter/ });
        const error = plan({ ...shorter, wanted: inside });
        if (exact) expect(error).toMatchObject({ code: 'PROTOCOL', message: /longer/ });
        else expect(error).toEqual(new Error('Nothing was thrown'));
      }
    });
  });
});

describe('plans joined', () => {
  const several = fc.tuple(fc.array(wishesWithHoles, { maxLength: 4 }), fc.constantFrom(0, 50_000, 1e9), fc.boolean());

  test('do what each of them would have done', () => {
    holds(200, several, ([wishes, maxHeldBytes, group]) => {
      const plans = wishes.map((wish) => planDownload(sectionOf(wish), { maxHeldBytes, group }));
      const before = JSON.stringify(plans);
      const joined = joinPlans(plans);
      expect(bytesOf(joined)).toEqual(plans.flatMap(bytesOf));
      expect(joined.jobs).toHaveLength(plans.reduce((sum, { jobs }) => sum + jobs.length, 0));
      let firstJob = 0;
      let firstPiece = 0;
      for (const [section, plan] of plans.entries()) {
        for (const [index, job] of plan.jobs.entries()) {
          const here = joined.jobs[firstJob + index];
          expect(here?.section).toBe(section);
          expect(here?.signed).toBe(job.signed);
          expect(here?.ranges).toBe(job.ranges);
          expect(here?.pieces.map((piece) => joined.pieces[piece]?.term)).toEqual(
            job.pieces.map((piece) => plan.pieces[piece]?.term),
          );
        }
        for (const [index, piece] of plan.pieces.entries()) {
          expect(joined.pieces[firstPiece + index]).toEqual({ ...piece, job: piece.job + firstJob });
        }
        firstJob += plan.jobs.length;
        firstPiece += plan.pieces.length;
      }
      expect(JSON.stringify(plans)).toBe(before);
    });
  });

  test('serve each piece by the job that it names, in the order of first use', () => {
    holds(200, several, ([wishes, maxHeldBytes, group]) => {
      const { pieces, jobs } = joinPlans(wishes.map((wish) => planDownload(sectionOf(wish), { maxHeldBytes, group })));
      for (const [index, piece] of pieces.entries()) expect(jobs[piece.job]?.pieces).toContain(index);
      const firsts = jobs.map((job) => job.pieces[0] ?? -1);
      expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
    });
  });
});

describe('what a plan fetches for nothing', () => {
  /** All chunks are equally long, so that it can be told exactly. */
  const even = fc.tuple(wishesWithHoles, fc.integer({ min: 1, max: 1000 })).map(([wish, chunkBytes]) => {
    const terms = wish.layout.terms.map((term) => ({
      ...term,
      unpackedLength: (term.chunks[1] - term.chunks[0]) * chunkBytes,
    }));
    const layout = { ...wish.layout, terms, offset: wish.layout.offset % (terms[0]?.unpackedLength ?? 1) };
    const end = wish.span.start + allBytes(layout);
    const wanted = wish.wanted
      .map(({ start, end: last }) => ({ start, end: Math.min(last, end) }))
      .filter((one) => one.start < one.end);
    return { section: sectionOf({ ...wish, layout, span: { start: wish.span.start, end }, wanted }), chunkBytes };
  });

  test('is what the ranges of its jobs hold beside what is wanted', () => {
    holds(500, fc.tuple(even, fc.constantFrom(0, 20_000, 1e9)), ([{ section, chunkBytes }, maxHeldBytes]) => {
      const plan = planDownload(section, { maxHeldBytes });
      let waste = 0;
      for (const job of plan.jobs) {
        const chunks = job.ranges.reduce((sum, range) => sum + range.chunks.end - range.chunks.start, 0);
        const taken = job.pieces.reduce((sum, index) => sum + (plan.pieces[index]?.length ?? 0), 0);
        waste += Math.max(0, chunks * chunkBytes - taken);
      }
      expect(wasteOf(plan)).toBeCloseTo(waste, 3);
    });
  });

  test('is nothing where each range is one term and all of it is wanted', () => {
    holds(200, fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 131_072 })), ([count, length]) => {
      const layout: Layout = {
        offset: 0,
        xorbs: Array.from({ length: count }, (_, at) => ({
          hash: xorbHash(at + 1),
          ranges: [{ chunks: [0, 1 + (at % 7)], bytes: [0, 1000], url: 'https://cdn.test/' }],
        })),
        terms: Array.from({ length: count }, (_, at) => ({
          xorb: at,
          chunks: [0, 1 + (at % 7)],
          unpackedLength: length * (1 + (at % 7)),
        })),
      };
      const plan = planFor(model(layout), allBytes(layout), { whole: true, maxHeldBytes: 0 });
      expect(wasteOf(plan)).toBeCloseTo(0, 3);
      // Without its second half, the other half comes for nothing.
      const half = Math.ceil(allBytes(layout) / 2);
      const first = planFor(model(layout), half, { whole: false, maxHeldBytes: 0 });
      const fetched = first.pieces.reduce((sum, { term }) => sum + term.unpackedLength, 0);
      expect(wasteOf(first)).toBeCloseTo(fetched - half, 3);
    });
  });

  test('adds up over plans that are joined', () => {
    holds(200, fc.array(even, { maxLength: 4 }), (all) => {
      const plans = all.map(({ section }) => planDownload(section, { maxHeldBytes: 1e9 }));
      expect(wasteOf(joinPlans(plans))).toBeCloseTo(
        plans.reduce((sum, plan) => sum + wasteOf(plan), 0),
        3,
      );
    });
  });

  test('counts a range that is fetched a second time', () => {
    const layout: Layout = {
      offset: 0,
      xorbs: [{ hash: xorbHash(1), ranges: [{ chunks: [0, 10], bytes: [0, 1000], url: 'https://cdn.test/' }] }],
      terms: [{ xorb: 0, chunks: [0, 10], unpackedLength: 1000 }],
    };
    const wanted = [
      { start: 0, end: 400 },
      { start: 500, end: 1000 },
    ];
    const plan = (maxHeldBytes: number) =>
      planDownload({ from: model(layout), span: { start: 0, end: 1000 }, exact: true, wanted }, { maxHeldBytes });
    expect(plan(1000).jobs).toHaveLength(1);
    expect(wasteOf(plan(1000))).toBe(100);
    expect(plan(999).jobs).toHaveLength(2);
    expect(wasteOf(plan(999))).toBe(1100);
  });
});
