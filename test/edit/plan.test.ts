import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Codec } from '../../src/codec/codec.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { chunkCount, chunkLength, joinBytes, totalLength } from '../../src/core/chunks.ts';
import { hashToHex } from '../../src/core/hash.ts';
import type { Recipe } from '../../src/core/recipe.ts';
import { planEdit } from '../../src/edit/plan.ts';
import { holds, thrownBy } from '../support/property.ts';

const codec: Codec = await loadCodec();
/** Random for the chunker too, unlike the output of a small generator. */
const POOL = new Uint8Array(
  createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(Buffer.alloc(3_000_000)),
);
const XORB = 'ab'.repeat(32);

function chunksOf(bytes: Uint8Array) {
  const chunker = codec.chunker();
  const records = chunker.push(bytes.slice(), true);
  chunker.free();
  return records;
}

function recipeOf(bytes: Uint8Array, termChunks: number): Recipe {
  const records = chunksOf(bytes);
  const terms: Recipe['terms'] = [];
  for (let start = 0; start < chunkCount(records); start += termChunks) {
    const end = Math.min(start + termChunks, chunkCount(records));
    terms.push({
      xorb: XORB,
      chunks: { start, end },
      unpackedLength: totalLength(records.subarray(start * 36, end * 36)),
    });
  }
  return { fileHash: hashToHex(codec.fileHash(records)), size: bytes.length, terms, records };
}

interface Case {
  original: Uint8Array;
  termChunks: number;
  edits: { start: number; end: number; content: Uint8Array }[];
}

/** Files of up to half a megabyte, and edits at random positions, at chunk boundaries and at both ends. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    size: fc.oneof(fc.integer({ min: 0, max: 1_500_000 }), fc.integer({ min: 0, max: 20_000 })),
    from: fc.integer({ min: 0, max: 900_000 }),
    termChunks: fc.integer({ min: 1, max: 5 }),
    points: fc.array(
      fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        onBoundary: fc.boolean(),
        inserts: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100_000 })),
        deletes: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 200_000 }), fc.constant(1e9)),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ size, from, termChunks, points }) => {
    const original = POOL.subarray(from, from + size);
    const records = chunksOf(original);
    const boundaries = [0];
    for (let index = 0; index < chunkCount(records); index++)
      boundaries.push((boundaries.at(-1) ?? 0) + chunkLength(records, index));
    const snapped = (at: number) => boundaries.findLast((boundary) => boundary <= at) ?? 0;
    const places = points
      .map(({ at, onBoundary, ...rest }) => ({ at: onBoundary ? snapped(at * size) : Math.floor(at * size), ...rest }))
      .sort((a, b) => a.at - b.at);
    const edits = places.map(({ at: start, inserts, deletes }, index) => {
      const end = Math.min(start + deletes, places[index + 1]?.at ?? size);
      return { start, end, content: POOL.subarray(from + index, from + index + inserts) };
    });
    return { original, termChunks, edits };
  });

function spliced({ original, edits }: Case): Uint8Array {
  let at = 0;
  const parts: Uint8Array[] = [];
  for (const { start, end, content } of edits) {
    parts.push(original.subarray(at, start), content);
    at = end;
  }
  return joinBytes([...parts, original.subarray(at)]);
}

/** Follows a plan as the client does, with the real chunker. */
function follow({ original, termChunks, edits }: Case) {
  const recipe = recipeOf(original, termChunks);
  const bytes: Uint8Array[] = [];
  const records: Uint8Array[] = [];
  let keptChunks = 0;
  for (const part of planEdit(recipe, edits)) {
    if ('kept' in part) {
      const { terms, records: kept } = part.kept;
      const length = terms.reduce((sum, { unpackedLength }) => sum + unpackedLength, 0);
      expect(length).toBe(part.range.end - part.range.start);
      for (const { chunks } of terms) {
        const own = recipe.records.subarray(chunks.start * 36, chunks.end * 36);
        expect(own).toEqual(kept.subarray(0, own.length).length === own.length ? own : undefined);
      }
      expect(joinBytes(terms.map(({ chunks }) => recipe.records.subarray(chunks.start * 36, chunks.end * 36)))).toEqual(
        joinBytes([kept]),
      );
      bytes.push(original.subarray(part.range.start, part.range.end));
      records.push(kept);
      keptChunks += chunkCount(kept);
    } else {
      const window = joinBytes(
        part.pieces.map((piece) =>
          piece.from === 'original'
            ? original.subarray(piece.start, piece.end)
            : (edits[piece.index]?.content ?? new Uint8Array()),
        ),
      );
      bytes.push(window);
      records.push(chunksOf(window));
    }
  }
  return { bytes: joinBytes(bytes), records: joinBytes(records), keptChunks };
}

test.each([400])(
  '%i random edits give the specified bytes, and the chunks of a full upload where boundaries resynchronize',
  (runs) => {
    let same = 0;
    let keptChunks = 0;
    holds(runs, cases, (given) => {
      const expected = spliced(given);
      const result = follow(given);
      expect(Buffer.compare(result.bytes, expected)).toBe(0);
      expect(totalLength(result.records)).toBe(expected.length);
      if (Buffer.compare(result.records, chunksOf(expected)) === 0) same++;
      keptChunks += result.keptChunks;
    });
    expect(same / runs).toBeGreaterThan(0.9);
    expect(keptChunks).toBeGreaterThan(runs);
  },
);

test('an insert into the middle of a large file keeps all chunks but a few around it', () => {
  const original = POOL;
  const [before, window, after] = planEdit(recipeOf(original, 4), [{ start: 1_500_000, end: 1_500_000 }]);
  if (!before || !window || !after || !('kept' in before) || 'kept' in window || !('kept' in after))
    throw new Error('unexpected parts');
  expect(after.range.start - before.range.end).toBeLessThan(512 * 1024);
  expect(before.range.end).toBeLessThanOrEqual(1_500_000);
  expect(after.range.start).toBeGreaterThan(1_500_000);
});

test('an append reads no more than the last chunk', () => {
  const recipe = recipeOf(POOL, 4);
  const [kept, window] = planEdit(recipe, [{ start: POOL.length, end: POOL.length }]);
  const last = POOL.length - chunkLength(recipe.records, chunkCount(recipe.records) - 1);
  expect(kept).toMatchObject({ range: { start: 0, end: last } });
  expect(window).toEqual({
    pieces: [
      { from: 'original', start: last, end: POOL.length },
      { from: 'edit', index: 0 },
    ],
  });
});

test('deleting everything leaves a window without pieces', () => {
  expect(planEdit(recipeOf(POOL, 4), [{ start: 0, end: POOL.length }])).toEqual([
    { pieces: [{ from: 'edit', index: 0 }] },
  ]);
});

test.each([
  [
    'overlap',
    [
      { start: 0, end: 10 },
      { start: 5, end: 20 },
    ],
  ],
  ['end behind the file', [{ start: 0, end: POOL.length + 1 }]],
  ['run backwards', [{ start: 10, end: 5 }]],
  ['begin at a fraction', [{ start: 0.5, end: 5 }]],
  ['begin before the file', [{ start: -1, end: 5 }]],
])('edits that %s are refused', (_, edits) => {
  expect(thrownBy(() => planEdit(recipeOf(POOL, 4), edits))).toMatchObject({ code: 'INVALID_ARGUMENT' });
});
