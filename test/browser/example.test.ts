import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startExample } from '../../examples/browser/serve.mjs';
import { fineTune, makeModel } from '../../scripts/demo/weights.mjs';
import { CHROMIUM_FLAGS, chromium } from './browsers.ts';

const shape = { layers: 4, width: 384, vocabulary: 8192, seed: 1 };
const BYTES_PER_SECOND = 8e6;
const MODEL = 'model.safetensors';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let example: Awaited<ReturnType<typeof startExample>>;
let browser: Browser;

/** A page of a browser that was never here, and all that its console complained of but answers that say no. */
async function freshPage(): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext();
  // Nothing is promised about time.
  context.setDefaultTimeout(150_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
  await page.goto(example.url);
  return { page, complaints };
}

async function choose(page: Page, repo: string, path: string): Promise<void> {
  await page.getByRole('button', { name: repo, exact: true }).click();
  await page.locator('#crumbs', { hasText: new RegExp(`^${repo}$`) }).waitFor();
  await page.locator(`.entry[data-path="${path}"]`).click();
  await page.locator('#about', { hasText: repo }).waitFor();
}

const badge = (page: Page, text: string) => page.locator('#badge', { hasText: text }).waitFor();

/** Waits until so much of the file is there. */
async function share(page: Page, least: number): Promise<void> {
  await page.waitForFunction((wanted) => {
    const progress = document.querySelector('progress');
    return progress !== null && progress.value / progress.max >= wanted;
  }, least);
}

/** Bytes of content that the Hub has sent. */
function sent(): number {
  const content = example.hub.requests.filter(({ kind }) => kind === 'xorb' || kind === 'bridge');
  return content.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
}

async function clear(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Clear…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Clear' }).click();
  await page.locator('#kept', { hasText: 'Nothing yet' }).waitFor();
}

describe.skipIf(chromium.command === undefined)('the example page', () => {
  beforeAll(async () => {
    example = await startExample({ shape });
    browser = await playwright.launch({ executablePath: chromium.command, args: CHROMIUM_FLAGS });
  });
  afterAll(async () => {
    await browser?.close();
    await example?.close();
  });

  test('the example page downloads, pauses, resumes after reloads without fetching twice, and fetches only what differs in a variant', async () => {
    const { hub } = example;
    const model = makeModel(shape);
    const variant = fineTune(model, { share: 0.05, runs: 4, seed: 2 });
    const { page, complaints } = await freshPage();
    await choose(page, 'demo/model', MODEL);
    hub.resetRequests();
    hub.faults.bytesPerSecond = BYTES_PER_SECOND;
    await page.getByRole('button', { name: 'Download' }).click();
    await share(page, 0.3);
    await page.getByRole('button', { name: 'Pause' }).click();
    await badge(page, 'Paused');
    await page.reload();
    await badge(page, 'Paused');
    await share(page, 0.3);
    await page.getByRole('button', { name: 'Resume' }).click();
    await share(page, 0.6);
    // A running download resumes.
    await page.reload();
    await share(page, 0.6);
    await badge(page, 'Verified');
    expect(await page.locator('#result').textContent()).toContain(sha256(model));
    expect(sent()).toBeLessThan(model.length * 1.25);

    const saving = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Save' }).click();
    const saved = await saving;
    expect(saved.suggestedFilename()).toBe(MODEL);
    expect(sha256(await readFile(await saved.path()))).toBe(sha256(model));

    hub.faults.bytesPerSecond = 0;
    hub.resetRequests();
    await page.getByRole('button', { name: 'Download again' }).click();
    await page.locator('#from-cache', { hasText: '100 %' }).waitFor();
    await badge(page, 'Verified');
    expect(sent()).toBe(0);

    await choose(page, 'demo/model-finetuned', MODEL);
    await page.getByRole('button', { name: 'Download' }).click();
    await badge(page, 'Verified');
    expect(await page.locator('#result').textContent()).toContain(sha256(variant));
    // 5 % of the weights differ. The local Hub decides which chunks around them are shared.
    expect(sent()).toBeLessThan(variant.length / 2);
    expect(await page.locator('#from-shared').textContent()).toContain('MB');

    await clear(page);
    hub.resetRequests();
    await page.getByRole('button', { name: 'Download again' }).click();
    await page.locator('#from-network', { hasText: '100 %' }).waitFor();
    await badge(page, 'Verified');
    expect(sent()).toBeGreaterThan(variant.length * 0.8);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('the example page keeps a token in memory only', async () => {
    const { page, complaints } = await freshPage();
    await page.getByRole('button', { name: 'demo/private' }).click();
    await page.locator('#files-note', { hasText: 'REPOSITORY_NOT_FOUND' }).waitFor();
    await page.getByLabel('Token').fill('hf_local');
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await page.locator('.entry').click();
    await page.locator('#preview', { hasText: 'Whoever reads this has a token.' }).waitFor();
    await page.getByRole('button', { name: 'Download' }).click();
    await badge(page, 'Verified');
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]));
    expect(kept).toContain('demo/private');
    expect(kept).not.toContain('hf_local');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('the example page reports errors, retries, and previews a file', async () => {
    const { page, complaints } = await freshPage();
    await choose(page, 'demo/model', MODEL);
    const corrupt = example.hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 2, times: 1e9 });
    await page.getByRole('button', { name: 'Download' }).click();
    await page.getByRole('alert').filter({ hasText: 'INTEGRITY' }).waitFor();
    expect(await page.locator('#result').isVisible()).toBe(false);
    corrupt.remove();
    const busy = example.hub.faults.add({ kind: 'xorb', action: 'status', status: 503 });
    await page.getByRole('button', { name: 'Try again' }).click();
    await badge(page, 'Verified');
    busy.remove();
    await page.locator('#journal', { hasText: 'SERVER: attempt 1 of' }).waitFor();
    await page.getByRole('button', { name: 'Look' }).click();
    await page.getByRole('button', { name: 'layers.0.mlp.up.weight' }).focus();
    expect(await page.locator('#preview-note').textContent()).toContain('21 tensors');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('two tabs of the example page fetch a file once', async () => {
    const { hub } = example;
    const model = makeModel(shape);
    const { page } = await freshPage();
    await choose(page, 'demo/model', MODEL);
    hub.resetRequests();
    hub.faults.bytesPerSecond = BYTES_PER_SECOND / 4;
    await page.getByRole('button', { name: 'Download' }).click();
    await share(page, 0.05);
    const other = await page.context().newPage();
    await other.goto(example.url);
    await badge(other, 'Another tab is at it');
    await page.getByRole('button', { name: 'Cancel' }).click();
    hub.faults.bytesPerSecond = 0;
    await other.getByRole('button', { name: 'Try again' }).click();
    await badge(other, 'Verified');
    expect(sent()).toBeLessThan(model.length * 1.25);
    await page.context().close();
  });
});
