import { execFile } from 'node:child_process';
import { copyFile, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build as esbuild } from 'esbuild';
import type { Logger } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BrowserKind } from '../../browser/browsers.ts';
import { browsersAtHand, Harness } from './harness.ts';
import { copyApp, htmlFor } from './project.ts';
import { type Told, toolAtHand, type Vite, type Webpack } from './tools.ts';

// Each bundler as it is when nobody has configured anything.

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const browsers = browsersAtHand();
const loadWebpack = await toolAtHand<Webpack>('webpack');
const vites = [
  { name: 'Vite', load: () => import('vite') },
  { name: 'Vite 7', load: await toolAtHand<Vite>('vite-7') },
];
const contexts = ['page', 'in-worker', 'small'] as const;
const noWorkers = expect.stringMatching(/^Codec workers cannot be started .* calling thread/);

let harness: Harness;
beforeAll(async () => {
  harness = await Harness.start();
});
afterAll(() => harness.close());

/** A project with an app of a page, a worker, and the HTML for both. */
async function appProject(): Promise<string> {
  const project = await harness.project();
  await copyApp(project);
  for (const context of contexts) await writeFile(join(project, `${context}.html`), htmlFor(`/${context}.mjs`));
  return project;
}

/** One test for each context and browser. */
function worksEverywhere(where: () => string): void {
  test.each(browsers.flatMap((browser) => contexts.map((context) => ({ name: browser.name, context, browser }))))(
    '$context in $name: decodes in workers',
    async ({ browser, context }) => {
      expect(await harness.visit(browser, `${where()}/${context}.html`)).toEqual(harness.done('workers'));
    },
  );
}

/** One test for each browser: what was built is on a CDN, the page is not. */
function worksFromAnotherOrigin(built: () => string): void {
  test.each(browsers)('$name: decodes on the calling thread where all but the page is on a CDN', async (browser) => {
    const cdn = await harness.site(built(), { headers: () => ({ 'access-control-allow-origin': '*' }) });
    const html = await readFile(join(built(), 'page.html'), 'utf8');
    const page = html.replace(/(src|href)="\//g, `$1="${cdn.origin}/`);
    const { origin } = await harness.site(built(), { pages: { '/page.html': page } });
    expect(await harness.visit(browser, `${origin}/page.html`)).toEqual({
      ...harness.done('thread'),
      warnings: [noWorkers],
    });
  });
}

for (const { name, load } of vites) {
  describe.skipIf(!load)(`${name}, as it serves a project that is being worked on`, () => {
    let origin = '';
    const warnings: string[] = [];
    beforeAll(async () => {
      const vite = (await load?.()) as Vite;
      const server = await vite.createServer({
        root: await appProject(),
        configFile: false,
        customLogger: keeping(vite, warnings),
        server: { host: '127.0.0.1', port: 0 },
      });
      await server.listen();
      harness.onClose(() => server.close());
      origin = (server.resolvedUrls?.local[0] ?? '').replace(/\/$/, '');
    });

    worksEverywhere(() => origin);
    test('nothing to warn of', () => expect(warnings).toEqual([]));
  });

  describe.skipIf(!load)(`${name}, as it builds`, () => {
    let origin = '';
    let built = '';
    const warnings: string[] = [];
    beforeAll(async () => {
      const vite = (await load?.()) as Vite;
      const project = await appProject();
      built = join(project, 'dist');
      await vite.build({
        root: project,
        configFile: false,
        customLogger: keeping(vite, warnings),
        build: { rollupOptions: { input: contexts.map((context) => join(project, `${context}.html`)) } },
      });
      ({ origin } = await harness.site(built));
    });

    worksEverywhere(() => origin);
    worksFromAnotherOrigin(() => built);
    test('nothing to warn of', () => expect(warnings).toEqual([]));
  });
}

/** Keeps what Vite would tell its user to look at, but for how long its own plugins took: that depends on the machine. */
function keeping(vite: Vite, told: string[]): Logger {
  const keep = (message: string) => {
    if (!message.includes('[PLUGIN_TIMINGS]')) told.push(message);
  };
  return { ...vite.createLogger('silent'), warn: keep, warnOnce: keep, error: keep };
}

describe.skipIf(!loadWebpack)('webpack 5', () => {
  let origin = '';
  let built = '';
  let told: Told;
  beforeAll(async () => {
    const project = await appProject();
    built = join(project, 'dist');
    told = await runWebpack(project);
    for (const context of contexts) {
      await writeFile(join(built, `${context}.html`), htmlFor(`/${context}.js`, 'classic'));
    }
    ({ origin } = await harness.site(built));
  });

  worksEverywhere(() => origin);
  worksFromAnotherOrigin(() => built);

  test('nothing to warn of but the size of the WebAssembly module', () => {
    expect(told.errors).toEqual([]);
    expect(told.warnings.filter((text) => !/size/.test(text))).toEqual([]);
  });

  test('no path of this machine is in what it makes', async () => {
    const made = (await readdir(built)).filter((name) => name.endsWith('.js'));
    expect(made.length).toBeGreaterThan(1);
    for (const name of made) expect(await readFile(join(built, name), 'utf8')).not.toContain('file:///');
  });
});

async function runWebpack(project: string): Promise<Told> {
  const webpack = (await loadWebpack?.()) as Webpack;
  const entry = Object.fromEntries(contexts.map((context) => [context, `./${context}.mjs`]));
  return new Promise((resolve, reject) => {
    webpack(
      { context: project, mode: 'production', entry, output: { path: join(project, 'dist') } },
      (error, stats) => {
        if (error || !stats) return reject(error);
        const { errors, warnings } = stats.toJson();
        resolve({ errors: errors.map(({ message }) => message), warnings: warnings.map(({ message }) => message) });
      },
    );
  });
}

describe.each([
  { name: 'esbuild', options: { format: 'esm' as const } },
  { name: 'esbuild --splitting', options: { format: 'esm' as const, splitting: true } },
  { name: 'esbuild, to a script that is no module', options: { format: 'iife' as const } },
])('$name', ({ options }) => {
  let project: string;
  beforeAll(async () => {
    project = await appProject();
    await esbuild({
      ...options,
      absWorkingDir: project,
      entryPoints: ['page.mjs'],
      bundle: true,
      outdir: 'public',
      logLevel: 'silent',
    });
    const html = htmlFor('/page.js', options.format === 'esm' ? 'module' : 'classic');
    await writeFile(join(project, 'public/page.html'), html);
  });

  /** What was built, with more files beside it. */
  async function published(name: string, ...files: string[]): Promise<string> {
    const folder = join(project, name);
    await cp(join(project, 'public'), folder, { recursive: true });
    for (const file of files) {
      await copyFile(join(project, 'node_modules/xetkit', file), join(folder, file.replace(/.*\//, '')));
    }
    return (await harness.site(folder)).origin;
  }

  describe.each(browsers)('$name', (browser: BrowserKind) => {
    test('with the WebAssembly module beside it: decodes on the calling thread, and says so once', async () => {
      const origin = await published('with-module', 'pkg/xetkit_codec_bg.wasm');
      expect(await harness.visit(browser, `${origin}/page.html`)).toEqual({
        ...harness.done('thread'),
        warnings: [noWorkers],
      });
    });

    test('with nothing beside it: gets the file over plain HTTP, and says why', async () => {
      const origin = await published('alone');
      expect(await harness.visit(browser, `${origin}/page.html`)).toEqual({
        ...harness.done('thread'),
        warnings: [noWorkers, expect.stringMatching(/WebAssembly.*xetkit_codec_bg\.wasm.*plain HTTP/)],
      });
    });
  });
});

describe.each(['esm', 'iife'])('esbuild as docs/bundlers.md has it, --format=%s', (format) => {
  let origin = '';
  beforeAll(async () => {
    const project = await appProject();
    await runFromDocs(project, format);
    await writeFile(join(project, 'public/page.html'), htmlFor('/page.js', format === 'esm' ? 'module' : 'classic'));
    ({ origin } = await harness.site(join(project, 'public')));
  });

  test.each(browsers)('$name: decodes in workers', async (browser) => {
    expect(await harness.visit(browser, `${origin}/page.html`)).toEqual(harness.done('workers'));
  });
});

/** Runs the commands of the page on bundlers, for the app of a project. */
async function runFromDocs(project: string, format: string): Promise<void> {
  const page = await readFile(join(root, 'docs/bundlers.md'), 'utf8');
  const [, commands = ''] = /```sh\n(esbuild [^`]*)```/.exec(page) ?? [];
  const script = commands.replace('app.js', 'page.mjs').replace('--format=esm', `--format=${format}`);
  await run('sh', ['-ec', script], {
    cwd: project,
    env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` },
  });
}
