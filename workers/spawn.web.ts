import { assetOverrides, scriptUrl } from '../src/assets.ts';
import type { SpawnedWorker } from './spawn.ts';

/** Starts the codec worker as a module worker. */
export function spawnWebWorker(): SpawnedWorker {
  const { worker, release } = start();
  return {
    endpoint: worker,
    onFailure: (listener) => {
      worker.addEventListener('error', (event) => {
        event.preventDefault();
        listener(new Error(event.message || 'The codec worker failed to start'));
      });
      worker.addEventListener('messageerror', () =>
        listener(new Error('A message of the codec worker could not be deserialized')),
      );
    },
    hold: () => undefined,
    terminate: () => {
      worker.terminate();
      release();
    },
  };
}

interface Started {
  worker: Worker;
  release: () => void;
}

function start(): Started {
  const override = assetOverrides()?.worker;
  if (scriptUrl !== undefined && isCrossOrigin(scriptUrl)) {
    return startThroughBlob(override ?? new URL('codec.worker.js', scriptUrl));
  }
  const worker = override
    ? new Worker(override, { type: 'module', name: 'xetkit-codec' })
    : // Bundlers recognise exactly this expression, including the literal options.
      new Worker(new URL('./codec.worker.js', import.meta.url), { type: 'module', name: 'xetkit-codec' });
  return { worker, release: () => undefined };
}

function isCrossOrigin(url: string): boolean {
  const { protocol, origin } = new URL(url);
  return /^https?:$/.test(protocol) && origin !== location.origin;
}

/** A script of another origin, such as a module CDN, cannot be a worker, but a worker of this origin can import it. */
function startThroughBlob(script: URL): Started {
  const source = `import ${JSON.stringify(script.href)};`;
  const address = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const worker = new Worker(address, { type: 'module', name: 'xetkit-codec' });
  return { worker, release: () => URL.revokeObjectURL(address) };
}
