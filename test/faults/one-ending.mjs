// Brings one call to a bad end, closes the client, and does nothing to end the process. Every timeout is so long that a timer
// which is left behind keeps the process far beyond the time limit of the test.
// Usage: node one-ending.mjs '{"how", "repo", "path", "localDir"}'
import { Worker } from 'node:worker_threads';
import { XetClient } from '../../dist/node.js';

const TEN_MINUTES_MS = 600_000;

const { how, repo, path, localDir, options = {} } = JSON.parse(process.argv[2] ?? '{}');
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
process.on('unhandledRejection', (reason) => say({ unhandled: String(reason) }));

const workers = [];
if (how === 'dead workers') {
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (...args) {
    if (!workers.includes(this)) workers.push(this);
    return postMessage.apply(this, args);
  };
}

const client = new XetClient({
  retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 4 },
  timeouts: { connectMs: TEN_MINUTES_MS, stallMs: TEN_MINUTES_MS },
  ...options,
});
const abort = new AbortController();
const download = (extra = {}) => client.downloadFile({ repo, path, localDir, signal: abort.signal, ...extra });
/** As soon as some of the content has come. */
const inTheMiddle = (step) => download({ onProgress: ({ bytes }) => bytes.done > 0 && step() });

const WAYS = {
  download: () => download(),
  snapshot: () => client.snapshot({ repo, localDir }),
  abort: () => inTheMiddle(() => abort.abort(new Error('aborted'))),
  close: () => inTheMiddle(() => void client.close()),
  'dead workers': () => inTheMiddle(() => workers.splice(0).map((worker) => worker.terminate())),
  upload: () => client.upload({ repo, files: [{ path: 'new.bin', content: new Blob([new Uint8Array(3_000_000)]) }] }),
  'cancelled stream': async () => {
    const reader = (await client.open({ repo, path })).stream().getReader();
    await reader.read();
    await reader.cancel();
  },
  'stream left alone': async () => {
    const file = await client.open({ repo, path });
    await file.stream().getReader().read();
  },
  'aborted read': async () => {
    const file = await client.open({ repo, path });
    const reading = file.read(0, file.size, { signal: abort.signal });
    setTimeout(() => abort.abort(new Error('aborted')), 20);
    return reading;
  },
};

try {
  await WAYS[how]();
  say({ code: 'none' });
} catch (error) {
  say({ code: error.code ?? error.message });
}
await client.close();
