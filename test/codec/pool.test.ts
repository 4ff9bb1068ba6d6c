import { getEventListeners } from 'node:events';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Codec, DecodedRun } from '../../src/codec/codec.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool, type PoolOptions } from '../../src/codec/pool.ts';
import { XetError } from '../../src/core/errors.ts';
import { codecWorkers, type ManualWorker, manualWorkers } from '../support/fake-workers.ts';
import { rejectionOf } from '../support/property.ts';
import { splitMix64 } from '../support/vectors.ts';
import { chunkInPieces } from './local.ts';

const codec = await loadCodec();

/** Long enough to be worth a message. */
const LARGE = 200_000;
/** A promise that never settles fails a test soon. */
const SOON = { timeout: 3000 };

/** Frames of a xorb that cannot be compressed. */
function framesOf(seed: number, length = LARGE): Uint8Array {
  const data = splitMix64(seed, length);
  return codec.serializeXorb(data, chunkInPieces(codec, data, [])).body;
}

function makePool(options: Partial<PoolOptions>): CodecPool {
  const pool = new CodecPool({ size: 1, load: loadCodec, ...options });
  onTestFinished(() => pool.close());
  return pool;
}

/** A codec that does what the real one does, unless the test steps in. */
function codecWith(decodeRun: (frames: Uint8Array) => DecodedRun): Codec {
  const stub: Pick<Codec, 'decodeRun' | 'fileHash'> = { decodeRun, fileHash: (chunks) => codec.fileHash(chunks) };
  return stub as Codec;
}

const trap = () => new WebAssembly.RuntimeError('unreachable');
const decoded = (): DecodedRun => ({ data: Uint8Array.of(1), chunks: new Uint8Array() });
const input = () => new Uint8Array(LARGE);
/** Lets all messages arrive that are on their way: both ends are on this thread, so some turns of its loop do. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
}
const onlyWorker = ({ workers }: { workers: ManualWorker[] }, index = 0): ManualWorker => {
  const worker = workers[index];
  if (!worker) throw new Error('No such worker was started');
  return worker;
};
const callsOf = (fake: { workers: ManualWorker[] }) => fake.workers.flatMap((worker) => worker.calls);

describe('CodecPool.expect', () => {
  const MUCH = 1024 * 1024;

  test('a worker is started before large input arrives', async () => {
    const { spawn, workers } = codecWorkers(loadCodec);
    const pool = makePool({ spawn, size: 3 });
    pool.expect(MUCH - 1);
    expect(workers).toHaveLength(0);
    pool.expect(MUCH);
    pool.expect(MUCH);
    expect(workers).toHaveLength(1);
    const frames = framesOf(1);
    expect(await pool.decodeRun(frames.slice())).toEqual(codec.decodeRun(frames));
    expect(workers).toHaveLength(1);
  });

  test('no worker is started in a pool of size 0 or a closed pool', () => {
    const { spawn, workers } = codecWorkers(loadCodec);
    makePool({ spawn, size: 0 }).expect(MUCH);
    const closed = makePool({ spawn });
    closed.close();
    closed.expect(MUCH);
    expect(workers).toHaveLength(0);
  });
});

describe('a pool without a codec on the calling thread', () => {
  test('even small input runs on a worker', async () => {
    const { spawn, workers } = codecWorkers(loadCodec);
    const pool = makePool({ load: undefined, spawn });
    const records = codec.decodeRun(framesOf(1)).chunks;
    expect(await pool.fileHash(records.slice())).toEqual(codec.fileHash(records));
    expect(await pool.fileHash(new Uint8Array())).toEqual(codec.fileHash(new Uint8Array()));
    expect(workers).toHaveLength(1);
    expect(pool.counts).toEqual({ sent: 2, here: 0, lost: 0 });
  });

  test('without workers the error names threadCodec', async () => {
    const onWarning = vi.fn();
    const pool = makePool({ load: undefined, spawn: undefined, onWarning });
    const error = await rejectionOf(pool.decodeRun(framesOf(1)));
    expect(error).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining('threadCodec') });
    expect(onWarning).not.toHaveBeenCalled();
  });

  test('if no worker can be started the error says why', async () => {
    const onWarning = vi.fn();
    const spawn = () => {
      throw new Error('refused by the policy');
    };
    const pool = makePool({ load: undefined, spawn, onWarning });
    for (let turn = 0; turn < 2; turn++) {
      const error = await rejectionOf(pool.decodeRun(framesOf(1)));
      expect(error).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining('refused by the policy') });
    }
    // It is the error that tells.
    expect(onWarning).not.toHaveBeenCalled();
  });
});

describe('results of a pool', () => {
  test.each([1, 2, 3])('results of %i workers equal those of the calling thread', async (size) => {
    const { spawn, workers } = codecWorkers(loadCodec);
    const pool = makePool({ spawn, size });
    const runs = Array.from({ length: 12 }, (_, seed) => framesOf(seed, LARGE + seed * 1000));
    const expected = runs.map((frames) => codec.decodeRun(frames));
    expect(await Promise.all(runs.map((frames) => pool.decodeRun(frames.slice())))).toEqual(expected);
    expect(workers).toHaveLength(size);
    for (const { chunks } of expected) {
      expect(await pool.fileHash(chunks.slice())).toEqual(codec.fileHash(chunks));
    }
    expect(pool.counts).toEqual({ sent: 24, here: 0, lost: 0 });
  });

  test('errors of a worker keep their code', async () => {
    const { spawn } = codecWorkers(loadCodec);
    const pool = makePool({ spawn });
    const frames = framesOf(1);
    frames[4] = 99;
    const error = await rejectionOf(pool.decodeRun(frames));
    expect(error).toBeInstanceOf(XetError);
    expect(error).toMatchObject({ code: 'PROTOCOL' });
    expect(pool.counts.lost).toBe(0);
  });

  test('errors of a worker keep their retryable flag', async () => {
    const failing = codecWith(() => {
      throw new XetError('QUOTA', 'Too much.', { retryable: true });
    });
    const { spawn } = codecWorkers(async () => failing);
    const pool = makePool({ spawn });
    expect(await rejectionOf(pool.decodeRun(input()))).toMatchObject({
      code: 'QUOTA',
      message: 'Too much.',
      retryable: true,
    });
  });

  test('the frames are transferred', async () => {
    const { spawn } = codecWorkers(loadCodec);
    const pool = makePool({ spawn });
    const frames = framesOf(1).slice();
    await pool.decodeRun(frames);
    expect(frames).toHaveLength(0);
  });
});

describe('a pool on the calling thread', () => {
  test('a pool of size 0 runs everything on the calling thread', async () => {
    const spawn = vi.fn();
    const pool = makePool({ spawn, size: 0 });
    const frames = framesOf(1);
    expect(await pool.decodeRun(frames.slice())).toEqual(codec.decodeRun(frames));
    expect(spawn).not.toHaveBeenCalled();
    expect(pool.counts).toEqual({ sent: 0, here: 1, lost: 0 });
  });

  test('a pool on a platform without workers runs everything on the calling thread', async () => {
    const pool = makePool({ size: 4 });
    const frames = framesOf(1);
    expect(await pool.decodeRun(frames.slice())).toEqual(codec.decodeRun(frames));
  });

  test('small input runs on the calling thread, and starts no worker', async () => {
    const { spawn, workers } = codecWorkers(loadCodec);
    const pool = makePool({ spawn });
    const small = framesOf(1, 5000);
    expect(await pool.decodeRun(small.slice())).toEqual(codec.decodeRun(small));
    expect(workers).toHaveLength(0);
  });

  test('a trap on the calling thread is CODEC_CRASHED', async () => {
    const load = async () =>
      codecWith(() => {
        throw trap();
      });
    const pool = makePool({ size: 0, load });
    expect(await rejectionOf(pool.decodeRun(input()))).toMatchObject({ name: 'XetError', code: 'CODEC_CRASHED' });
  });
});

describe('back-pressure', () => {
  test('no worker is sent a third task while it has two', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn, size: 2 });
    const results = Array.from({ length: 11 }, () => pool.decodeRun(input()));
    for (let turn = 0; turn < results.length; turn++) {
      await settled();
      for (const worker of fake.workers) expect(worker.calls.length).toBeLessThanOrEqual(2);
      // Now from one, now from the other.
      const busy = fake.workers.filter((worker) => worker.calls.length > 0);
      busy[turn % busy.length]?.calls.shift()?.answer({ value: decoded() });
    }
    expect(await Promise.all(results)).toHaveLength(11);
    expect(fake.workers).toHaveLength(2);
  });

  test('a second worker is started only when the first is busy', async () => {
    const { spawn, workers } = codecWorkers(loadCodec);
    const pool = makePool({ spawn, size: 4 });
    for (let seed = 0; seed < 3; seed++) await pool.decodeRun(framesOf(seed));
    expect(workers).toHaveLength(1);
  });

  test('nothing is sent before a worker is ready', async () => {
    const fake = manualWorkers({ ready: false });
    const pool = makePool({ spawn: fake.spawn });
    const result = pool.decodeRun(input());
    await settled();
    expect(callsOf(fake)).toHaveLength(0);
    onlyWorker(fake).ready();
    await settled();
    callsOf(fake)[0]?.answer({ value: decoded() });
    expect(await result).toEqual(decoded());
  });

  test('a worker keeps the process alive while it is busy, and only then', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const result = pool.decodeRun(input());
    await settled();
    const worker = onlyWorker(fake);
    expect(worker.held).toBe(true);
    worker.calls[0]?.answer({ value: decoded() });
    await result;
    expect(worker.held).toBe(false);
  });
});

describe('aborts of a pool', () => {
  test('an abort before the call sends nothing', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    expect(await rejectionOf(pool.decodeRun(input(), AbortSignal.abort('before')))).toBe('before');
    expect(fake.workers).toHaveLength(0);
  });

  test('a waiting task that is aborted is never sent', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const controller = new AbortController();
    const running = [1, 2].map(() => pool.decodeRun(input()));
    const waiting = rejectionOf(pool.decodeRun(input(), controller.signal));
    const last = pool.decodeRun(input());
    await settled();
    controller.abort('mine');
    expect(await waiting).toBe('mine');
    for (let count = 0; count < 3; count++) {
      callsOf(fake)[count]?.answer({ value: decoded() });
      await settled();
    }
    await Promise.all([...running, last]);
    expect(callsOf(fake)).toHaveLength(3);
  });

  test('a running task that is aborted rejects at once, and its worker continues with others', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const controller = new AbortController();
    const leaving = rejectionOf(pool.decodeRun(input(), controller.signal));
    const staying = pool.decodeRun(input());
    await settled();
    controller.abort('mine');
    expect(await leaving).toBe('mine');
    const worker = onlyWorker(fake);
    worker.calls[0]?.answer({ value: decoded() });
    worker.calls[1]?.answer({ value: decoded() });
    expect(await staying).toEqual(decoded());
    expect(worker.terminated).toBe(false);
    expect(pool.counts.lost).toBe(0);
  });

  test('a signal has one abort listener for any number of tasks', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const controller = new AbortController();
    const results = Array.from({ length: 20 }, () => rejectionOf(pool.decodeRun(input(), controller.signal)));
    await settled();
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort('all');
    expect(await Promise.all(results)).toEqual(Array(20).fill('all'));
  });
});

describe('a trap', () => {
  /** Workers of a codec that traps on some inputs: those that begin with a 1, so many times. */
  function trapping(times: number) {
    let traps = 0;
    const load = async () =>
      codecWith((frames) => {
        if (frames[0] === 1 && traps < times) {
          traps++;
          throw trap();
        }
        return { data: frames.slice(0, 1), chunks: new Uint8Array() };
      });
    return codecWorkers(load);
  }
  const guilty = () => input().fill(1, 0, 1);

  test('a trap costs one worker and one retry', async () => {
    const { spawn, workers } = trapping(1);
    const pool = makePool({ spawn });
    expect((await pool.decodeRun(guilty())).data).toEqual(Uint8Array.of(1));
    expect(pool.counts.lost).toBe(1);
    expect(workers.map((worker) => worker.terminated)).toEqual([true, false]);
  });

  test('a second trap on the same input is CODEC_CRASHED', async () => {
    const { spawn, workers } = trapping(Number.POSITIVE_INFINITY);
    const pool = makePool({ spawn });
    const error = await rejectionOf(pool.decodeRun(guilty()));
    expect(error).toBeInstanceOf(XetError);
    expect(error).toMatchObject({ code: 'CODEC_CRASHED', message: expect.stringContaining('unreachable') });
    expect(workers).toHaveLength(2);
    expect(pool.counts.lost).toBe(2);
    // The pool is as good as new.
    expect((await pool.decodeRun(input())).data).toEqual(Uint8Array.of(0));
  });

  test.each([1, 3])('a trap on one of %i workers does not fail other tasks', async (size) => {
    const { spawn } = trapping(Number.POSITIVE_INFINITY);
    const pool = makePool({ spawn, size });
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) => pool.decodeRun(index % 10 === 4 ? guilty() : input())),
    );
    expect(results.map((result) => result.status)).toEqual(
      results.map((_, index) => (index % 10 === 4 ? 'rejected' : 'fulfilled')),
    );
    for (const result of results) if (result.status === 'rejected') expect(result.reason.code).toBe('CODEC_CRASHED');
    expect(pool.counts.lost).toBe(6);
  });

  test('an aborted task that trapped is not retried', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const controller = new AbortController();
    const leaving = rejectionOf(pool.decodeRun(input(), controller.signal));
    await settled();
    controller.abort('mine');
    expect(await leaving).toBe('mine');
    const call = callsOf(fake)[0];
    call?.answer({ trap: 'unreachable', input: call.input, guilty: true });
    await settled();
    expect(callsOf(fake)).toHaveLength(1);
  });

  test('closing the pool after a trap rejects all tasks', SOON, async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const results = [1, 2].map(() => rejectionOf(pool.decodeRun(input())));
    await settled();
    // The first came back from its trap; the worker is kept until the second is back, too.
    const call = onlyWorker(fake).calls[0];
    call?.answer({ trap: 'unreachable', input: call.input, guilty: true });
    await settled();
    pool.close();
    expect(await Promise.all(results)).toMatchObject([{ code: 'CLOSED' }, { code: 'CLOSED' }]);
  });
});

describe('a worker that dies', () => {
  test('tasks of a dead worker reject, and tasks not sent yet run elsewhere', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const gone = [1, 2].map(() => rejectionOf(pool.decodeRun(input())));
    const waiting = pool.decodeRun(input());
    await settled();
    const reason = new Error('out of memory');
    onlyWorker(fake).fail(reason);
    expect(await Promise.all(gone)).toMatchObject(
      Array(2).fill({
        code: 'CODEC_CRASHED',
        retryable: true,
        cause: reason,
        message: expect.stringContaining('out of memory'),
      }),
    );
    await settled();
    onlyWorker(fake, 1).calls[0]?.answer({ value: decoded() });
    expect(await waiting).toEqual(decoded());
    expect(onlyWorker(fake).terminated).toBe(true);
    expect(pool.counts.lost).toBe(1);
  });

  test('tasks of a worker that dies before it is ready run elsewhere', async () => {
    const fake = manualWorkers({ ready: false });
    const pool = makePool({ spawn: fake.spawn });
    const results = [1, 2].map(() => pool.decodeRun(input()));
    await settled();
    onlyWorker(fake).fail(new Error('no such script'));
    await settled();
    const second = onlyWorker(fake, 1);
    second.ready();
    await settled();
    for (const call of second.calls) call.answer({ value: decoded() });
    expect(await Promise.all(results)).toEqual([decoded(), decoded()]);
  });

  test('a worker that reports its death twice is lost once', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const result = rejectionOf(pool.decodeRun(input()));
    await settled();
    for (const reason of ['error', 'exit', 'messageerror']) onlyWorker(fake).fail(new Error(reason));
    expect(await result).toMatchObject({ code: 'CODEC_CRASHED', message: expect.stringContaining('error') });
    expect(pool.counts.lost).toBe(1);
  });

  test('a worker that dies idle is replaced when there is work', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const first = pool.decodeRun(input());
    await settled();
    onlyWorker(fake).calls[0]?.answer({ value: decoded() });
    await first;
    onlyWorker(fake).fail(new Error('ended'));
    const second = pool.decodeRun(input());
    await settled();
    onlyWorker(fake, 1).calls[0]?.answer({ value: decoded() });
    expect(await second).toEqual(decoded());
  });
});

describe('workers that cannot be started', () => {
  const fallback = (spawn: PoolOptions['spawn'], size = 2) => {
    const warnings: string[] = [];
    const load = async () => codecWith(decoded);
    return { pool: makePool({ spawn, size, load, onWarning: (text) => warnings.push(text) }), warnings };
  };

  test('a throwing Worker constructor is reported once, and work runs on the calling thread', SOON, async () => {
    const spawn = vi.fn(() => {
      throw new Error('blocked by policy');
    });
    const { pool, warnings } = fallback(spawn);
    expect(await pool.decodeRun(input())).toEqual(decoded());
    expect(await pool.decodeRun(input())).toEqual(decoded());
    expect(warnings).toEqual([expect.stringContaining('blocked by policy')]);
    expect(pool.counts.here).toBe(2);
    expect(spawn.mock.calls.length).toBeLessThan(5);
  });

  test('workers that never get ready are reported once, and work runs on the calling thread', SOON, async () => {
    const fake = manualWorkers({ ready: false });
    const spawn = () => {
      const spawned = fake.spawn();
      const worker = fake.workers.at(-1);
      queueMicrotask(() => worker?.fail(new Error('no such script')));
      return spawned;
    };
    const { pool, warnings } = fallback(spawn);
    expect(await Promise.all([1, 2, 3, 4, 5].map(() => pool.decodeRun(input())))).toEqual(Array(5).fill(decoded()));
    expect(warnings).toEqual([expect.stringContaining('no such script')]);
    expect(pool.counts).toMatchObject({ here: 5 });
  });

  test('if workers cannot load the module, work runs on the calling thread', SOON, async () => {
    const { spawn } = codecWorkers(async () => {
      throw new XetError('UNSUPPORTED', 'No WebAssembly here.');
    });
    const { pool, warnings } = fallback(spawn);
    expect(await pool.decodeRun(input())).toEqual(decoded());
    expect(warnings).toHaveLength(1);
  });

  test('if further workers cannot be started, the first one does all work', SOON, async () => {
    const fake = manualWorkers();
    const spawn = vi.fn(() => {
      if (fake.workers.length > 0) throw new Error('one is enough');
      return fake.spawn();
    });
    const { pool, warnings } = fallback(spawn, 4);
    const results = [1, 2, 3, 4, 5].map(() => pool.decodeRun(input()));
    for (let turn = 0; turn < results.length; turn++) {
      await settled();
      const { calls } = onlyWorker(fake);
      expect(calls.length).toBeLessThanOrEqual(2);
      calls.shift()?.answer({ value: decoded() });
    }
    expect(await Promise.all(results)).toHaveLength(5);
    expect(warnings).toEqual([]);
  });

  test('no task is left waiting when the last worker dies', SOON, async () => {
    const first = manualWorkers();
    const others = manualWorkers({ ready: false });
    const { pool } = fallback(() => {
      if (first.workers.length === 0) return first.spawn();
      const spawned = others.spawn();
      const worker = others.workers.at(-1);
      queueMicrotask(() => worker?.fail(new Error('one is enough')));
      return spawned;
    });
    const gone = [1, 2].map(() => rejectionOf(pool.decodeRun(input())));
    await settled();
    const waiting = [3, 4, 5].map(() => pool.decodeRun(input()));
    await settled();
    onlyWorker(first).fail(new Error('out of memory'));
    await Promise.all(gone);
    expect(await Promise.all(waiting)).toEqual(Array(3).fill(decoded()));
  });
});

describe('CodecPool.close', () => {
  test('close() rejects running, unsent and waiting tasks', SOON, async () => {
    const fake = manualWorkers({ ready: false });
    const pool = makePool({ spawn: fake.spawn, size: 2 });
    const results = Array.from({ length: 9 }, () => rejectionOf(pool.decodeRun(input())));
    onlyWorker(fake).ready();
    await settled();
    expect(callsOf(fake)).toHaveLength(2);
    pool.close();
    for (const error of await Promise.all(results)) expect(error).toMatchObject({ name: 'XetError', code: 'CLOSED' });
    expect(fake.workers.map((worker) => worker.terminated)).toEqual([true, true]);
  });

  test('tasks after close() are rejected', async () => {
    const { spawn, workers } = codecWorkers(loadCodec);
    const pool = makePool({ spawn });
    pool.close();
    pool.close();
    expect(await rejectionOf(pool.decodeRun(input()))).toMatchObject({ code: 'CLOSED' });
    expect(await rejectionOf(pool.fileHash(new Uint8Array(36)))).toMatchObject({ code: 'CLOSED' });
    expect(workers).toHaveLength(0);
  });

  test('a worker that ends because of close() is not counted as lost', async () => {
    const fake = manualWorkers();
    const pool = makePool({ spawn: fake.spawn });
    const result = rejectionOf(pool.decodeRun(input()));
    await settled();
    pool.close();
    onlyWorker(fake).fail(new Error('ended'));
    expect(await result).toMatchObject({ code: 'CLOSED' });
    expect(pool.counts.lost).toBe(0);
    expect(fake.workers).toHaveLength(1);
  });
});
