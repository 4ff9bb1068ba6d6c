import { Worker } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/umd/node-adapter.js';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import { CHUNK_RECORD_BYTES } from '../../src/core/chunks.ts';
import { Liveness } from '../../src/workers/liveness.ts';
import { WorkerClient } from '../../src/workers/rpc.ts';
import type { SpawnedWorker } from '../../workers/spawn.ts';
import { rejectionOf } from '../support/property.ts';

const timeout = { tickMs: 10, ticks: 3 };

describe('Liveness', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('a silent worker is given up once, after the set number of ticks', () => {
    const silent = vi.fn();
    const liveness = new Liveness(silent, timeout);
    void liveness.watch(new Promise(() => undefined));
    vi.advanceTimersByTime(30);
    expect(silent).not.toHaveBeenCalled();
    vi.advanceTimersByTime(100);
    expect(silent).toHaveBeenCalledTimes(1);
  });

  test('each sign of life restarts the count', async () => {
    const silent = vi.fn();
    const liveness = new Liveness(silent, timeout);
    void liveness.watch(new Promise(() => undefined));
    for (let words = 0; words < 10; words++) {
      vi.advanceTimersByTime(20);
      liveness.beat();
    }
    expect(silent).not.toHaveBeenCalled();
    let answer = () => {};
    const answered = liveness.watch(
      new Promise<void>((resolve) => {
        answer = resolve;
      }),
    );
    vi.advanceTimersByTime(20);
    answer();
    await answered;
    vi.advanceTimersByTime(20);
    expect(silent).not.toHaveBeenCalled();
  });

  test('a worker is pinged on each tick while an answer is outstanding, and only then', async () => {
    const ping = vi.fn();
    const liveness = new Liveness(() => undefined, timeout, ping);
    vi.advanceTimersByTime(100);
    expect(ping).not.toHaveBeenCalled();
    await liveness.watch(Promise.resolve());
    vi.advanceTimersByTime(100);
    expect(vi.getTimerCount()).toBe(0);
    void liveness.watch(new Promise(() => undefined));
    vi.advanceTimersByTime(20);
    expect(ping).toHaveBeenCalledTimes(2);
    liveness.stop();
  });

  test('time during which the computer slept does not count', () => {
    const silent = vi.fn();
    const liveness = new Liveness(silent, timeout);
    void liveness.watch(new Promise(() => undefined));
    // Timers that were due meanwhile are due once.
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersByTime(10);
    expect(silent).not.toHaveBeenCalled();
    liveness.stop();
  });
});

/** A real thread that runs a script, and reports no events. */
function silentThread(script: string): SpawnedWorker {
  const worker = new Worker(script, { eval: true });
  onTestFinished(() => void worker.terminate());
  return {
    endpoint: nodeEndpoint(worker),
    onFailure: () => undefined,
    hold: () => undefined,
    terminate: () => void worker.terminate(),
  };
}

/** Answers that it is ready as Comlink does, and then does something else than it is asked to. */
const readyAndThen = (what: string) => `
  const { parentPort } = require('node:worker_threads');
  let ready = false;
  parentPort.on('message', ({ id }) => {
    if (ready) { ${what} }
    ready = true;
    parentPort.postMessage({ id, type: 'RAW', value: undefined });
  });`;

describe.each([
  ['closes itself', 'return parentPort.close();'],
  ['ends its process', 'process.exit();'],
  ['hangs', 'for (;;) ;'],
  ['says nothing', 'return;'],
])('a codec worker that %s without an event', (_what, step) => {
  test('its task fails as retryable, and the worker is replaced only when there is work', async () => {
    let started = 0;
    const pool = new CodecPool({
      size: 1,
      load: loadCodec,
      smallBytes: 0,
      timeout: { tickMs: 20, ticks: 5 },
      spawn: () => {
        started++;
        return silentThread(readyAndThen(step));
      },
    });
    onTestFinished(() => pool.close());
    const failed = await rejectionOf(pool.decodeRun(new Uint8Array(200_000)));
    expect(failed).toMatchObject({ code: 'CODEC_CRASHED', retryable: true });
    expect(pool.counts.lost).toBe(1);
    expect(started).toBe(1);
  });
});

test('without workers that get ready, work runs on the calling thread', async () => {
  const pool = new CodecPool({
    size: 1,
    load: loadCodec,
    smallBytes: 0,
    timeout: { tickMs: 20, ticks: 5 },
    spawn: () => silentThread('setInterval(() => undefined, 1000);'),
  });
  onTestFinished(() => pool.close());
  const codec = await loadCodec();
  const records = new Uint8Array(CHUNK_RECORD_BYTES);
  expect(await pool.fileHash(records.slice())).toEqual(codec.fileHash(records));
  expect(pool.counts).toMatchObject({ lost: 2, here: 1 });
});

describe('WorkerClient', () => {
  const lost: Error[] = [];
  const callsOf = (script: string) => {
    lost.length = 0;
    const calls: WorkerClient<{ work(): Promise<void> }> = new WorkerClient(
      silentThread(script),
      'service',
      (reason) => {
        lost.push(reason);
        calls.end(reason);
      },
      { tickMs: 20, ticks: 5 },
    );
    onTestFinished(() => calls.end(new Error('over')));
    return calls;
  };

  test('a worker that does not answer pings is lost', async () => {
    const calls = callsOf("require('node:worker_threads').parentPort.on('message', () => { for (;;) ; });");
    expect(await rejectionOf(calls.call(() => calls.remote.work()))).toBe(lost[0]);
    expect(lost).toHaveLength(1);
  });

  test('a worker that answers pings may take its time', async () => {
    const script = `
      require('node:worker_threads').parentPort.on('message', (ports) => {
        ports['xetkit-echo'].on('message', () => ports['xetkit-echo'].postMessage(undefined));
        ports.service.on('message', ({ id }) => setTimeout(() => ports.service.postMessage({ id, type: 'RAW' }), 600));
      });`;
    const calls = callsOf(script);
    await calls.call(() => calls.remote.work());
    expect(lost).toEqual([]);
  });
});
