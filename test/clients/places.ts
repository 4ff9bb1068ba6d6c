import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { chromium as playwright } from 'playwright-core';
import { beforeAll, beforeEach, describe } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { CHROMIUM_FLAGS, chromium } from '../browser/browsers.ts';
import { clientModules } from './tools.ts';
import { trafficOf } from './traffic.ts';

// Two places where the same scripts run as their users have them: the clients as they were published, and xetkit as
// it was built.

const root = fileURLToPath(new URL('../..', import.meta.url));
const scripts = fileURLToPath(new URL('./scripts', import.meta.url));
const RUN_TIMEOUT_MS = 120_000;

export interface Place {
  name: string;
  /** Runs a script with what it is given; what it returns must fit into JSON. */
  run<T>(script: string, given: object): Promise<T>;
  /** Forgets what runs have left behind. */
  forget(): Promise<void>;
  close(): Promise<void>;
}

/** Defines the same tests for each place. Each test starts with nothing kept, and with no traffic on the Hub. */
export function describeInEachPlace(hub: () => LocalHub, define: (place: Place) => void): void {
  for (const [name, open] of Object.entries({ Node: openProject, Chromium: openBrowser })) {
    describe(name, () => {
      const place = { name } as Place;
      beforeAll(async () => {
        Object.assign(place, await open(hub()));
        return () => place.close();
      });
      beforeEach(async () => {
        await place.forget();
        trafficOf(hub());
      });
      define(place);
    });
  }
}

type Opened = Omit<Place, 'name'>;

/** A folder with the clients and xetkit as its modules, and the scripts. */
export async function makeProject(): Promise<string> {
  const project = await mkdtemp(join(tmpdir(), 'xetkit-clients-'));
  const modules = join(project, 'node_modules');
  await cp(scripts, project, { recursive: true });
  await writeFile(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  await mkdir(modules);
  for (const name of await readdir(clientModules)) {
    if (!name.startsWith('.')) await symlink(join(clientModules, name), join(modules, name));
  }
  await symlink(root, join(modules, 'xetkit'));
  return project;
}

export const removeProject = (project: string) => rm(project, { recursive: true, force: true, maxRetries: 3 });

/** Each run is a process of its own. */
async function openProject({ url: hub }: LocalHub): Promise<Opened> {
  const project = await makeProject();
  const home = join(project, 'home');
  const env = { PATH: process.env.PATH, HOME: home, HF_ENDPOINT: hub };
  let runs = 0;
  return {
    async run(script, given) {
      // Unless told otherwise, the clients' own caches are new each time.
      const all = { hub, files: join(home, `run-${++runs}`), ...given };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, ['run.mjs', script, JSON.stringify(all)], {
        cwd: project,
        env,
        timeout: RUN_TIMEOUT_MS,
        maxBuffer: 64e6,
      });
      if (stderr !== '') throw new Error(`${script} complains: ${stderr}`);
      return JSON.parse(stdout);
    },
    forget: () => rm(home, { recursive: true, force: true }),
    close: () => removeProject(project),
  };
}

/** A site whose pages run the scripts in Chromium. Each run is a page of its own; what is kept is that of one profile. */
async function openBrowser({ url: hub, allowOrigin }: LocalHub): Promise<Opened> {
  const site = await startSite();
  allowOrigin(site.url);
  const browser = await playwright.launch({
    executablePath: chromium.command ?? '',
    args: [...CHROMIUM_FLAGS, '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  });
  let context = await browser.newContext();
  return {
    async run(script, given) {
      const page = await context.newPage();
      const elsewhere: string[] = [];
      page.on('request', (request) => {
        const { hostname, protocol } = new URL(request.url());
        if (/^http/.test(protocol) && hostname !== '127.0.0.1') elsewhere.push(request.url());
      });
      try {
        await page.goto(`${site.url}/page.html`);
        const onnxRuntime = `${site.url}/onnxruntime/ort-wasm-simd-threaded.asyncify`;
        const wasm = { mjs: `${onnxRuntime}.mjs`, wasm: `${onnxRuntime}.wasm` };
        const all = { hub, client: { endpoint: hub }, wasm, ownCache: false, ...given };
        // As text: it is not for the test runner to transform.
        const call = `import('/${script}.mjs').then(({ default: work }) => work(${JSON.stringify(all)}))`;
        const outcome = await page.evaluate(call);
        if (elsewhere.length > 0) throw new Error(`${script} asks ${elsewhere.join(', ')}`);
        return outcome as never;
      } finally {
        await page.close();
      }
    },
    async forget() {
      await context.close();
      context = await browser.newContext();
    },
    async close() {
      await browser.close();
      await site.close();
    },
  };
}

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** The scripts, bundled with the clients' builds for browsers; xetkit and ONNX Runtime's own files as they are. */
async function startSite(): Promise<{ url: string; close(): Promise<void> }> {
  const bundled = await bundles();
  const folders: Record<string, string> = {
    '': fileURLToPath(new URL('./site', import.meta.url)),
    'xetkit/dist': join(root, 'dist'),
    'xetkit/pkg': join(root, 'pkg'),
    onnxruntime: join(clientModules, 'onnxruntime-web/dist'),
  };
  const server = createServer(async ({ url = '/' }, response) => {
    const path = new URL(url, 'http://site').pathname.slice(1);
    const [, folder = '', name = ''] = /^(?:(.*)\/)?([^/]*)$/.exec(path) ?? [];
    const found = bundled.get(path) ?? (await readFile(join(folders[folder] ?? '', name)).catch(() => undefined));
    if (found && folders[folder]) response.setHeader('content-type', TYPES[extname(name)] ?? '').end(found);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bundles(): Promise<Map<string, Uint8Array>> {
  const names = (await readdir(scripts)).filter((name) => name !== 'run.mjs');
  const { outputFiles } = await build({
    entryPoints: names.map((name) => join(scripts, name)),
    outdir: '/',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['xetkit/*'],
    nodePaths: [clientModules],
    // Its build for browsers, which esbuild does not find by itself.
    alias: { '@huggingface/gguf': join(clientModules, '@huggingface/gguf/dist/browser/index.mjs') },
    write: false,
    logLevel: 'silent',
  });
  return new Map(outputFiles.map(({ path, contents }) => [path.slice(1), contents]));
}
