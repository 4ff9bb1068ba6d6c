import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeRecipe, encodedLength, encodeRecipe } from '../../../src/cache/recipes/recipe-format.ts';
import { isXetError } from '../../../src/core/errors.ts';
import type { Recipe } from '../../../src/core/recipe.ts';
import { holds, thrownBy } from '../../support/property.ts';
import { hashOf, recipeOf } from '../../support/recipe-samples.ts';

const term = fc
  .tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(0xffff_ffff - 12), fc.integer({ min: 1, max: 12 }))
  .map(([xorb, start, count]): [string, number, number] => [xorb, start, start + count]);
const recipes = fc
  .tuple(fc.string(), fc.array(term, { maxLength: 8 }), fc.constantFrom(1, 100, 131_072))
  .map(([file, terms, maxLength]) => recipeOf(file, terms, maxLength));

/** What is left of a recipe's bytes after an accident. */
const damages = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), bits: fc.nat(255) }),
  fc.record({ kind: fc.constant('append' as const), at: fc.integer({ min: 1, max: 100 }), bits: fc.nat(255) }),
  fc.record({ kind: fc.constant('zeros' as const), at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant('swap' as const), at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant('number' as const), at: fc.nat(15), bits: fc.nat(0xffff_ffff) }),
);

function damaged(bytes: Uint8Array, list: { kind: string; at: number; bits: number }[]): Uint8Array {
  let result = bytes.slice();
  for (const { kind, at: position, bits } of list) {
    const at = result.length === 0 ? 0 : position % result.length;
    if (kind === 'cut') result = result.slice(0, at);
    else if (kind === 'append') result = Uint8Array.from([...result, ...new Array(position).fill(bits)]);
    else if (kind === 'zeros') result.fill(0, at, at + bits);
    else if (kind === 'swap') result.copyWithin(at, at + bits);
    else if (kind === 'number' && result.length > 64) new DataView(result.buffer).setUint32(position * 4, bits, true);
    else if (result.length > 0) result[at] = (result[at] ?? 0) ^ bits;
  }
  return result;
}

const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, index) => byte === b[index]);

describe('a recipe as bytes', () => {
  test('comes back as it was', () => {
    holds(500, recipes, (recipe) => {
      const bytes = encodeRecipe(recipe);
      expect(bytes.length).toBe(encodedLength(recipe));
      expect(decodeRecipe(bytes, recipe.fileHash)).toEqual(recipe);
    });
  });

  test('comes back from the middle of other memory, a Buffer too', () => {
    const recipe = recipeOf('file', [['a', 3, 9]]);
    const bytes = encodeRecipe(recipe);
    for (const offset of [0, 1, 2, 7]) {
      const memory = Buffer.alloc(bytes.length + 16, 0xee);
      memory.set(bytes, offset);
      const got = decodeRecipe(memory.subarray(offset, offset + bytes.length), recipe.fileHash);
      expect(got).toEqual(recipe);
      expect(Buffer.isBuffer(got?.records)).toBe(false);
    }
  });

  test('is given whole or not at all, whatever happens to it', () => {
    let given = 0;
    holds(6000, fc.tuple(recipes, fc.array(damages, { minLength: 1, maxLength: 3 })), ([recipe, list]) => {
      const bytes = encodeRecipe(recipe);
      const after = damaged(bytes, list);
      const got = decodeRecipe(after, recipe.fileHash);
      if (got) given++;
      // Damage may undo itself, and be none.
      if (same(after, bytes)) expect(got).toEqual(recipe);
      else expect(got).toBeUndefined();
    });
    expect(given).toBeLessThan(1000);
  });

  test('every single bit counts', () => {
    const recipe = recipeOf('file', [
      ['a', 0, 3],
      ['b', 5, 6],
    ]);
    const bytes = encodeRecipe(recipe);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeRecipe(changed, recipe.fileHash), `bit ${bit}`).toBeUndefined();
    }
  });

  test('two flips of the same bit of different words do not cancel each other', () => {
    const recipe = recipeOf('file', [['a', 0, 6]]);
    const bytes = encodeRecipe(recipe);
    for (let one = 108; one < bytes.length - 8; one += 4) {
      for (let two = one + 4; two < bytes.length - 8; two += 4) {
        for (const bit of [0x80, 0x01]) {
          const changed = bytes.slice();
          for (const at of [one + 3, two + 3]) changed[at] = (changed[at] ?? 0) ^ bit;
          expect(decodeRecipe(changed, recipe.fileHash), `${one} ${two}`).toBeUndefined();
        }
      }
    }
  });

  test('any bytes at all do no harm', () => {
    const start = encodeRecipe(recipeOf('file', [])).slice(0, 12);
    const header = fc
      .tuple(fc.array(fc.constantFrom(0, 1, 2, 0x7fff_ffff, 0xffff_ffff), { minLength: 4, maxLength: 20 }))
      .map(([words]) => {
        const bytes = new Uint8Array(start.length + words.length * 4);
        bytes.set(start);
        for (const [index, word] of words.entries()) new DataView(bytes.buffer).setUint32(12 + index * 4, word, true);
        return bytes;
      });
    holds(3000, fc.oneof(fc.uint8Array({ maxLength: 300 }), header), (bytes) => {
      expect(decodeRecipe(bytes, hashOf('file'))).toBeUndefined();
    });
  });

  test('belongs to one file', () => {
    const bytes = encodeRecipe(recipeOf('file', [['a', 0, 3]]));
    for (const name of [hashOf('other'), '', '../x', hashOf('file').toUpperCase()]) {
      expect(decodeRecipe(bytes, name)).toBeUndefined();
    }
  });

  test('a recipe that contradicts itself is refused, and not read either if someone made it', () => {
    const recipe = recipeOf('file', [
      ['a', 0, 3],
      ['b', 5, 6],
    ]);
    const wrong: Partial<Recipe>[] = [
      { size: recipe.size - 1 },
      { size: 2 ** 60 },
      { terms: recipe.terms.slice(1) },
      { terms: recipe.terms.map((each) => ({ ...each, unpackedLength: each.unpackedLength + 0.5 })) },
      { terms: recipe.terms.map((each) => ({ ...each, chunks: { start: -1, end: 2 } })) },
      { terms: recipe.terms.map((each) => ({ ...each, chunks: { start: 2 ** 32 - 2, end: 2 ** 32 + 1 } })) },
      { records: recipe.records.subarray(0, 35) },
      { fileHash: 'x' },
    ];
    for (const change of wrong) {
      expect(
        isXetError(
          thrownBy(() => encodeRecipe({ ...recipe, ...change })),
          'INVALID_ARGUMENT',
        ),
      ).toBe(true);
    }
    for (const length of [0, 131_073]) {
      const records = recipe.records.slice();
      new DataView(records.buffer).setUint32(32, length, true);
      expect(thrownBy(() => encodeRecipe({ ...recipe, records }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  test('is short, and is read in words and no more than once and a bit: 30,000 chunks, a file of 2 GB', () => {
    const recipe = recipeOf(
      'file',
      Array.from({ length: 30 }, (_, xorb) => [`x${xorb}`, 0, 1000]),
    );
    const bytes = encodeRecipe(recipe);
    expect(bytes.length / recipe.size).toBeLessThan(0.0006);
    const looks = countLooks();
    expect(decodeRecipe(bytes, recipe.fileHash)).toBeDefined();
    // Each word for the checksum, and for each chunk its length: a page has to be able to afford this on its thread.
    expect(looks.words).toBeLessThan(bytes.length / 4 + 30_000 + 30 * 8 + 100);
    // BigInt and single bytes take ten times as long.
    expect(looks.others).toBeLessThan(30 * 8 + 100);
  });
});

/** Counts how often numbers are read out of buffers, until the test is over. */
function countLooks(): { words: number; others: number } {
  const looks = { words: 0, others: 0 };
  const { getUint32, getUint8, getBigUint64 } = DataView.prototype;
  onTestFinished(() => void Object.assign(DataView.prototype, { getUint32, getUint8, getBigUint64 }));
  const counted = <A extends unknown[], R>(what: keyof typeof looks, read: (this: DataView, ...args: A) => R) =>
    // Not a spy: that would keep a record of each of hundreds of thousands of calls.
    function (this: DataView, ...args: A): R {
      looks[what]++;
      return read.apply(this, args);
    };
  Object.assign(DataView.prototype, {
    getUint32: counted('words', getUint32),
    getUint8: counted('others', getUint8),
    getBigUint64: counted('others', getBigUint64),
  });
  return looks;
}
