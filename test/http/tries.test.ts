import { setTimeout as pause } from 'node:timers/promises';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { XetError } from '../../src/core/errors.ts';
import { MetricsLog } from '../../src/core/metrics.ts';
import { RequestGuard } from '../../src/http/request-guard.ts';
import { Tries, type TriesParts } from '../../src/http/tries.ts';

const gone = new XetError('NETWORK', 'gone', { retryable: true });
const broken = new XetError('SERVER', 'broken', { status: 503, retryable: true });

function triesOf(parts: Partial<TriesParts> = {}) {
  const pauses: number[] = [];
  const log = new MetricsLog();
  const tries = new Tries({
    attempts: 3,
    waits: true,
    signal: undefined,
    pause: async (attempt) => void pauses.push(attempt),
    log,
    ...parts,
  });
  return { tries, pauses, log };
}

describe('attempts', () => {
  test('end with the last failure, and start over after progress', async () => {
    const { tries, pauses } = triesOf();
    await tries.failed(gone);
    await tries.failed(broken);
    tries.progressed();
    await tries.failed(gone);
    await tries.failed(gone);
    await expect(tries.failed(broken)).rejects.toBe(broken);
    expect(pauses).toEqual([1, 2, 1, 2]);
  });

  test('start over when the machine has slept', async () => {
    const { tries, pauses } = triesOf();
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    for (let hours = 0; hours < 5; hours++) {
      await tries.failed(gone);
      await tries.failed(gone);
      vi.setSystemTime(Date.now() + 3_600_000);
    }
    await tries.failed(gone);
    await tries.failed(gone);
    await expect(tries.failed(gone)).rejects.toBe(gone);
    expect(pauses).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
  });
});

describe('a device that is offline', () => {
  const device = { onLine: false };
  beforeEach(() => {
    device.onLine = false;
    vi.stubGlobal('navigator', device);
    const events = new EventTarget();
    for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent'] as const)
      vi.stubGlobal(name, events[name].bind(events));
    return () => vi.unstubAllGlobals();
  });

  test('waits without using up attempts, and goes on at once when the network is back', async () => {
    const { tries, pauses, log } = triesOf();
    for (let outages = 0; outages < 5; outages++) {
      device.onLine = false;
      let over = false;
      const waiting = tries.failed(gone).then(() => {
        over = true;
      });
      await pause(10);
      expect([over, log.awaited]).toEqual([false, 1]);
      device.onLine = true;
      dispatchEvent(new Event('online'));
      await waiting;
    }
    expect([pauses, log.awaited]).toEqual([[], 0]);
  });

  test('notices that the network is back where no event says so', async () => {
    const { tries } = triesOf();
    const waiting = tries.failed(gone);
    await pause(10);
    device.onLine = true;
    await waiting;
  });

  test('stops waiting when the caller aborts', async () => {
    const stop = new AbortController();
    const { tries } = triesOf({ signal: stop.signal });
    const waiting = tries.failed(gone);
    stop.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    await expect(triesOf({ signal: stop.signal }).tries.failed(gone)).rejects.toBe('enough');
  });

  test('counts what a server says, and what is not to wait', async () => {
    const { tries, pauses } = triesOf();
    await tries.failed(broken);
    expect(pauses).toEqual([1]);
    await expect(triesOf({ attempts: 1 }).tries.failed(gone)).rejects.toBe(gone);
    await triesOf({ waits: false }).tries.failed(gone);
  });
});

test('a timer that fires long after it was due gives what has arrived meanwhile its time', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const guard = new RequestGuard('https://cas.example/x', undefined);
  const watch = guard.watch(20_000, 'STALLED');
  let answer: (value: string) => void = () => undefined;
  const step = watch.over(new Promise<string>((resolve) => (answer = resolve)));
  // The clock of the day jumps; what is due fires then.
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(guard.signal.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(19_000);
  answer('here');
  expect(await step).toBe('here');
  const silent = watch.over(new Promise(() => undefined)).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(40_000);
  expect(await silent).toMatchObject({ code: 'STALLED' });
  watch.end();
});
