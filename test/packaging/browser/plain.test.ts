import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BrowserKind } from '../../browser/browsers.ts';
import type { Outcome } from './app/download.mjs';
import { browsersAtHand, Harness } from './harness.ts';
import { documentedPolicies } from './policies.ts';
import { copyApp, htmlFor, PACKAGE_PATH } from './project.ts';
import { VIOLATIONS_PATH } from './site.ts';

// No bundler: modules are loaded as they lie in the package.

const contexts = ['page', 'in-worker', 'in-service-worker'] as const;
type Context = (typeof contexts)[number];
const pages = Object.fromEntries(contexts.map((context) => [`/${context}.html`, htmlFor(`/${context}.mjs`)]));
const { own, cdn } = await documentedPolicies();

/** What a policy tells when workers cannot be had, and when the module cannot. */
const noWorkers = expect.stringMatching(/^Codec workers cannot be started .* calling thread/);
const noModule = expect.stringMatching(/is not available over Xet .*WebAssembly.* plain HTTP/);

let harness: Harness;
let project: string;
/** The package on an origin that is not that of the pages. */
let elsewhere: { origin: string; app: string };

beforeAll(async () => {
  harness = await Harness.start();
  project = await harness.project();
  await copyApp(project, PACKAGE_PATH);
  const { origin } = await harness.site(project, { headers: () => ({ 'access-control-allow-origin': '*' }) });
  elsewhere = { origin, app: join(project, 'elsewhere') };
  await copyApp(elsewhere.app, origin + PACKAGE_PATH);
});
afterAll(() => harness.close());

interface Visited {
  outcome: Outcome;
  violations: string[];
}

/** Visits a page of a site of its own, which sends a policy with everything if one is given. */
async function visit(browser: BrowserKind, folder: string, context: Context, policy?: string): Promise<Visited> {
  const allowed = policy
    ?.replace('https://huggingface.co https://*.hf.co', `${harness.hub.url} ${harness.reportOrigin}`)
    .replaceAll('https://cdn.example', elsewhere.origin);
  const headers = (origin: string): Record<string, string> =>
    allowed ? { 'content-security-policy': `${allowed}; report-uri ${origin}${VIOLATIONS_PATH}` } : {};
  const { origin, violations } = await harness.site(folder, { pages, headers });
  const outcome = await harness.visit(browser, `${origin}/${context}.html`);
  // Firefox looks for an icon, whatever the page says.
  return { outcome, violations: violations.filter((violation) => !violation.endsWith('/favicon.ico')) };
}

const expected = (context: Context) => harness.done(context === 'in-service-worker' ? 'thread' : 'workers');

describe.each(browsersAtHand())('$name', (browser) => {
  test.each(contexts)('%s', async (context) => {
    expect((await visit(browser, project, context)).outcome).toEqual(expected(context));
  });

  describe('under the policy of docs/csp.md', () => {
    test.each(contexts)('%s: works, and violates nothing of it', async (context) => {
      const { outcome, violations } = await visit(browser, project, context, own);
      expect(outcome).toEqual(expected(context));
      expect(violations).toEqual([]);
    });
  });

  test('a policy without workers: decodes on the calling thread', async () => {
    const { outcome, violations } = await visit(
      browser,
      project,
      'page',
      own.replace("worker-src 'self'", "worker-src 'none'"),
    );
    expect(outcome).toEqual({ ...harness.done('thread'), warnings: [noWorkers] });
    expect(violations).toContainEqual(expect.stringMatching(/^worker-src .*codec\.worker\.js$/));
  });

  test('a policy without WebAssembly: gets the file over plain HTTP', async () => {
    const { outcome } = await visit(browser, project, 'page', own.replace("'wasm-unsafe-eval'", ''));
    expect(outcome).toEqual({ ...harness.done('thread'), warnings: [noWorkers, noModule] });
  });

  test('a policy without the fetch of the module: gets the file over plain HTTP', async () => {
    const { outcome } = await visit(browser, project, 'page', own.replace("connect-src 'self'", 'connect-src'));
    expect(outcome).toEqual({ ...harness.done('thread'), warnings: [noWorkers, noModule] });
  });

  describe('a CDN of another origin', () => {
    test.each(contexts)('%s', async (context) => {
      expect((await visit(browser, elsewhere.app, context)).outcome).toEqual(expected(context));
    });

    test('under the policy of docs/csp.md: works, and violates nothing of it', async () => {
      const { outcome, violations } = await visit(browser, elsewhere.app, 'page', cdn);
      expect(outcome).toEqual(harness.done('workers'));
      expect(violations).toEqual([]);
    });

    test('a policy without blobs: decodes on the calling thread', async () => {
      const { outcome, violations } = await visit(
        browser,
        elsewhere.app,
        'page',
        cdn.replace('worker-src blob:', 'worker-src'),
      );
      expect(outcome).toEqual({ ...harness.done('thread'), warnings: [noWorkers] });
      expect(violations).toContainEqual(expect.stringMatching(/^worker-src blob/));
    });
  });
});
