import { expect, test } from 'vitest';
import { inParallel, untilFirstFailure } from '../../src/core/in-parallel.ts';
import { rejectionOf } from '../support/property.ts';

const soon = () => new Promise((resolve) => setTimeout(resolve, 1));

test('gives results in order, and runs no more at once than it may', async () => {
  let now = 0;
  let most = 0;
  const results = await inParallel([5, 1, 4, 2, 3], 2, async (item) => {
    most = Math.max(most, ++now);
    for (let turn = 0; turn < item; turn++) await soon();
    now--;
    return item * 10;
  });
  expect(results).toEqual([50, 10, 40, 20, 30]);
  expect(most).toBe(2);
  expect(await inParallel([], 4, async () => 1)).toEqual([]);
});

test('after a failure begins nothing new, and lets end what is under way', async () => {
  const events: string[] = [];
  const error = new Error('second');
  const failing = inParallel([1, 2, 3, 4], 2, async (item) => {
    events.push(`begin ${item}`);
    await soon();
    if (item === 2) throw error;
    await soon();
    events.push(`end ${item}`);
  });
  expect(await rejectionOf(failing)).toBe(error);
  expect(events).toEqual(['begin 1', 'begin 2', 'end 1']);
});

test('a failure in one batch aborts the others', async () => {
  const reasons: unknown[] = [];
  const error = new Error('broken');
  const waiting = (signal: AbortSignal) =>
    new Promise<void>((_, reject) =>
      signal.addEventListener('abort', () => {
        reasons.push(signal.reason);
        reject(signal.reason);
      }),
    );
  const failing = untilFirstFailure(
    [
      { items: ['a', 'b', 'c'], atOnce: 2 },
      { items: ['broken'], atOnce: 1 },
    ],
    async (item, signal) => {
      if (item !== 'broken') return waiting(signal);
      await soon();
      throw error;
    },
  );
  expect(await rejectionOf(failing)).toBe(error);
  expect(reasons).toEqual([error, error]);
});

test('an abort ends everything with its reason, and leaves no listener', async () => {
  const stop = new AbortController();
  const reason = new Error('enough');
  let begun = 0;
  const running = untilFirstFailure(
    [{ items: [1, 2, 3], atOnce: 1 }],
    async (_, signal) => {
      begun++;
      stop.abort(reason);
      signal.throwIfAborted();
    },
    stop.signal,
  );
  expect(await rejectionOf(running)).toBe(reason);
  expect(begun).toBe(1);
  expect(await rejectionOf(untilFirstFailure([{ items: [1], atOnce: 1 }], async () => undefined, stop.signal))).toBe(
    reason,
  );
});
