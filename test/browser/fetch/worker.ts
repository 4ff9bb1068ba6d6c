import { installXet } from '../../../src/entries/service-worker.ts';
import type { ServiceWorkerScope } from '../../../src/fetch/keep-alive.ts';

const scope = globalThis as unknown as ServiceWorkerScope;
const values = new URLSearchParams(location.search);

installXet(scope, {
  client: {
    endpoint: values.get('hub') ?? '',
    chunkCache: { dir: values.get('database') ?? 'fetch-tests' },
    concurrency: Number(values.get('lanes')) || 'auto',
  },
  onWarning: async (message) => {
    for (const page of await scope.clients.matchAll({ type: 'window' })) page.postMessage({ warning: message });
  },
});
