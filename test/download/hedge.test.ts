import { expect, test } from 'vitest';
import { hedged, ThroughputAverage } from '../../src/download/hedge.ts';
import { randomBytes } from '../support/samples.ts';
import { concat, sameBytes } from '../support/vectors.ts';

const BYTES = randomBytes(100_000, 3);

/** The bytes from some place on, each piece in the memory of the one before. */
async function* lent(from: number): AsyncGenerator<Uint8Array, void, undefined> {
  const memory = new Uint8Array(1000);
  for (let at = from; at < BYTES.length; at += memory.length) {
    const piece = BYTES.subarray(at, at + memory.length);
    memory.set(piece);
    yield memory.subarray(0, piece.length);
  }
}

test('nothing is read while a piece is looked at: its memory may be lent', async () => {
  const pieces: Uint8Array[] = [];
  const options = {
    open: lent,
    from: 500,
    signal: new AbortController().signal,
    pace: new ThroughputAverage(),
    needed: () => true,
  };
  for await (const piece of hedged(options)) {
    await new Promise((resolve) => setImmediate(resolve));
    pieces.push(piece.slice());
  }
  expect(sameBytes(concat(pieces), BYTES.subarray(500))).toBe(true);
});
