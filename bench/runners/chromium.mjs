// @ts-check
// A page that reads a file, with the library that the environment names: over the network, and then once more by a
// client that knows nothing but what the page has kept. The clock of the page is taken.

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { argv, env } from 'node:process';
import { text } from 'node:stream/consumers';
import { build } from 'esbuild';
import { root } from '../tools.mjs';

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
];
/** @type {Record<string, string>} */
const TYPES = { '.js': 'text/javascript', '.wasm': 'application/wasm' };

/** What a page imports: opens a file as a stream. @type {Record<string, string>} */
const READERS = {
  xetkit: `
    import { XetClient } from '/dist/index.js';
    export async function open({ hubUrl, repo, path }) {
      const client = new XetClient({ endpoint: hubUrl });
      const file = await client.open({ repo, path });
      return { stream: file.stream(), close: () => client.close() };
    }`,
  'hub-js': `
    import { downloadFile } from './node_modules/@huggingface/hub/dist/browser/index.mjs';
    export async function open({ hubUrl, repo, path }) {
      const blob = await downloadFile({ hubUrl, repo, path });
      return { stream: blob.stream(), close: () => undefined };
    }`,
};

/** @param {string} who */
async function scriptOf(who) {
  const { outputFiles } = await build({
    stdin: { contents: READERS[who] ?? '', resolveDir: env.BENCH_MODULES ?? root, loader: 'js' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    // As published: its worker and module are loaded from beside it.
    external: ['/dist/*'],
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}

/** What the page runs: reads a file twice, and sends what that took. @param {Record<string, unknown>} wanted */
const pageScript = (wanted) => `
  import { open } from '/reader.js';
  const timed = async () => {
    const started = performance.now();
    const { stream, close } = await open(${JSON.stringify(wanted)});
    let size = 0;
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
    }
    await close();
    return { seconds: (performance.now() - started) / 1000, size };
  };
  const measured = async () => ({ ...(await timed()), again: await timed() });
  const result = await measured().catch((error) => ({ error: String(error?.stack ?? error) }));
  await fetch('/measured', { method: 'POST', body: JSON.stringify(result) });`;

const job = JSON.parse(argv[2] ?? '{}');
/** @type {Record<string, string>} */
const made = {
  '/': '<!doctype html><title>Bench</title><script type="module" src="/page.js"></script>',
  '/page.js': pageScript({ hubUrl: env.HF_ENDPOINT, repo: job.repo, path: job.path }),
  '/reader.js': await scriptOf(env.BENCH_WHO ?? ''),
};
/** @type {(result: any) => void} */
let onMeasured = () => undefined;
/** @type {Promise<any>} */
const measured = new Promise((resolve) => {
  onMeasured = resolve;
});
const site = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://site');
  if (pathname === '/measured') {
    onMeasured(JSON.parse(await text(request)));
    return response.end();
  }
  const body = made[pathname] ?? (await readFile(join(root, normalize(pathname))).catch(() => undefined));
  if (body === undefined) return response.writeHead(404).end();
  response.setHeader('content-type', TYPES[extname(pathname)] ?? 'text/html').end(body);
});
await new Promise((resolve) => site.listen(0, '127.0.0.1', () => resolve(undefined)));
const { port } = /** @type {import('node:net').AddressInfo} */ (site.address());
// Neither in a private window, which keeps all in memory, nor with developer tools that look at each request.
const profile = `--user-data-dir=${join(env.HOME ?? '', 'profile')}`;
const browser = spawn(env.CHROMIUM ?? '', [...FLAGS, profile, `http://127.0.0.1:${port}/`], { stdio: 'ignore' });
const ended = new Promise((resolve) => browser.once('exit', resolve));
try {
  const result = await Promise.race([measured, ended.then((code) => ({ error: `Chromium ended with ${code}` }))]);
  if (result.error) throw new Error(result.error);
  console.log(JSON.stringify({ ...result, cpuSeconds: 0, peakBytes: 0 }));
} finally {
  browser.kill();
  await ended;
  site.close();
}
