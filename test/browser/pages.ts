import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';
import type { Outcome } from './outcomes.ts';

/** A site on its own port whose pages run cases and report their outcomes to it. */
export interface Pages {
  readonly origin: string;
  /** URL of a page, and its future report. */
  page(values: Record<string, string>): { url: string; reported: Promise<Outcome[]> };
  close(): Promise<void>;
}

export interface PagesOptions {
  title: string;
  /** Contents by file name. */
  files: Record<string, Uint8Array>;
  /** Markup for the head of a page with these parameters. */
  head?: (params: URLSearchParams) => string;
  /** JSON responses by path. */
  routes?: Record<string, (params: URLSearchParams, body: unknown) => unknown>;
  headers?: Record<string, string>;
  onRequest?: (path: string) => void;
}

const TYPES: Record<string, string> = { js: 'text/javascript', wasm: 'application/wasm' };
const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Bundles a script of the checkout, as an application would. */
export async function bundled(entry: string, options: BuildOptions = {}): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [at(entry)],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    sourcemap: 'inline',
    logLevel: 'silent',
    ...options,
    write: false,
  });
  return outputFiles[0]?.contents ?? new Uint8Array();
}

/** Files next to a bundle: the codec worker and the WebAssembly module. */
export async function besideBundles(): Promise<Record<string, Uint8Array>> {
  return {
    'codec.worker.js': await bundled('src/entries/codec.worker.ts'),
    'xetkit_codec_bg.wasm': await readFile(at('pkg/xetkit_codec_bg.wasm')),
  };
}

export async function startPages(options: PagesOptions): Promise<Pages> {
  const { title, files, head = () => '', routes = {}, headers = {}, onRequest } = options;
  const waiting = new Map<string, (outcomes: Outcome[]) => void>();
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://site');
    onRequest?.(pathname);
    const body = async (): Promise<unknown> => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      return parts.length === 0 ? undefined : JSON.parse(Buffer.concat(parts).toString());
    };
    const file = files[pathname.slice(1)];
    const route = routes[pathname];
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (file) {
      response.setHeader('content-type', TYPES[pathname.split('.').at(-1) ?? ''] ?? '').end(file);
    } else if (route) {
      const answer = route(searchParams, await body());
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer ?? null));
    } else if (pathname === '/report') {
      waiting.get(searchParams.get('run') ?? '')?.((await body()) as Outcome[]);
      response.end();
    } else if (pathname === '/page' || pathname === '/frame') {
      response.setHeader('content-type', 'text/html').end(
        `<!doctype html>
<meta charset="utf-8">
<title>${title}</title>
${head(searchParams)}
<body><script type="module" src="/page.js"></script>`,
      );
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let runs = 0;
  return {
    origin,
    page(values) {
      const run = String(++runs);
      const reported = new Promise<Outcome[]>((resolve) => waiting.set(run, resolve));
      return { url: `${origin}/page?${new URLSearchParams({ run, ...values })}`, reported };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
