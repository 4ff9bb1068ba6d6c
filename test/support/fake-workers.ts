import { MessageChannel } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/umd/node-adapter.js';
import { onTestFinished } from 'vitest';
import type { Codec, DecodedRun } from '../../src/codec/codec.ts';
import { serveCodec } from '../../src/codec/serve.ts';
import type { CodecWorker, TaskOutcome } from '../../src/codec/worker-api.ts';
import type { SpawnedWorker } from '../../workers/spawn.ts';

/** A worker without a thread: messages go through a real channel, all else is in the test's hands. */
export interface FakeWorker {
  spawned: SpawnedWorker;
  /** What the platform calls when the worker has died. */
  fail: (reason: Error) => void;
  terminated: boolean;
  held: boolean;
}

function fakeWorker(serve: (endpoint: ReturnType<typeof nodeEndpoint>) => void): FakeWorker {
  const { port1, port2 } = new MessageChannel();
  const listeners: ((reason: Error) => void)[] = [];
  const end = () => {
    port1.close();
    port2.close();
  };
  onTestFinished(end);
  serve(nodeEndpoint(port2));
  const fake: FakeWorker = {
    terminated: false,
    held: false,
    fail: (reason) => {
      for (const listener of listeners) listener(reason);
    },
    spawned: {
      endpoint: nodeEndpoint(port1),
      onFailure: (listener) => void listeners.push(listener),
      hold: (alive) => {
        fake.held = alive;
      },
      terminate: () => {
        fake.terminated = true;
        end();
      },
    },
  };
  return fake;
}

/** Workers that run a codec, as the real ones do. */
export function codecWorkers(load: () => Promise<Codec>) {
  const workers: FakeWorker[] = [];
  const spawn = () => {
    const worker = fakeWorker((endpoint) => serveCodec(load, endpoint));
    workers.push(worker);
    return worker.spawned;
  };
  return { spawn, workers };
}

/** One call that a worker has received. */
export interface Call {
  input: Uint8Array;
  answer: (answer: TaskOutcome<DecodedRun>) => void;
}

export interface ManualWorker extends FakeWorker {
  calls: Call[];
  /** Says that the module is loaded, or that it cannot be. */
  ready: (error?: Error) => void;
}

/** Workers that answer when the test says so. */
export function manualWorkers(options: { ready?: boolean } = {}) {
  const workers: ManualWorker[] = [];
  const spawn = () => {
    let ready: ManualWorker['ready'] = () => undefined;
    const isReady = new Promise<void>((resolve, reject) => {
      ready = (error) => (error ? reject(error) : resolve());
    });
    if (options.ready ?? true) ready();
    const calls: Call[] = [];
    const worker: Pick<CodecWorker, 'ready' | 'run'> = {
      ready: () => isReady,
      run: (_, input) => new Promise((answer) => calls.push({ input, answer })),
    };
    const fake = fakeWorker((endpoint) => expose(worker, endpoint));
    const manual = Object.assign(fake, { calls, ready });
    workers.push(manual);
    return manual.spawned;
  };
  return { spawn, workers };
}
