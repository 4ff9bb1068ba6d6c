import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { MetricsLog } from '../../src/core/metrics.ts';
import { type Progress, ProgressMeter } from '../../src/core/progress.ts';
import { holds } from '../support/property.ts';

/** A meter, its reports, and a clock that the test moves. */
function metered(files: number, bytes: number) {
  const clock = { ms: 0 };
  const reports: Progress[] = [];
  const meter = new ProgressMeter(
    { files, bytes },
    (progress) => reports.push(progress),
    () => clock.ms,
  );
  return { meter, reports, clock, last: () => reports.at(-1) };
}

describe('ProgressMeter', () => {
  test('knows the totals from the first report on', () => {
    const { meter, reports } = metered(3, 1000);
    meter.content(10, 'a.txt');
    expect(reports).toEqual([
      {
        phase: 'downloading',
        files: { done: 0, total: 3 },
        bytes: { done: 10, total: 1000, network: 0, cache: 0, local: 0 },
        bytesPerSecond: 0,
        etaSeconds: undefined,
        current: 'a.txt',
      },
    ]);
  });

  test('reports not more often than a person can see, but for what changes the picture', () => {
    const { meter, reports, clock } = metered(2, 1000);
    for (let count = 0; count < 50; count++) {
      clock.ms += 10;
      meter.content(1, 'a');
    }
    expect(reports.length).toBe(5);
    meter.phase('verifying');
    meter.fileDone();
    expect(reports).toHaveLength(7);
  });

  test('network and cache are counted apart from content', () => {
    const { meter, last } = metered(1, 1000);
    meter.network(30);
    meter.network(12);
    meter.cache(7);
    meter.local(3);
    meter.content(100, 'a');
    expect(last()).toMatchObject({ bytes: { done: 100, network: 42, cache: 7, local: 3 } });
  });

  test('the last report of a success says all done, also when nothing had to be fetched', () => {
    const { meter, last } = metered(2, 1000);
    meter.content(600, 'a');
    meter.fileDone();
    expect(last()).toMatchObject({ phase: 'downloading', files: { done: 1, total: 2 } });
    meter.fileDone();
    expect(last()).toMatchObject({
      phase: 'done',
      files: { done: 2, total: 2 },
      bytes: { done: 1000, total: 1000 },
      etaSeconds: 0,
    });
  });

  test('an empty file is done too', () => {
    const { meter, last } = metered(1, 0);
    meter.fileDone();
    expect(last()).toMatchObject({ phase: 'done', bytes: { done: 0, total: 0 }, etaSeconds: 0 });
  });

  test('content that comes a second time does not pass the total', () => {
    const { meter, last, clock } = metered(1, 100);
    for (let count = 0; count < 5; count++) {
      clock.ms += 1000;
      meter.content(60, 'a');
    }
    expect(last()?.bytes).toMatchObject({ done: 100, total: 100 });
  });

  test('the rate is that of the last few seconds', () => {
    const { meter, last, clock } = metered(1, 1e9);
    const seconds = (count: number, bytesEach: number) => {
      for (let at = 0; at < count * 4; at++) {
        clock.ms += 250;
        meter.content(bytesEach / 4, 'a');
      }
    };
    seconds(20, 1000);
    expect(last()?.bytesPerSecond).toBeCloseTo(1000);
    seconds(20, 50_000);
    expect(last()?.bytesPerSecond).toBeCloseTo(50_000);
    expect(last()?.etaSeconds).toBeCloseTo((1e9 - 20_000 - 1_000_000) / 50_000);
  });

  test('a pause makes it slow, and says so', () => {
    const { meter, last, clock } = metered(1, 1e9);
    clock.ms = 1000;
    meter.content(1000, 'a');
    clock.ms = 2000;
    meter.content(1000, 'a');
    expect(last()?.bytesPerSecond).toBeCloseTo(1000);
    clock.ms = 102_000;
    meter.content(1000, 'a');
    expect(last()?.bytesPerSecond).toBeLessThan(20);
  });

  test("a report is the caller's own", () => {
    const { meter, reports, clock } = metered(1, 100);
    meter.content(10, 'a');
    const first = reports[0];
    if (first) first.bytes.done = 99;
    clock.ms = 1000;
    meter.content(10, 'a');
    expect(reports.map((report) => report.bytes.done)).toEqual([99, 20]);
  });

  test('works without anybody to report to', () => {
    const meter = new ProgressMeter({ files: 1, bytes: 10 }, undefined);
    meter.content(10, 'a');
    expect(() => meter.fileDone()).not.toThrow();
  });

  test('never goes backwards, and every number is one', () => {
    const event = fc.oneof(
      fc.record({
        kind: fc.constantFrom('content' as const, 'network' as const, 'cache' as const),
        bytes: fc.nat(5000),
      }),
      fc.record({ kind: fc.constant('file' as const), bytes: fc.constant(0) }),
    );
    const steps = fc.array(fc.tuple(event, fc.nat(400)), { maxLength: 80 });
    holds(200, fc.tuple(steps, fc.nat(50_000)), ([list, total]) => {
      const { meter, reports, clock } = metered(5, total);
      let files = 0;
      for (const [{ kind, bytes }, passed] of list) {
        clock.ms += passed;
        if (kind === 'content') meter.content(bytes, 'a');
        else if (kind === 'file') {
          if (files < 4) {
            files++;
            meter.fileDone();
          }
        } else meter[kind](bytes);
      }
      for (; files < 5; files++) meter.fileDone();
      reports.forEach((report, index) => {
        const before = reports[index - 1];
        expect(report.bytes.done).toBeGreaterThanOrEqual(before?.bytes.done ?? 0);
        expect(report.bytes.done).toBeLessThanOrEqual(total);
        expect(report.files.done).toBeGreaterThanOrEqual(before?.files.done ?? 0);
        expect(report.bytes.network).toBeGreaterThanOrEqual(before?.bytes.network ?? 0);
        expect(report.bytes.cache).toBeGreaterThanOrEqual(before?.bytes.cache ?? 0);
        expect(Number.isFinite(report.bytesPerSecond) && report.bytesPerSecond >= 0).toBe(true);
        if (report.etaSeconds !== undefined)
          expect(Number.isFinite(report.etaSeconds) && report.etaSeconds >= 0).toBe(true);
        expect(report.phase === 'done').toBe(index === reports.length - 1);
      });
      expect(reports.at(-1)).toMatchObject({ files: { done: 5, total: 5 }, bytes: { done: total, total } });
    });
  });
});

test('a wait for the network is reported until bytes arrive, with a rate that falls to nothing', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const log = new MetricsLog();
  const heard: Progress[] = [];
  const meter = new ProgressMeter({ files: 1, bytes: 1000 }, (one) => heard.push(one), undefined, log);
  for (let second = 0; second < 3; second++) {
    vi.advanceTimersByTime(1000);
    meter.content(100, 'a.bin');
  }
  expect(heard.at(-1)).toMatchObject({ bytesPerSecond: expect.any(Number), etaSeconds: expect.any(Number) });
  expect(heard.at(-1)?.waiting).toBeFalsy();
  log.await(1);
  vi.advanceTimersByTime(2000);
  expect(heard.at(-1)?.waiting).toBeFalsy();
  vi.advanceTimersByTime(8000);
  expect(heard.at(-1)).toMatchObject({ waiting: true, bytesPerSecond: 0, etaSeconds: undefined, phase: 'downloading' });
  vi.advanceTimersByTime(150);
  meter.content(100, 'a.bin');
  expect(heard.at(-1)).toMatchObject({ waiting: false, bytes: { done: 400 } });
  // What happens on this machine is no wait for the network.
  log.await(-1);
  vi.advanceTimersByTime(10_000);
  expect(heard.at(-1)?.waiting).toBe(false);
  meter.stop();
  expect(vi.getTimerCount()).toBe(0);
});
