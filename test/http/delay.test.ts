import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { delay } from '../../src/core/delay.ts';
import { rejectionOf } from '../support/property.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('resolves when the time has passed, and not before', async () => {
  let done = false;
  const waiting = delay(1000).then(() => {
    done = true;
  });
  await vi.advanceTimersByTimeAsync(999);
  expect(done).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await waiting;
  expect(done).toBe(true);
});

test('an abort rejects at once with its reason and leaves no timer', async () => {
  const controller = new AbortController();
  const waiting = rejectionOf(delay(1000, controller.signal));
  controller.abort('enough');
  expect(await waiting).toBe('enough');
  expect(vi.getTimerCount()).toBe(0);
});

test('an aborted signal starts no timer', async () => {
  expect(await rejectionOf(delay(1000, AbortSignal.abort('before')))).toBe('before');
  expect(vi.getTimerCount()).toBe(0);
});

test('leaves no listener behind', async () => {
  const { signal } = new AbortController();
  const add = vi.spyOn(signal, 'addEventListener');
  const remove = vi.spyOn(signal, 'removeEventListener');
  const waiting = delay(10, signal);
  await vi.advanceTimersByTimeAsync(10);
  await waiting;
  expect(remove.mock.calls.map(([, listener]) => listener)).toEqual(add.mock.calls.map(([, listener]) => listener));
});
