import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ProbeAt, splitAtProbes } from '../../src/cache/chunk-probe.ts';
import type { LocalCaches } from '../../src/cache/local-caches.ts';
import type { CasClient } from '../../src/cas/client.ts';
import type { FetchRange, PlacedTerm, Reconstruction, SignedXorb, Term } from '../../src/cas/reconstruction.ts';
import type { LocalPart } from '../../src/core/content.ts';
import { type ByteRange, lengthOf, without } from '../../src/core/ranges.ts';
import { wasteOf } from '../../src/download/plan.ts';
import type { Stage } from '../../src/download/stages.ts';
import { WindowPlanner } from '../../src/download/stages.ts';
import { xorbHash } from '../support/cas-wire.ts';
import { holdsAsync, rejectionOf } from '../support/property.ts';

const FILE_HASH = xorbHash(999);
const signal = new AbortController().signal;

/** A file as those who know everything see it. */
interface Model {
  /** Lengths of the chunks of each xorb, in bytes. */
  xorbs: number[][];
  terms: { xorb: number; start: number; end: number }[];
}

interface PlacedChunk extends ByteRange {
  xorb: number;
  index: number;
}

const chunkBytes = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 8192, max: 131_072 }));

const models: fc.Arbitrary<Model> = fc
  .record({
    xorbs: fc.array(fc.array(chunkBytes, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 }),
    terms: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 14 }),
  })
  .map(({ xorbs, terms }) => ({
    xorbs,
    terms: terms.map(([which, first, length]) => {
      const xorb = which % xorbs.length;
      const count = xorbs[xorb]?.length ?? 1;
      const start = first % count;
      return { xorb, start, end: start + 1 + (length % (count - start)) };
    }),
  }));

function chunksOf({ xorbs, terms }: Model): PlacedChunk[] {
  let at = 0;
  return terms.flatMap(({ xorb, start, end }) =>
    Array.from({ length: end - start }, (_, offset) => {
      const chunk = { xorb, index: start + offset, start: at, end: at + (xorbs[xorb]?.[start + offset] ?? 0) };
      at = chunk.end;
      return chunk;
    }),
  );
}

const sizeOf = (model: Model) => chunksOf(model).at(-1)?.end ?? 0;

const lengthIn = (model: Model, xorb: number, start: number, end: number) =>
  (model.xorbs[xorb] ?? []).slice(start, end).reduce((sum, length) => sum + length, 0);

function termOf(model: Model, { xorb, start, end }: Model['terms'][number]): Term {
  return {
    xorb: xorbHash(xorb + 1),
    chunks: { start, end },
    unpackedLength: lengthIn(model, xorb, start, end),
  };
}

function placedTerms(model: Model): PlacedTerm[] {
  let at = 0;
  return model.terms.map((term) => {
    const placed = { ...termOf(model, term), at };
    at += placed.unpackedLength;
    return placed;
  });
}

/** What a CAS says of a range: the chunks that meet it, whole. */
function reconstruct(model: Model, range: ByteRange, apart: boolean): Reconstruction {
  const terms: Model['terms'] = [];
  let offset: number | undefined;
  let at = 0;
  for (const { xorb, start, end } of model.terms) {
    for (let index = start; index < end; index++) {
      const next = at + lengthIn(model, xorb, index, index + 1);
      if (at < range.end && range.start < next) {
        offset ??= range.start - at;
        const last = terms.at(-1);
        if (index > start && last && last.end === index && last.xorb === xorb) last.end++;
        else terms.push({ xorb, start: index, end: index + 1 });
      }
      at = next;
    }
  }
  const xorbs = new Map<string, SignedXorb[]>();
  for (const xorb of new Set(terms.map((term) => term.xorb))) {
    const used = terms.filter((term) => term.xorb === xorb).sort((a, b) => a.start - b.start || a.end - b.end);
    const runs: { start: number; end: number }[] = [];
    for (const { start, end } of used) {
      const last = runs.at(-1);
      // Ranges that overlap are one; those that touch may be.
      if (last && (apart ? start < last.end : start <= last.end)) last.end = Math.max(last.end, end);
      else runs.push({ start, end });
    }
    const physical = (chunk: number) => lengthIn(model, xorb, 0, chunk) + chunk * 8;
    const ranges = runs.map(
      (chunks): FetchRange => ({ chunks, bytes: { start: physical(chunks.start), end: physical(chunks.end) } }),
    );
    const signed = (some: FetchRange[]) => ({ xorb: xorbHash(xorb + 1), url: 'https://cdn.test/', ranges: some });
    xorbs.set(xorbHash(xorb + 1), apart ? ranges.map((one) => signed([one])) : [signed(ranges)]);
  }
  return { offsetIntoFirstTerm: offset ?? 0, terms: terms.map((term) => termOf(model, term)), xorbs };
}

/** A CAS of one file, that notes what it was asked. */
class FakeCas implements Pick<CasClient, 'reconstruction'> {
  readonly asked: ByteRange[] = [];
  readonly #model: Model;
  readonly #apart: boolean;

  constructor(model: Model, apart = false) {
    this.#model = model;
    this.#apart = apart;
  }

  async reconstruction(fileHash: string, range: ByteRange): Promise<Reconstruction> {
    expect(fileHash).toBe(FILE_HASH);
    expect(range.start).toBeLessThan(range.end);
    expect(range.end).toBeLessThanOrEqual(sizeOf(this.#model));
    this.asked.push(range);
    return reconstruct(this.#model, range, this.#apart);
  }
}

interface Held {
  known: boolean;
  /** Of each chunk of the file, whether it is here. */
  here: (chunk: PlacedChunk) => boolean;
  /** Whether the places of chunks in the middle of terms are to be asked for. */
  anchors?: boolean;
}

/** Caches of one file that find what they find by the terms that they are given, as the true ones do. */
class FakeCaches implements CachesLike {
  readonly #model: Model;
  readonly #held: Held;
  /** How many places were asked for, stage by stage. */
  readonly places: number[] = [];
  readonly wanted: (readonly ByteRange[])[] = [];

  constructor(model: Model, held: Held) {
    this.#model = model;
    this.#held = held;
  }

  async termsOf(fileHash: string, size: number): Promise<PlacedTerm[] | undefined> {
    expect(fileHash).toBe(FILE_HASH);
    expect(size).toBe(sizeOf(this.#model));
    return this.#held.known ? placedTerms(this.#model) : undefined;
  }

  async findLocalParts(
    _file: string,
    terms: readonly PlacedTerm[],
    wanted: readonly ByteRange[],
  ): Promise<LocalPart[]> {
    this.wanted.push(wanted);
    const found: LocalPart[] = [];
    for (const term of terms) {
      const xorb = this.#model.xorbs.findIndex((_, index) => xorbHash(index + 1) === term.xorb);
      let start = term.at;
      let joins = false;
      for (let index = term.chunks.start; index < term.chunks.end; index++) {
        const end = start + lengthIn(this.#model, xorb, index, index + 1);
        const last = found.at(-1);
        const here = this.#held.here({ xorb, index, start, end });
        if (here && joins && last) last.end = end;
        else if (here) found.push({ start, end, chunks: new Uint8Array(), read: () => nothing() });
        joins = here;
        start = end;
      }
    }
    return found.filter((part) => wanted.some(({ start, end }) => part.start < end && start < part.end));
  }

  /** Cuts somewhere in the first and the last third of each wanted term, be anything there or not. */
  async splitTerms(terms: readonly PlacedTerm[], wanted: readonly ByteRange[], ask: ProbeAt) {
    const needed = terms.filter(({ at, unpackedLength }) =>
      wanted.some(({ start, end }) => start < at + unpackedLength && at < end),
    );
    const places = this.#held.anchors
      ? needed.flatMap(({ at, unpackedLength }) => [1, 2].map((third) => at + Math.floor((unpackedLength * third) / 3)))
      : [];
    this.places.push(places.length);
    return splitAtProbes(terms, places, ask);
  }
}

async function* nothing() {}

type CachesLike = Pick<LocalCaches, 'termsOf' | 'findLocalParts' | 'splitTerms'>;

interface Case {
  model: Model;
  range: ByteRange;
  windowBytes: number;
  had: ByteRange[];
  apart: boolean;
  group: boolean;
  maxHeldBytes: number;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    model: models,
    from: fc.nat(),
    to: fc.nat(),
    whole: fc.boolean(),
    window: fc.nat(),
    had: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 10 }),
    apart: fc.boolean(),
    group: fc.boolean(),
    maxHeldBytes: fc.constantFrom(0, 100_000, 1e9),
  })
  .map(({ model, from, to, whole, window, had, ...rest }) => {
    const size = sizeOf(model);
    const [a, b] = [from % (size + 1), to % (size + 1)];
    const range = whole ? { start: 0, end: size } : { start: Math.min(a, b), end: Math.max(a, b) };
    const parts: ByteRange[] = [];
    let at = 0;
    for (const [gap, length] of had) {
      const start = at + (gap % Math.max(1, Math.ceil((size - at) / 3)));
      const end = Math.min(size, start + 1 + (length % Math.max(1, Math.ceil((size - start) / 3))));
      if (start < end) parts.push({ start, end });
      at = end;
    }
    return { model, range, windowBytes: Math.ceil(size / 40) + (window % (size + 10)), had: parts, ...rest };
  });

interface Run {
  stages: WindowPlanner;
  all: Stage[];
  /** What was asked for each stage. */
  asked: ByteRange[][];
  wanted: (readonly ByteRange[])[];
  places: number[];
}

async function run({ model, range, windowBytes, had, apart, group, maxHeldBytes }: Case, held?: Held): Promise<Run> {
  const cas = new FakeCas(model, apart);
  const caches = held && new FakeCaches(model, held);
  const stages = new WindowPlanner({
    cas: cas as Pick<CasClient, 'reconstruction'> as CasClient,
    fileHash: FILE_HASH,
    fileSize: sizeOf(model),
    range,
    windowBytes,
    plan: { maxHeldBytes, group },
    caches: caches as CachesLike | undefined as LocalCaches | undefined,
    signal,
  });
  const all: Stage[] = [];
  const asked: ByteRange[][] = [];
  for await (const stage of stages.all(had)) {
    all.push(stage);
    asked.push(cas.asked.splice(0));
    expect(all.length).toBeLessThan(100);
  }
  expect(cas.asked).toEqual([]);
  return { stages, all, asked, wanted: caches?.wanted ?? [], places: caches?.places ?? [] };
}

const overlapOf = (a: ByteRange, b: ByteRange) => ({ start: Math.max(a.start, b.start), end: Math.min(a.end, b.end) });
const overlaps = (one: ByteRange, others: readonly ByteRange[]) =>
  others.map((other) => overlapOf(one, other)).filter(({ start, end }) => start < end);

/** Fails unless the stages follow on each other, and what they have makes what is wanted of them, each byte once. */
function expectComplete({ all }: Run, { range, had }: Case): void {
  let at = range.start;
  for (const stage of all) {
    expect(stage.range.start).toBe(at);
    expect(stage.range.end).toBeGreaterThan(at);
    at = stage.range.end;
    const wanted = without(stage.range, had);
    const locals = stage.locals.flatMap((part) => overlaps(part, wanted));
    const pieces = stage.plan.pieces.map((piece) => ({ start: piece.at, end: piece.at + piece.length }));
    const here = [...had.flatMap((part) => overlaps(part, [stage.range])), ...locals, ...pieces];
    here.sort((a, b) => a.start - b.start || a.end - b.end);
    let next = stage.range.start;
    for (const { start, end } of here) {
      expect(start).toBe(next);
      next = end;
    }
    expect(next).toBe(stage.range.end);
    for (const [index, part] of stage.locals.entries()) {
      expect(part.start).toBeGreaterThanOrEqual(stage.locals[index - 1]?.end ?? 0);
      expect(overlaps(part, wanted).length).toBeGreaterThan(0);
    }
  }
  expect(at).toBe(Math.max(range.start, range.end));
}

/** Fails unless each piece is the bytes of the file at its place. */
function expectRight({ all }: Run, { model }: Case): void {
  const chunks = chunksOf(model);
  for (const { plan, urls } of all) {
    for (const piece of plan.pieces) {
      const { term, skip, at, length } = piece;
      const xorb = model.xorbs.findIndex((_, index) => xorbHash(index + 1) === term.xorb);
      let start = at - skip;
      for (let index = term.chunks.start; index < term.chunks.end; index++) {
        const end = start + lengthIn(model, xorb, index, index + 1);
        if (start < at + length && at < end) {
          const known = chunks.find((chunk) => chunk.start === start && chunk.end === end);
          // Chunks of no bytes do not exist; so there is one chunk at a place.
          expect(known).toMatchObject({ xorb, index });
        }
        start = end;
      }
      expect(skip + length).toBeLessThanOrEqual(start - at + skip);
    }
    for (const job of plan.jobs) {
      for (const range of job.ranges) expect(urls[job.section]?.find(job.signed.xorb, range).ranges).toContain(range);
    }
  }
}

const MAX_HOLES = 32;

describe('without caches', () => {
  test('every byte that is not had is fetched once, from where it is', async () => {
    await holdsAsync(400, cases, async (one) => {
      const result = await run(one);
      expectComplete(result, one);
      expectRight(result, one);
      for (const stage of result.all) expect(stage.locals).toEqual([]);
    });
  });

  test('a window costs one question, or none if all of it is had, and more only where one would cost too much', async () => {
    await holdsAsync(400, cases, async (one) => {
      const { all, asked } = await run(one);
      for (const [index, stage] of all.entries()) {
        const holes = without(stage.range, one.had);
        const questions = asked[index]?.length ?? 0;
        if (holes.length === 0) expect(questions).toBe(0);
        else expect([1, 1 + Math.min(MAX_HOLES, holes.length)]).toContain(questions);
      }
      expect(all.length).toBeLessThanOrEqual(Math.ceil(lengthOf([one.range]) / one.windowBytes));
    });
  });

  test('a question that would have the same answer is not asked again', async () => {
    // A chunk is used again and again, and its range goes far beyond it: fetched anew each time, as it may not be held.
    const first = { xorb: 0, start: 0, end: 1 };
    const model: Model = {
      xorbs: [Array.from({ length: 10 }, () => 100_000)],
      terms: [first, first, first, { xorb: 0, start: 0, end: 10 }],
    };
    const { asked } = await run({
      ...{ model, had: [], apart: false, group: false, maxHeldBytes: 0 },
      range: { start: 0, end: 1_300_000 },
      windowBytes: 1_300_000,
    });
    expect(asked).toEqual([[{ start: 0, end: 1_300_000 }]]);
  });

  test('nothing is asked outside of what is missing', async () => {
    await holdsAsync(300, cases, async (one) => {
      const { asked } = await run(one);
      const holes = without(one.range, one.had);
      for (const { start, end } of asked.flat()) {
        expect(start).toBeGreaterThanOrEqual(holes[0]?.start ?? Number.POSITIVE_INFINITY);
        expect(end).toBeLessThanOrEqual(holes.at(-1)?.end ?? 0);
      }
    });
  });

  test('what is asked a second time spares more than it costs', async () => {
    await holdsAsync(300, cases, async (one) => {
      const { all, asked } = await run(one);
      for (const [index, { plan, range }] of all.entries()) {
        const holes = without(range, one.had);
        const missing = lengthOf(holes);
        // Of a single hole the second question would be the first one again.
        if (asked[index]?.length === 1 && holes.length > 1) {
          expect(wasteOf(plan)).toBeLessThanOrEqual(Math.max(256 * 1024, missing * 0.01) + 1e-6);
        }
      }
    });
  });
});

const chunkIsHere = fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 3, 4)).map(
  ([seed, share]) =>
    ({ xorb, index }: PlacedChunk) =>
      ((Math.imul(seed + xorb * 7919 + index * 104_729, 0x9e37_79b1) >>> 16) & 3) < share,
);
const withCaches = fc.tuple(cases, fc.record({ known: fc.boolean(), here: chunkIsHere, anchors: fc.boolean() }));

describe('with caches', () => {
  test('every byte that is neither had nor here is fetched once, from where it is', async () => {
    await holdsAsync(600, withCaches, async ([one, held]) => {
      const result = await run(one, held);
      expectComplete(result, one);
      expectRight(result, one);
    });
  });

  test('nothing is looked for that is had', async () => {
    await holdsAsync(200, withCaches, async ([one, held]) => {
      const { all, wanted } = await run(one, held);
      expect(wanted).toEqual(all.map(({ range }) => without(range, one.had)));
    });
  });

  test('a file whose recipe is known costs a question for each hole, and none if there is none', async () => {
    await holdsAsync(400, withCaches, async ([one, held]) => {
      const { all, asked, stages } = await run(one, { ...held, known: true });
      for (const [index, stage] of all.entries()) {
        const holes = without(stage.range, one.had).flatMap((hole) => without(hole, stage.locals));
        expect(asked[index]).toHaveLength(Math.min(MAX_HOLES, holes.length));
        for (const hole of holes) {
          expect(asked[index]?.some(({ start, end }) => start <= hole.start && hole.end <= end)).toBe(true);
        }
      }
      expect(stages.terms).toEqual([]);
    });
  });

  test('a file whose recipe is not known costs a question for each window, to know it afterwards', async () => {
    await holdsAsync(400, withCaches, async ([one, held]) => {
      const { all, asked, stages, places } = await run(one, { ...held, known: false });
      for (const [index, stage] of all.entries()) {
        const holes = without(stage.range, one.had).flatMap((hole) => without(hole, stage.locals));
        const least = 1 + Math.min(MAX_HOLES, places[index] ?? 0);
        const most = least + Math.min(MAX_HOLES, holes.length);
        expect(holes.length === 0 ? [least] : [least, most]).toContain(asked[index]?.length);
      }
      // All terms, whatever was had: those of the whole file are its recipe.
      const terms = stages.terms.flatMap(({ xorb, chunks }) =>
        Array.from({ length: chunks.end - chunks.start }, (_, offset) => `${xorb} ${chunks.start + offset}`),
      );
      const { start, end } = one.range;
      const met = chunksOf(one.model).filter((chunk) => start < end && chunk.start < end && start < chunk.end);
      expect(terms).toEqual(met.map(({ xorb, index }) => `${xorbHash(xorb + 1)} ${index}`));
      if (start === 0 && end === sizeOf(one.model)) {
        expect(stages.terms.reduce((sum, term) => sum + term.unpackedLength, 0)).toBe(end);
      }
    });
  });

  test('a file that is here as a whole, with its recipe, costs nothing', async () => {
    await holdsAsync(200, cases, async (one) => {
      const { all, asked } = await run(one, { known: true, here: () => true });
      expect(asked.flat()).toEqual([]);
      for (const { plan, urls } of all) {
        expect(plan).toEqual({ pieces: [], jobs: [] });
        expect(urls).toEqual([]);
      }
    });
  });
});

describe('an empty range', () => {
  test('has no stages and costs nothing', async () => {
    const model: Model = { xorbs: [[10, 20]], terms: [{ xorb: 0, start: 0, end: 2 }] };
    for (const at of [0, 7, 30]) {
      const one = {
        ...{ model, windowBytes: 5, had: [], apart: false, group: false, maxHeldBytes: 0 },
        range: { start: at, end: at },
      };
      for (const held of [undefined, { known: true, here: () => true }, { known: false, here: () => false }]) {
        const { all, asked } = await run(one, held);
        expect(all).toEqual([]);
        expect(asked).toEqual([]);
      }
    }
  });
});

describe('a CAS that does not keep its word', () => {
  const model: Model = { xorbs: [[1000, 1000, 1000, 1000]], terms: [{ xorb: 0, start: 0, end: 4 }] };

  async function plan(answer: (range: ByteRange) => Reconstruction, windowBytes: number, had: ByteRange[] = []) {
    const cas: Pick<CasClient, 'reconstruction'> = { reconstruction: async (_file, range) => answer(range) };
    const stages = new WindowPlanner({
      cas: cas as CasClient,
      fileHash: FILE_HASH,
      fileSize: 4000,
      range: { start: 0, end: 4000 },
      windowBytes,
      plan: { maxHeldBytes: 0 },
      caches: undefined,
      signal,
    });
    let count = 0;
    for await (const _ of stages.all(had)) {
      count++;
      if (count > 4000) throw new Error('It goes on for ever');
    }
    return count;
  }

  const nothingAtAll = (): Reconstruction => ({ offsetIntoFirstTerm: 0, terms: [], xorbs: new Map() });
  const longer = { ...model, terms: [...model.terms, { xorb: 0, start: 0, end: 1 }] };
  const lies: Record<string, (range: ByteRange) => Reconstruction> = {
    'has no terms': nothingAtAll,
    'ends too early': () => reconstruct(model, { start: 0, end: 3000 }, false),
    'goes on after the end': () => reconstruct(longer, { start: 0, end: 5000 }, false),
    'gives the beginning only': () => reconstruct(model, { start: 0, end: 1000 }, false),
    'begins too late': ({ start }) => reconstruct(model, { start: start + 1500, end: 4000 }, false),
  };

  test.each(Object.entries(lies))('about a file is PROTOCOL: one that %s', async (_what, answer) => {
    for (const windowBytes of [4000, 9000]) {
      const outcome = await rejectionOf(plan(answer, windowBytes));
      expect(outcome, `windows of ${windowBytes}`).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
    }
  });

  test('about windows never makes it go on for ever', async () => {
    for (const windowBytes of [100, 1000, 1500]) {
      for (const had of [[], [{ start: 100, end: 1100 }], [{ start: 3900, end: 4000 }]]) {
        const nothing = await rejectionOf(plan(nothingAtAll, windowBytes, had));
        expect(nothing).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
        for (const answer of Object.values(lies)) {
          const outcome = await rejectionOf(plan(answer, windowBytes, had));
          expect(String(outcome)).not.toContain('for ever');
        }
      }
    }
  });

  test('may give more of a window than was asked for', async () => {
    const generous = ({ start, end }: ByteRange) =>
      reconstruct(model, { start, end: Math.min(4000, end + 2000) }, false);
    expect(await plan(generous, 500)).toBeLessThanOrEqual(2);
  });

  test('may fail, and its failure is told', async () => {
    const failure = new Error('down');
    const failing = () => {
      throw failure;
    };
    expect(await rejectionOf(plan(failing, 1000))).toBe(failure);
  });
});
