import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lendingReader, type PieceReader } from '../../src/http/body-reader.ts';
import { holdsAsync, splitAt } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';
import { concat, sameBytes } from '../support/vectors.ts';

const LENT_BYTES = 256 * 1024;
const BYTES = randomBytes(700_000, 11);

/** A body as a platform's `fetch` gives it, in these pieces. */
function bodyOf(pieces: readonly Uint8Array[], options: { type?: 'bytes'; error?: Error } = { type: 'bytes' }) {
  const { type, error } = options;
  const left = [...pieces];
  return new ReadableStream({
    type: type as 'bytes',
    pull(controller) {
      const piece = left.shift();
      if (piece) return controller.enqueue(piece.slice());
      if (error) return controller.error(error);
      controller.close();
      // What a reader has given to be filled is only then given back.
      controller.byobRequest?.respond(0);
    },
  });
}

async function* all(reader: PieceReader): AsyncGenerator<Uint8Array> {
  for (let piece = await reader.read(); !piece.done && piece.value; piece = await reader.read()) yield piece.value;
}

async function copied(reader: PieceReader): Promise<Uint8Array> {
  const copies: Uint8Array[] = [];
  for await (const piece of all(reader)) copies.push(piece.slice());
  return concat(copies);
}

describe('a body is lent', () => {
  test('as it is, however it comes and however long it was said to be', () =>
    holdsAsync(100, fc.tuple(fc.array(fc.nat()), fc.integer({ min: 1, max: 1e6 })), async ([cuts, length]) => {
      const pieces = splitAt(BYTES, cuts).filter((piece) => piece.length > 0);
      expect(sameBytes(await copied(lendingReader(bodyOf(pieces), length)), BYTES)).toBe(true);
    }));

  test('in one piece of memory, which goes on to the next', async () => {
    const lent: Uint8Array[] = [];
    for await (const piece of all(lendingReader(bodyOf([BYTES]), Number.POSITIVE_INFINITY))) {
      // The one before was taken back.
      expect(lent.every(({ buffer }) => buffer.byteLength === 0)).toBe(true);
      expect(piece.buffer.byteLength).toBe(LENT_BYTES);
      lent.push(piece);
    }
    expect(lent.length).toBe(Math.ceil(BYTES.length / LENT_BYTES));
  });

  test('in no more memory than it needs, where that is much', async () => {
    const memoryFor = async (length: number) =>
      (await lendingReader(bodyOf([BYTES.subarray(0, 1000)]), length).read()).value?.buffer.byteLength;
    expect([await memoryFor(10_000), await memoryFor(1000), await memoryFor(1e9)]).toEqual([10_000, 4096, LENT_BYTES]);
  });

  test('in pieces of its own where it cannot be read into memory', async () => {
    const reader = lendingReader(bodyOf([BYTES], {}), Number.POSITIVE_INFINITY);
    const { value } = await reader.read();
    expect(value?.length).toBe(BYTES.length);
  });

  test.each([{ type: 'bytes' }, {}] as const)('until it breaks off: %j', async (kind) => {
    const error = new Error('The line is dead.');
    const reader = lendingReader(bodyOf([BYTES.subarray(0, 10)], { ...kind, error }), Number.POSITIVE_INFINITY);
    expect((await reader.read()).value?.length).toBe(10);
    await expect(reader.read()).rejects.toBe(error);
  });

  test.each([{ type: 'bytes' }, {}] as const)('until nobody wants more: %j', async (kind) => {
    const reader = lendingReader(bodyOf([BYTES.subarray(0, 10), BYTES], kind), Number.POSITIVE_INFINITY);
    await reader.read();
    await reader.cancel();
    expect((await reader.read()).done).toBe(true);
  });
});
