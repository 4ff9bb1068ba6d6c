// @ts-check
// A page that reads a file, with the library that the environment names: over the network, and then once more by a
// client that knows nothing but what the page has kept. The clock of the page is taken.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { argv, env } from 'node:process';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { root } from '../tools.mjs';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
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

const job = JSON.parse(argv[2] ?? '{}');
const script = await scriptOf(env.BENCH_WHO ?? '');
const site = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://site');
  if (pathname === '/')
    return response.setHeader('content-type', 'text/html').end('<!doctype html><title>Bench</title>');
  const body =
    pathname === '/reader.js' ? script : await readFile(join(root, normalize(pathname))).catch(() => undefined);
  if (body === undefined) return response.writeHead(404).end();
  response.setHeader('content-type', TYPES[extname(pathname)] ?? 'application/octet-stream').end(body);
});
await new Promise((resolve) => site.listen(0, '127.0.0.1', () => resolve(undefined)));
const { port } = /** @type {import('node:net').AddressInfo} */ (site.address());
const browser = await chromium.launch({ executablePath: env.CHROMIUM ?? '', args: FLAGS });
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  const measured = await page.evaluate(
    async (wanted) => {
      const { open } = await import(/** @type {any} */ ('/reader.js'));
      const timed = async () => {
        const started = performance.now();
        const { stream, close } = await open(wanted);
        let size = 0;
        for (const reader = stream.getReader(); ; ) {
          const { done, value } = await reader.read();
          if (done) break;
          size += value.length;
        }
        await close();
        return { seconds: (performance.now() - started) / 1000, size };
      };
      return { ...(await timed()), again: await timed() };
    },
    { hubUrl: env.HF_ENDPOINT, repo: job.repo, path: job.path },
  );
  console.log(JSON.stringify({ ...measured, cpuSeconds: 0, peakBytes: 0 }));
} finally {
  await browser.close();
  site.close();
}
