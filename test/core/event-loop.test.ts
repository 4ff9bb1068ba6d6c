import { describe, expect, test } from 'vitest';
import * as reconstruction from '../../src/cas/reconstruction.ts';
import { EventLoopYielder, inTurns } from '../../src/core/event-loop.ts';
import { ITEMS_AT_ONCE, type Steps } from '../../src/core/steps.ts';
import * as plan from '../../src/download/plan.ts';
import { readReconstruction } from '../support/at-once.ts';
import { toV1, toV2, toV2Merged, xorbHash } from '../support/cas-wire.ts';
import { rejectionOf } from '../support/property.ts';

const MIB = 1024 * 1024;

test('a task ends after some megabytes, and not before', async () => {
  const turns = new EventLoopYielder();
  const { port1, port2 } = new MessageChannel();
  let waiting = 0;
  port1.onmessage = () => waiting--;
  const ended: boolean[] = [];
  for (let index = 0; index < 12; index++) {
    waiting++;
    port2.postMessage(undefined);
    await turns.after(MIB);
    ended.push(waiting === 0);
  }
  port1.close();
  expect(ended).toEqual(Array.from({ length: 12 }, (_, index) => index % 4 === 3));
});

describe('work on 80,000 terms', () => {
  const terms = 80_000;
  const length = 8192;
  /** Ten xorbs of 8,000 chunks; each chunk has an address and a range of its own, and one term. */
  const layout = {
    offset: 0,
    xorbs: Array.from({ length: 10 }, (_, xorb) => ({
      hash: xorbHash(xorb + 1),
      ranges: Array.from({ length: 8000 }, (_, at) => ({
        chunks: [at, at + 1] as [number, number],
        bytes: [at * 1000, at * 1000 + 999] as [number, number],
        url: 'https://cdn.test/',
      })),
    })),
    terms: Array.from({ length: terms }, (_, at) => ({
      xorb: at % 10,
      chunks: [Math.floor(at / 10), Math.floor(at / 10) + 1] as [number, number],
      unpackedLength: length,
    })),
  };

  /** How often work looked at a property of some objects in each of its steps. */
  function looksOf<T extends object>(work: Steps<unknown>, objects: readonly T[], property: keyof T): number[] {
    let looks = 0;
    for (const object of objects) {
      const value = object[property];
      Object.defineProperty(object, property, {
        get: () => {
          looks++;
          return value;
        },
      });
    }
    const steps: number[] = [];
    for (let done: boolean | undefined = false; !done; ) {
      looks = 0;
      done = work.next().done;
      steps.push(looks);
    }
    return steps;
  }

  test.each([
    ['with ranges apart', toV2(layout)],
    ['with joined ranges', toV2Merged(layout)],
    ['in the older form', toV1(layout)],
  ])('leaves the thread to others while an answer is read (%s)', (_form, body) => {
    const steps = looksOf(reconstruction.readReconstruction(body), body.terms, 'range');
    expect(steps.length).toBeGreaterThan(2 * Math.floor(terms / ITEMS_AT_ONCE));
    expect(Math.max(...steps)).toBeLessThanOrEqual(ITEMS_AT_ONCE);
  });

  test.each([toV2(layout), toV2Merged(layout)])('leaves the thread to others while they are planned', (body) => {
    const from = readReconstruction(body);
    const span = { start: 0, end: terms * length };
    const work = plan.planDownload({ from, span, exact: true, wanted: [span] }, { maxHeldBytes: 1e6, group: true });
    const steps = looksOf(work, from.terms, 'chunks');
    expect(steps.length).toBeGreaterThan(3 * Math.floor(terms / ITEMS_AT_ONCE));
    expect(Math.max(...steps)).toBeLessThanOrEqual(5 * ITEMS_AT_ONCE);
  });

  test('gives others a turn at each stop, and stops at an abort', async () => {
    let steps = 0;
    function* work(): Steps<string> {
      for (; steps < 1000; steps++) yield;
      return 'done';
    }
    const seen: number[] = [];
    const watch = () => {
      seen.push(steps);
      if (steps < 1000) setImmediate(watch);
    };
    setImmediate(watch);
    expect(await inTurns(work(), undefined)).toBe('done');
    expect(new Set(seen).size).toBeGreaterThan(100);

    steps = 0;
    const stop = new AbortController();
    setImmediate(() => stop.abort(new Error('enough')));
    expect(await rejectionOf(inTurns(work(), stop.signal))).toMatchObject({ message: 'enough' });
    expect(steps).toBeLessThan(100);
  });
});
