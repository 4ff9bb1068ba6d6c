import { CHUNK_RECORD_BYTES, chunkSlice, totalLength } from '../../src/core/chunks.ts';
import type { ChunkRange } from '../../src/core/ranges.ts';
import type { Recipe, RecipeTerm } from '../../src/core/recipe.ts';

/** Numbers below 2^32 that look random and are the same in every run, in Node and in a page. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

/** A hash for a name: the same name is the same hash. */
export function hashOf(name: string): string {
  let seed = 1;
  for (const letter of name) seed = Math.imul(seed, 31) + letter.charCodeAt(0);
  const next = numbers(seed);
  return Array.from({ length: 8 }, () => next().toString(16).padStart(8, '0')).join('');
}

/** The records of chunks of a xorb: those of a xorb that exists, so the same for all who ask. */
export function recordsOf(xorb: string, { start, end }: ChunkRange, maxLength = 131_072): Uint8Array {
  const records = new Uint8Array((end - start) * CHUNK_RECORD_BYTES);
  const view = new DataView(records.buffer);
  for (let chunk = start; chunk < end; chunk++) {
    const next = numbers(Number.parseInt(xorb.slice(0, 8), 16) ^ Math.imul(chunk, 0x85eb_ca6b));
    const at = (chunk - start) * CHUNK_RECORD_BYTES;
    for (let word = 0; word < 8; word++) view.setUint32(at + word * 4, next(), true);
    view.setUint32(at + 32, 1 + (next() % maxLength), true);
  }
  return records;
}

export type TermSample = [xorb: string, start: number, end: number];

/** A consistent recipe over xorbs by name. */
export function recipeOf(file: string, terms: TermSample[], maxLength?: number): Recipe {
  const parts = terms.map(([name, start, end]) => {
    const chunks = { start, end };
    const records = recordsOf(hashOf(name), chunks, maxLength);
    const term: RecipeTerm = { xorb: hashOf(name), chunks, unpackedLength: totalLength(records) };
    return { term, records };
  });
  const records = new Uint8Array(parts.reduce((sum, part) => sum + part.records.length, 0));
  let at = 0;
  for (const part of parts) {
    records.set(part.records, at);
    at += part.records.length;
  }
  return {
    fileHash: hashOf(file),
    size: parts.reduce((sum, { term }) => sum + term.unpackedLength, 0),
    terms: parts.map(({ term }) => term),
    records,
  };
}

/** The same content in other memory, as what a store gives must be compared with. */
export function copyOf(recipe: Recipe): Recipe {
  return {
    ...recipe,
    terms: recipe.terms.map((term) => ({ ...term, chunks: { ...term.chunks } })),
    records: chunkSlice(recipe.records, 0, recipe.records.length).slice(),
  };
}
