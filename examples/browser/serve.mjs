// @ts-check
// What the page needs, on this machine alone: a Hub with something to fetch, and a site that serves the page.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startLocalHub } from 'xetkit/local-hub';
import { fineTune, makeModel } from '../../scripts/demo/weights.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = '/examples/browser/';
/** All that is served of the checkout, laid out as it is there: so the page works on any static server as well. */
const SERVED = [PAGE, '/dist/', '/pkg/'];

const TYPES = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.json', 'application/json'],
  ['.map', 'application/json'],
  ['.svg', 'image/svg+xml'],
  ['.wasm', 'application/wasm'],
]);

/** The page says the same about itself; workers go by what is said of their own script. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self'",
  "worker-src 'self'",
  'connect-src http: https:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * @typedef {object} ExampleOptions
 * @property {{ layers: number, width: number, vocabulary: number, seed: number }} [shape] of the model
 * @property {number} [bytesPerSecond] what one connection to the Hub gets at most; 0 means all it can
 * @property {number} [port] of the page; 0 means any that is free
 */

/** @param {ExampleOptions} [options] */
export async function startExample({ shape = DEMO_SHAPE, bytesPerSecond = 0, port = 0 } = {}) {
  const hub = await startLocalHub();
  try {
    const repos = await seed(hub, shape);
    hub.faults.bytesPerSecond = bytesPerSecond;
    const site = await startSite(port, { endpoint: hub.url, repos });
    // The page uploads, and opens what is private with a token: a page of any other origin may do neither.
    hub.allowOrigin(site.url);
    const close = async () => void (await Promise.all([site.close(), hub.close()]));
    return { url: site.url, hub, repos, close };
  } catch (error) {
    await hub.close();
    throw error;
  }
}

/** The one of `npm run demo`: 92 MB of float weights. */
const DEMO_SHAPE = { layers: 6, width: 512, vocabulary: 8192, seed: 1 };

/**
 * @param {import('xetkit/local-hub').LocalHub} hub
 * @param {Required<ExampleOptions>['shape']} shape
 */
async function seed(hub, shape) {
  const model = makeModel(shape);
  const variant = fineTune(model, { share: 0.05, runs: 4, seed: 2 });
  const config = `${JSON.stringify({ model_type: 'demo', hidden_size: shape.width, num_hidden_layers: shape.layers }, null, 2)}\n`;
  const card =
    '---\nlicense: apache-2.0\n---\n\n# A model made of noise\n\nNormally distributed, and of no use but to be fetched.\n';
  const words = Array.from({ length: 2000 }, (_, index) => `token-${index}`).join('\n');
  const numbers = Array.from({ length: 5000 }, (_, index) => `${index},${Math.sin(index).toFixed(6)}`).join('\n');
  await commit(hub, 'demo/model', {
    'model.safetensors': model,
    'config.json': config,
    'README.md': card,
    'tokenizer/vocab.txt': `${words}\n`,
    'tokenizer/special_tokens.json': '{ "pad": "token-0", "end": "token-1" }\n',
  });
  await commit(hub, 'demo/model-finetuned', { 'model.safetensors': variant, 'config.json': config });
  await commit(hub, 'datasets/demo/numbers', { 'data/train.csv': `index,sine\n${numbers}\n` });
  await commit(hub, 'demo/private', { 'secret.txt': 'Whoever reads this has a token.\n' });
  await hub.setRepo('demo/private', { private: true });
  return ['demo/model', 'demo/model-finetuned', 'datasets/demo/numbers', 'demo/private'];
}

/**
 * @param {import('xetkit/local-hub').LocalHub} hub
 * @param {string} repo
 * @param {Record<string, string | Uint8Array>} files
 */
async function commit(hub, repo, files) {
  const encoder = new TextEncoder();
  const content = Object.entries(files).map(([path, data]) => [
    path,
    typeof data === 'string' ? encoder.encode(data) : data,
  ]);
  await hub.commitFiles(repo, Object.fromEntries(content));
}

/**
 * @param {number} port
 * @param {object} localHub what the page is told of the Hub beside it
 */
async function startSite(port, localHub) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://site');
    response.setHeader('cache-control', 'no-cache');
    response.setHeader('content-security-policy', POLICY);
    response.setHeader('referrer-policy', 'no-referrer');
    response.setHeader('x-content-type-options', 'nosniff');
    if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405).end();
    else if (pathname === '/') response.writeHead(302, { location: PAGE }).end();
    else if (pathname === `${PAGE}local-hub.json`) send(response, '.json', JSON.stringify(localHub));
    else await sendFile(response, pathname === PAGE ? `${PAGE}index.html` : pathname);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(undefined));
  });
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {string} pathname
 */
async function sendFile(response, pathname) {
  try {
    const path = join(root, decodeURIComponent(pathname));
    // `..` is gone by now, wherever it led.
    if (!SERVED.some((folder) => path.startsWith(join(root, folder.replaceAll('/', sep)))))
      throw new Error('not served');
    send(response, extname(path), await readFile(path));
  } catch {
    response.writeHead(404).end();
  }
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {string} extension
 * @param {string | Uint8Array} body
 */
function send(response, extension, body) {
  response.setHeader('content-type', TYPES.get(extension) ?? 'application/octet-stream').end(body);
}
