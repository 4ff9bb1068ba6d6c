import { expect, test } from 'vitest';
import { RunBuffers } from '../../src/xorb/buffers.ts';

test('RunBuffers reuses returned buffers, and keeps at most maxSpare', () => {
  const buffers = new RunBuffers(100, 2);
  const taken = [1, 2, 3].map(() => buffers.take(60).buffer);
  for (const buffer of taken) buffers.give(buffer);
  const again = [1, 2, 3].map(() => buffers.take(100).buffer);
  expect(again.map((buffer) => taken.includes(buffer))).toEqual([true, true, false]);
});

test.each([
  [0, 0],
  [49, 49],
  [50, 100],
  [100, 100],
  [101, 101],
])('a view of %d bytes gets memory of %d bytes', (length, memory) => {
  const buffers = new RunBuffers(100);
  const fitting = buffers.fitting(length);
  expect([fitting.length, fitting.buffer.byteLength, buffers.memoryFor(length)]).toEqual([length, memory, memory]);
});
