import { SHARE_ENV, Worker } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/umd/node-adapter.js';
import { DISK_THREAD } from '../src/fs/disk.node.ts';
import type { SpawnedWorker } from './spawn.ts';

/** Starts the codec worker as a thread, from the file beside the built modules. */
export function spawnNodeWorker(script: URL = new URL('./codec.worker.node.js', import.meta.url)): SpawnedWorker {
  return spawn(script, 'codec worker');
}

/** Starts the thread for disk operations. */
export function spawnDiskThread(script: URL = new URL('./disk.worker.node.js', import.meta.url)): SpawnedWorker {
  return spawn(script, 'disk thread', DISK_THREAD);
}

/** Starts a transfer worker. */
export function spawnTransferWorker(
  script: URL = new URL('./transfer.worker.node.js', import.meta.url),
): SpawnedWorker {
  return spawn(script, 'transfer worker');
}

function spawn(script: URL, name: string, workerData?: unknown): SpawnedWorker {
  // The host's flags (loaders, coverage, inspectors) must not apply to this thread.
  const worker = new Worker(script, { execArgv: [], workerData, env: SHARE_ENV });
  worker.unref();
  return {
    endpoint: nodeEndpoint(worker),
    onFailure: (listener) => {
      worker.once('error', listener);
      worker.once('exit', (code) => listener(new Error(`The ${name} ended with code ${code}`)));
      worker.once('messageerror', listener);
    },
    hold: (alive) => (alive ? worker.ref() : worker.unref()),
    terminate: () => worker.terminate(),
  };
}
