import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { type Block, blocksOf, examples, guides, programOf } from '../docs/blocks.ts';
import { MODEL, seedForGuides, workplace } from '../docs/workplace.ts';
import { seen } from '../support/hub.ts';
import { CHROMIUM_FLAGS, chromium } from './browsers.ts';
import { besideBundles } from './pages.ts';

const TYPES: Record<string, string> = { js: 'text/javascript', wasm: 'application/wasm' };
const required = process.env.XETKIT_BROWSERS === 'required';

const marked = (kind: string) =>
  [...guides().flatMap((path) => blocksOf(path)), ...examples()]
    .filter(({ language, mark }) => language === 'js' && mark?.kind === kind)
    .map((block) => [block.place, block] as const);

/** The service worker that some pages register. */
const [[, anyWorker] = [undefined, undefined]] = marked('service worker');

describe.skipIf(chromium.command === undefined && !required)('code blocks of the guides run in a browser', () => {
  let hub: LocalHub;
  let browser: Browser;
  let origin: string;
  const files = new Map<string, Uint8Array | string>();

  beforeAll(async () => {
    hub = await startLocalHub();
    await seedForGuides(hub);
    for (const [name, content] of Object.entries(await besideBundles())) files.set(`/${name}`, content);
    const server = createServer(({ url = '/' }, response) => {
      const content = files.get(url);
      response.setHeader('content-type', TYPES[url.split('.').at(-1) ?? ''] ?? 'text/html');
      if (content === undefined) response.statusCode = 404;
      response.end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    hub.allowOrigin(origin);
    browser = await playwright.launch({ executablePath: chromium.command ?? '', args: CHROMIUM_FLAGS });
    return async () => {
      await browser.close();
      server.close();
      server.closeAllConnections();
      await hub.close();
    };
  });

  /** A block as a script for a page. The Hub is the one of this test, and so is the token. */
  async function scriptOf(block: Block, more = ''): Promise<string> {
    const { outputFiles } = await build({
      stdin: { contents: `${programOf(block)}\n${more}`, resolveDir: await workplace(), loader: 'ts' },
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      logLevel: 'silent',
    });
    const script = outputFiles[0]?.text ?? '';
    return script.replaceAll('https://huggingface.co', hub.url).replaceAll(/hf_(?:…|\\u2026)/g, 'hf_local');
  }

  /** A page of a browser that was never here. */
  async function open(script: string): Promise<{ page: Page; failure: Promise<never>; close(): Promise<void> }> {
    files.set('/page.js', script);
    files.set('/', '<!doctype html><title>A block</title><script type="module" src="/page.js"></script>');
    const context = await browser.newContext();
    const page = await context.newPage();
    const failure = new Promise<never>((_, reject) => page.on('pageerror', reject));
    failure.catch(() => undefined);
    await page.goto(origin);
    return { page, failure, close: () => context.close() };
  }

  test.each(marked('page'))('%s', async (_, block) => {
    if (anyWorker) files.set('/sw.js', await scriptOf(anyWorker));
    await seedForGuides(hub);
    hub.resetRequests();
    const { page, failure, close } = await open(await scriptOf(block, 'globalThis.isThrough = true;'));
    await Promise.race([page.waitForFunction(() => 'isThrough' in globalThis), failure]);
    // Blocks that do more than make something to be used later speak to the Hub.
    if (/await (?!navigator)/.test(block.text)) expect(hub.requests.length).toBeGreaterThan(0);
    await close();
  });

  test.each(marked('service worker'))('%s', async (_, block) => {
    files.set('/sw.js', await scriptOf(block));
    hub.resetRequests();
    const { page, close } = await open('');
    const path = 'model.safetensors';
    const length = await page.evaluate(async (url) => {
      const { serviceWorker } = navigator;
      await serviceWorker.register('sw.js', { type: 'module' });
      if (!serviceWorker.controller) {
        await new Promise((resolve) => serviceWorker.addEventListener('controllerchange', resolve, { once: true }));
      }
      return (await (await fetch(url)).arrayBuffer()).byteLength;
    }, `${hub.url}/owner/model/resolve/main/${path}`);
    expect(length).toBe(MODEL[path].length);
    expect(seen(hub, 'xorb').length, 'it came over Xet').toBeGreaterThan(0);
    expect(seen(hub, 'bridge')).toEqual([]);
    await close();
  });
});
