import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryBudget } from '../../src/core/budget.ts';
import { holdsAsync, rejectionOf } from '../support/property.ts';

const calm = () => false;
const urgent = () => true;

/** Whether it has been admitted by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  return (await Promise.race([promise.catch(() => undefined), Promise.resolve(pending)])) !== pending;
}

describe('MemoryBudget', () => {
  test('admits what fits beside the reserve, and makes the rest wait', async () => {
    const budget = new MemoryBudget(100, 20);
    await budget.acquire(50, calm);
    await budget.acquire(30, calm);
    const waiting = budget.acquire(1, calm);
    expect(await isSettled(waiting)).toBe(false);
    expect(budget.usedBytes).toBe(80);
    budget.release(1);
    await waiting;
    expect(budget.usedBytes).toBe(80);
    expect(budget.peakBytes).toBe(80);
  });

  test('admits the urgent at once, also past the limit', async () => {
    const budget = new MemoryBudget(100, 20);
    await budget.acquire(80, calm);
    await budget.acquire(20, urgent);
    await budget.acquire(500, urgent);
    expect(budget.usedBytes).toBe(600);
    expect(budget.peakBytes).toBe(600);
  });

  test('admits who becomes urgent when it looks again', async () => {
    const budget = new MemoryBudget(100, 0);
    await budget.acquire(100, calm);
    let now = false;
    const waiting = budget.acquire(40, () => now);
    now = true;
    expect(await isSettled(waiting)).toBe(false);
    budget.recheck();
    await waiting;
    expect(budget.usedBytes).toBe(140);
  });

  test('a large one that waits does not keep small ones out', async () => {
    const budget = new MemoryBudget(100, 0);
    await budget.acquire(60, calm);
    const large = budget.acquire(100, calm);
    await budget.acquire(40, calm);
    expect(await isSettled(large)).toBe(false);
    budget.release(60);
    budget.release(40);
    await large;
  });

  test('an aborted signal takes nothing', async () => {
    const budget = new MemoryBudget(100, 0);
    expect(await rejectionOf(budget.acquire(10, urgent, AbortSignal.abort('before')))).toBe('before');
    expect(budget.usedBytes).toBe(0);
  });

  test('an abort takes the waiter away and nobody else', async () => {
    const budget = new MemoryBudget(100, 0);
    await budget.acquire(100, calm);
    const controller = new AbortController();
    const leaving = rejectionOf(budget.acquire(50, calm, controller.signal));
    const staying = budget.acquire(60, calm);
    controller.abort('enough');
    expect(await leaving).toBe('enough');
    budget.release(100);
    await staying;
    expect(budget.usedBytes).toBe(60);
  });

  test('an abort after the admission changes nothing', async () => {
    const budget = new MemoryBudget(100, 0);
    const controller = new AbortController();
    await budget.acquire(100, calm);
    const second = budget.acquire(40, calm, controller.signal);
    budget.release(100);
    await second;
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    controller.abort('late');
    expect(budget.usedBytes).toBe(40);
  });

  test('in any order of events: calm ones stay under the limit, nobody who fits waits, nobody is forgotten', async () => {
    const LIMIT = 1000;
    const RESERVE = 200;
    const event = fc.oneof(
      fc.record({
        kind: fc.constant('acquire' as const),
        bytes: fc.integer({ min: 1, max: 900 }),
        urgent: fc.boolean(),
      }),
      fc.record({ kind: fc.constantFrom('release' as const, 'abort' as const, 'hurry' as const), which: fc.nat(100) }),
    );
    await holdsAsync(300, fc.array(event, { maxLength: 60 }), async (events) => {
      interface Request {
        bytes: number;
        urgent: boolean;
        state: 'waiting' | 'held' | 'gone';
        controller: AbortController;
      }
      const budget = new MemoryBudget(LIMIT, RESERVE);
      const requests: Request[] = [];
      const of = (state: Request['state']) => requests.filter((request) => request.state === state);
      const sum = (list: Request[]) => list.reduce((total, request) => total + request.bytes, 0);
      const settle = () => new Promise((resolve) => setImmediate(resolve));
      for (const step of events) {
        const urgentBefore = sum(of('held').filter((request) => request.urgent));
        if (step.kind === 'acquire') {
          const request: Request = { ...step, state: 'waiting', controller: new AbortController() };
          requests.push(request);
          budget
            .acquire(step.bytes, () => request.urgent, request.controller.signal)
            .then(
              () => {
                request.state = 'held';
              },
              () => {
                request.state = 'gone';
              },
            );
        } else {
          const list = of(step.kind === 'release' ? 'held' : 'waiting');
          const request = list[step.which % Math.max(1, list.length)];
          if (!request) continue;
          if (step.kind === 'release') {
            request.state = 'gone';
            budget.release(request.bytes);
          } else if (step.kind === 'abort') request.controller.abort();
          else {
            request.urgent = true;
            budget.recheck();
          }
        }
        await settle();
        const held = of('held');
        expect(budget.usedBytes).toBe(sum(held));
        expect(budget.peakBytes).toBeGreaterThanOrEqual(budget.usedBytes);
        const calmHeld = held.filter((request) => !request.urgent);
        expect(sum(calmHeld)).toBeLessThanOrEqual(LIMIT - RESERVE);
        if (urgentBefore === 0 && !held.some((request) => request.urgent)) {
          expect(budget.usedBytes).toBeLessThanOrEqual(LIMIT - RESERVE);
        }
        for (const request of of('waiting')) {
          expect(request.urgent).toBe(false);
          expect(budget.usedBytes + request.bytes).toBeGreaterThan(LIMIT - RESERVE);
        }
      }
      for (let held = of('held'); held.length > 0; held = of('held')) {
        for (const request of held) {
          request.state = 'gone';
          budget.release(request.bytes);
        }
        await settle();
      }
      // Only what is larger than the limit is still here; it is admitted once it is urgent.
      for (const request of of('waiting')) expect(request.bytes).toBeGreaterThan(LIMIT - RESERVE);
      expect(budget.usedBytes).toBe(0);
    });
  });
});
