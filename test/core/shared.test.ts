import { describe, expect, test } from 'vitest';
import { Shared } from '../../src/core/shared.ts';
import { rejectionOf } from '../support/property.ts';

/** Work that ends when the test says so. */
function makeWork() {
  const runs: { signal: AbortSignal; resolve: (value: string) => void; reject: (error: unknown) => void }[] = [];
  const work = (signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      runs.push({ signal, resolve, reject });
    });
  return { work, runs };
}

describe('Shared', () => {
  test('many callers are one run', async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    const callers = Array.from({ length: 5 }, () => shared.join(work));
    expect(runs).toHaveLength(1);
    runs[0]?.resolve('value');
    expect(await Promise.all(callers)).toEqual(Array(5).fill('value'));
  });

  test('a result is not kept', async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    const first = shared.join(work);
    runs[0]?.resolve('one');
    expect(await first).toBe('one');
    const second = shared.join(work);
    expect(runs).toHaveLength(2);
    runs[1]?.resolve('two');
    expect(await second).toBe('two');
  });

  test('a failure reaches all who wait, and nobody after them', async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    const callers = [1, 2].map(() => rejectionOf(shared.join(work)));
    const reason = new Error('no');
    runs[0]?.reject(reason);
    expect(await Promise.all(callers)).toEqual([reason, reason]);
    const next = shared.join(work);
    runs[1]?.resolve('yes');
    expect(await next).toBe('yes');
  });

  test("one caller's abort is that caller's alone", async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    const controller = new AbortController();
    const leaving = rejectionOf(shared.join(work, controller.signal));
    const staying = shared.join(work, new AbortController().signal);
    controller.abort('mine');
    expect(await leaving).toBe('mine');
    expect(runs[0]?.signal.aborted).toBe(false);
    // Who comes now joins what is running.
    const late = shared.join(work);
    expect(runs).toHaveLength(1);
    runs[0]?.resolve('value');
    expect(await Promise.all([staying, late])).toEqual(['value', 'value']);
  });

  test('the work is aborted when nobody is left, and the next caller starts anew', async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    const controllers = [new AbortController(), new AbortController()];
    const callers = controllers.map(({ signal }) => rejectionOf(shared.join(work, signal)));
    controllers[0]?.abort('first');
    expect(runs[0]?.signal.aborted).toBe(false);
    controllers[1]?.abort('second');
    expect(runs[0]?.signal.aborted).toBe(true);
    expect(await Promise.all(callers)).toEqual(['first', 'second']);

    const next = shared.join(work);
    expect(runs).toHaveLength(2);
    expect(runs[1]?.signal.aborted).toBe(false);
    runs[1]?.resolve('value');
    expect(await next).toBe('value');
  });

  test('what the abandoned work still says reaches nobody', async () => {
    const shared = new Shared<string>();
    const runs: ((value: string) => void)[] = [];
    // This work does not listen to its signal.
    const deaf = () => new Promise<string>((resolve) => runs.push(resolve));
    const controller = new AbortController();
    const leaving = rejectionOf(shared.join(deaf, controller.signal));
    controller.abort('mine');
    expect(await leaving).toBe('mine');
    const next = shared.join(deaf);
    runs[0]?.('old');
    await new Promise((resolve) => setImmediate(resolve));
    const joined = shared.join(deaf);
    expect(runs).toHaveLength(2);
    runs[1]?.('new');
    expect(await Promise.all([next, joined])).toEqual(['new', 'new']);
  });

  test('an aborted signal starts nothing', async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    expect(await rejectionOf(shared.join(work, AbortSignal.abort('before')))).toBe('before');
    expect(runs).toHaveLength(0);
  });

  test('a caller without a signal cannot be left alone', async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    const staying = shared.join(work);
    for (let count = 0; count < 3; count++) {
      const controller = new AbortController();
      const leaving = rejectionOf(shared.join(work, controller.signal));
      controller.abort(count);
      expect(await leaving).toBe(count);
    }
    expect(runs[0]?.signal.aborted).toBe(false);
    runs[0]?.resolve('value');
    expect(await staying).toBe('value');
  });

  test('an abort after the end changes nothing', async () => {
    const shared = new Shared<string>();
    const { work, runs } = makeWork();
    const controller = new AbortController();
    const first = shared.join(work, controller.signal);
    runs[0]?.resolve('one');
    expect(await first).toBe('one');
    const second = shared.join(work);
    controller.abort('late');
    expect(runs[1]?.signal.aborted).toBe(false);
    runs[1]?.resolve('two');
    expect(await second).toBe('two');
  });
});
