import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Outcome } from './app/download.mjs';

export interface Site {
  origin: string;
  /** What the policy of the site forbade, as browsers reported it: directive and address. */
  violations: string[];
  close(): Promise<void>;
}

export interface SiteOptions {
  /** Sent with every answer, from when the origin is known. */
  headers?: (origin: string) => Record<string, string>;
  /** Pages that are no files, by path. */
  pages?: Record<string, string>;
}

/** Where a site takes reports of violations. */
export const VIOLATIONS_PATH = '/violations';

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/** A folder over HTTP, on a port of its own and so an origin of its own. */
export async function startSite(folder: string, { headers, pages = {} }: SiteOptions = {}): Promise<Site> {
  const violations: string[] = [];
  const { origin, close } = await listen(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://site');
    for (const [name, value] of Object.entries(headers?.(origin) ?? {})) response.setHeader(name, value);
    if (pathname === VIOLATIONS_PATH) {
      const { 'csp-report': told } = JSON.parse(await textOf(request)) as { 'csp-report': Record<string, string> };
      violations.push(`${told['effective-directive'] ?? told['violated-directive']} ${told['blocked-uri']}`);
      response.end();
      return;
    }
    try {
      const body = pages[pathname] ?? (await readFile(join(folder, normalize(decodeURIComponent(pathname)))));
      response.setHeader('content-type', TYPES[extname(pathname)] ?? 'application/octet-stream').end(body);
    } catch {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not found');
    }
  });
  return { origin, violations, close };
}

/** Where pages tell how it went, whatever site they are of. */
export interface Reports {
  origin: string;
  /** An address to report to, and what will be reported there. */
  next(): { url: string; reported: Promise<Outcome> };
  close(): Promise<void>;
}

export async function startReports(): Promise<Reports> {
  const waiting = new Map<string, (outcome: Outcome) => void>();
  const { origin, close } = await listen(async (request, response) => {
    const outcome = await textOf(request);
    waiting.get(request.url ?? '')?.(JSON.parse(outcome) as Outcome);
    response.setHeader('access-control-allow-origin', '*').end();
  });
  return {
    origin,
    close,
    next() {
      const path = `/${waiting.size}`;
      const reported = new Promise<Outcome>((resolve) => waiting.set(path, resolve));
      return { url: `${origin}${path}`, reported };
    },
  };
}

async function textOf(request: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
