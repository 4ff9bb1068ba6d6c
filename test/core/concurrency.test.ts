import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConcurrencyController } from '../../src/core/concurrency.ts';

const limits = { start: 4, least: 1, most: 32 };

/** Feeds the controller a network that gives `rate(limit)` bytes a millisecond, for some windows of 200 ms. */
function run(controller: ConcurrencyController, windows: number, rate: (limit: number) => number, from = 0): number[] {
  const seen: number[] = [];
  for (let window = 0; window <= windows; window++) {
    controller.received(rate(controller.limit) * 200, from + window * 200, true);
    seen.push(controller.limit);
  }
  return seen;
}

describe('the number of requests at once', () => {
  test('doubles while each brings its own share', () => {
    const controller = new ConcurrencyController(limits);
    run(controller, 10, (limit) => limit * 1000);
    expect(controller.limit).toBe(32);
  });

  test('settles where more bring nothing', () => {
    const controller = new ConcurrencyController(limits);
    const seen = run(controller, 60, (limit) => Math.min(limit, 8) * 1000);
    expect(Math.max(...seen)).toBeLessThanOrEqual(16);
    expect(seen.slice(10).filter((limit) => limit === 8).length).toBeGreaterThan(35);
  });

  test('stays where it is on a line that is full from the start', () => {
    const controller = new ConcurrencyController(limits);
    const seen = run(controller, 40, () => 5000);
    expect(seen.at(-1)).toBeLessThanOrEqual(5);
    expect(Math.max(...seen)).toBeLessThanOrEqual(8);
  });

  test('halves when a server says that it is too much, and waits before it tries again', () => {
    const controller = new ConcurrencyController(limits);
    run(controller, 10, (limit) => limit * 1000);
    controller.backOff();
    expect(controller.limit).toBe(16);
    controller.backOff();
    expect(controller.limit).toBe(8);
    const seen = run(controller, 10, (limit) => limit * 1000, 10_000);
    expect(Math.max(...seen)).toBe(8);
  });

  test('learns nothing from windows in which requests were idle', () => {
    const controller = new ConcurrencyController(limits);
    for (let window = 0; window < 20; window++) controller.received(1000, window * 200, false);
    expect(controller.limit).toBe(4);
  });

  test('never leaves its bounds, whatever happens', () => {
    const step = fc.oneof(
      fc.record({ bytes: fc.nat(1e9), ms: fc.nat(1000), busy: fc.boolean() }),
      fc.constant('backOff' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const controller = new ConcurrencyController(limits);
        let now = 0;
        for (const one of steps) {
          if (one === 'backOff') controller.backOff();
          else {
            now += one.ms;
            controller.received(one.bytes, now, one.busy);
          }
          expect(controller.limit).toBeGreaterThanOrEqual(limits.least);
          expect(controller.limit).toBeLessThanOrEqual(limits.most);
        }
      }),
      { seed: 20260101, numRuns: 200 },
    );
  });
});
