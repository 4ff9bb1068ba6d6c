import type { SpawnedWorker } from './spawn.ts';

/** Starts the codec worker as a module worker. Bundlers know this very form of words and follow it. */
export function spawnWebWorker(): SpawnedWorker {
  const worker = new Worker(new URL('./codec.worker.js', import.meta.url), { type: 'module', name: 'xetkit-codec' });
  return {
    endpoint: worker,
    onFailure: (listener) => {
      worker.addEventListener('error', (event) => {
        event.preventDefault();
        listener(new Error(event.message || 'The codec worker failed to start'));
      });
      worker.addEventListener('messageerror', () =>
        listener(new Error('A message of the codec worker was unreadable')),
      );
    },
    hold: () => undefined,
    terminate: () => worker.terminate(),
  };
}
