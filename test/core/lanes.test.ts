import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Lanes } from '../../src/core/lanes.ts';
import { holdsAsync, rejectionOf } from '../support/property.ts';

const calm = () => false;
const never = new AbortController().signal;
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Enters and notes that it has. */
function enter(lanes: Lanes, urgent: () => boolean = calm, signal = never): { in: boolean } {
  const state = { in: false };
  lanes.enter(urgent, signal).then(
    () => {
      state.in = true;
    },
    () => undefined,
  );
  return state;
}

describe('Lanes', () => {
  test('lets as many in as there are lanes, the others in their order', async () => {
    const lanes = new Lanes(2);
    const all = [1, 2, 3, 4].map(() => enter(lanes));
    await settle();
    expect(all.map((one) => one.in)).toEqual([true, true, false, false]);
    lanes.leave();
    await settle();
    expect(all.map((one) => one.in)).toEqual([true, true, true, false]);
    lanes.leave();
    await settle();
    expect(all.map((one) => one.in)).toEqual([true, true, true, true]);
  });

  test('never makes the urgent wait, and counts them all the same', async () => {
    const lanes = new Lanes(1);
    await lanes.enter(calm, never);
    await lanes.enter(() => true, never);
    const waiting = enter(lanes);
    lanes.leave();
    await settle();
    expect(waiting.in).toBe(false);
    lanes.leave();
    await settle();
    expect(waiting.in).toBe(true);
  });

  test('lets in who becomes urgent when it looks again', async () => {
    const lanes = new Lanes(1);
    await lanes.enter(calm, never);
    let now = false;
    const other = enter(lanes);
    const waiting = enter(lanes, () => now);
    now = true;
    lanes.recheck();
    await settle();
    expect([other.in, waiting.in]).toEqual([false, true]);
  });

  test('an aborted signal takes no lane', async () => {
    const lanes = new Lanes(1);
    expect(await rejectionOf(lanes.enter(() => true, AbortSignal.abort('before')))).toBe('before');
    await lanes.enter(calm, never);
  });

  test('an abort takes the waiter away and nobody else', async () => {
    const lanes = new Lanes(1);
    await lanes.enter(calm, never);
    const controller = new AbortController();
    const leaving = rejectionOf(lanes.enter(calm, controller.signal));
    const staying = enter(lanes);
    controller.abort('enough');
    expect(await leaving).toBe('enough');
    lanes.leave();
    await settle();
    expect(staying.in).toBe(true);
  });

  test('an abort after entering changes nothing', async () => {
    const lanes = new Lanes(1);
    const controller = new AbortController();
    await lanes.enter(calm, never);
    const second = enter(lanes, calm, controller.signal);
    lanes.leave();
    await settle();
    expect(second.in).toBe(true);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    const third = enter(lanes);
    controller.abort('late');
    await settle();
    expect(third.in).toBe(false);
  });

  test('in any order of events: calm ones never pass the count, no lane stays free while somebody waits', async () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('enter' as const), urgent: fc.boolean() }),
      fc.record({ kind: fc.constantFrom('leave' as const, 'abort' as const, 'hurry' as const), which: fc.nat(100) }),
    );
    await holdsAsync(
      300,
      fc.tuple(fc.integer({ min: 1, max: 4 }), fc.array(event, { maxLength: 60 })),
      async ([count, events]) => {
        interface Visitor {
          urgent: boolean;
          state: 'waiting' | 'in' | 'gone';
          controller: AbortController;
        }
        const lanes = new Lanes(count);
        const visitors: Visitor[] = [];
        const of = (state: Visitor['state']) => visitors.filter((visitor) => visitor.state === state);
        for (const step of events) {
          if (step.kind === 'enter') {
            const visitor: Visitor = { urgent: step.urgent, state: 'waiting', controller: new AbortController() };
            visitors.push(visitor);
            lanes
              .enter(() => visitor.urgent, visitor.controller.signal)
              .then(
                () => {
                  visitor.state = 'in';
                },
                () => {
                  visitor.state = 'gone';
                },
              );
          } else {
            const list = of(step.kind === 'leave' ? 'in' : 'waiting');
            const visitor = list[step.which % Math.max(1, list.length)];
            if (!visitor) continue;
            if (step.kind === 'leave') {
              visitor.state = 'gone';
              lanes.leave();
            } else if (step.kind === 'abort') visitor.controller.abort();
            else {
              visitor.urgent = true;
              lanes.recheck();
            }
          }
          await settle();
          expect(of('in').filter((visitor) => !visitor.urgent).length).toBeLessThanOrEqual(count);
          if (of('waiting').length > 0) expect(of('in').length).toBeGreaterThanOrEqual(count);
          for (const visitor of of('waiting')) expect(visitor.urgent).toBe(false);
        }
        for (let inside = of('in'); inside.length > 0; inside = of('in')) {
          for (const visitor of inside) {
            visitor.state = 'gone';
            lanes.leave();
          }
          await settle();
        }
        expect(of('waiting')).toEqual([]);
      },
    );
  });
});
