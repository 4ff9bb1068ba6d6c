// What a user of transformers.js writes, in Node and in a page alike.

/** Two say the same, one does not. */
const SENTENCES = ['A cat sits on the mat.', 'A kitten is resting on a rug.', 'Shares fell sharply on Monday.'];

/** Ways to bring the two together, each of them one that the library or the platform offers. */
const WAYS = {
  'env.fetch': async ({ client }) => {
    const { createXetFetch } = await import('xetkit/fetch');
    const library = await import('@huggingface/transformers');
    library.env.fetch = createXetFetch({ client });
    return library;
  },
  'env.customCache': async ({ client }) => {
    const { createXetCache } = await import('xetkit/fetch');
    const library = await import('@huggingface/transformers');
    library.env.useCustomCache = true;
    library.env.customCache = createXetCache({ client });
    return library;
  },
  'env.customCache with another one': async ({ client }) => {
    const { createXetCache } = await import('xetkit/fetch');
    const library = await import('@huggingface/transformers');
    library.env.useCustomCache = true;
    library.env.customCache = createXetCache({ client, rest: await caches.open('transformers-cache') });
    return library;
  },
  'globalThis.fetch': async ({ client }) => {
    const { createXetFetch } = await import('xetkit/fetch');
    globalThis.fetch = createXetFetch({ client });
    // It takes the fetch that it finds when it is loaded.
    return import('@huggingface/transformers');
  },
  'a service worker': async ({ client }) => {
    const { onXetProgress } = await import('xetkit/fetch');
    const controlled = new Promise((resolve) => {
      if (navigator.serviceWorker.controller) resolve();
      else navigator.serviceWorker.addEventListener('controllerchange', resolve);
    });
    await navigator.serviceWorker.register(`/sw.mjs?hub=${client.endpoint}`, { type: 'module' });
    await controlled;
    onXetProgress();
    return import('@huggingface/transformers');
  },
  nothing: () => import('@huggingface/transformers'),
};

export default async function embed({ way, hub, client, files, wasm, ownCache, repo, dtype }) {
  const { env, pipeline } = await WAYS[way]({ client });
  env.remoteHost = hub;
  if (files) env.cacheDir = files;
  else env.useBrowserCache = ownCache;
  if (wasm) env.backends.onnx.wasm.wasmPaths = wasm;
  const reports = [];
  try {
    const extract = await pipeline('feature-extraction', repo, {
      dtype,
      progress_callback: (report) => reports.push(report),
    });
    const output = await extract(SENTENCES, { pooling: 'mean', normalize: true });
    const { loaded, total } = reports.findLast(({ status }) => status === 'progress_total') ?? {};
    const binaries = performance.getEntriesByType('resource').filter(({ name }) => /ort-wasm.*\.wasm$/.test(name));
    return { vectors: output.tolist(), loaded, total, binaries: binaries.length };
  } catch ({ name, message, status }) {
    return { error: { name, message, status } };
  }
}
