import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM_FLAGS, chromium } from './browsers.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

let server: Server;
let browser: Browser;
let url: string;
let folder: string;

function serve(folder: string): Promise<Server> {
  const started = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const path = join(folder, pathname.endsWith('/') ? `${pathname}index.html` : pathname);
    if (!(await stat(path).catch(() => undefined))?.isFile()) return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' });
    createReadStream(path).pipe(response);
  });
  return new Promise((resolve) => started.listen(0, '127.0.0.1', () => resolve(started)));
}

/** Violations that axe finds on a page, with the elements concerned. */
async function violations(page: Page): Promise<string[]> {
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve('axe-core/axe.min.js') });
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { target: unknown[] }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-site-'));
  await promisify(execFile)(
    process.execPath,
    ['node_modules/vitepress/bin/vitepress.js', 'build', 'docs', '--outDir', folder],
    {
      cwd: root,
    },
  );
  server = await serve(folder);
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await playwright.launch({ executablePath: chromium.command, args: CHROMIUM_FLAGS });
});
afterAll(async () => {
  await browser?.close();
  server?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
});

describe.each(['light', 'dark'] as const)('the documentation site, %s', (colorScheme) => {
  test.each(['/', '/docs/', '/docs/uploads.html', '/docs/errors.html', '/docs/api/xetkit.html', '/CHANGELOG.html'])(
    'axe finds nothing on %s',
    async (path) => {
      const context = await browser.newContext({ colorScheme });
      const page = await context.newPage();
      const failures: string[] = [];
      page.on('pageerror', (error) => failures.push(String(error)));
      await page.goto(url + path);
      await page.locator('h1').first().waitFor();
      expect(await violations(page)).toEqual([]);
      expect(failures).toEqual([]);
      await context.close();
    },
  );
});

test('the search of the documentation site finds an error code', async () => {
  const page = await browser.newPage();
  await page.goto(url);
  await page.getByRole('button', { name: 'Search' }).first().click();
  await page.getByRole('searchbox').fill('DISK_FULL');
  const result = page.locator('.result').first();
  await result.waitFor();
  await result.click();
  await page.waitForURL(/errors/);
  await page.close();
});

test('every guide is in the navigation', async () => {
  const page = await browser.newPage();
  await page.goto(`${url}/docs/`);
  const index = await readFile(join(root, 'docs/README.md'), 'utf8');
  const guides = [...index.matchAll(/^\| \[[^\]]+\]\(([\w-]+)\.md\)/gm)].map(([, name]) => name);
  expect(guides.length).toBeGreaterThan(8);
  for (const name of guides) {
    expect(await page.locator(`.VPSidebar a[href$="/docs/${name}.html"]`).count(), name).toBe(1);
  }
  await page.close();
});
