import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import { createXetFetch } from '../../src/entries/fetch.ts';
import type { XetFetch, XetFetchOptions } from '../../src/fetch/xet-fetch.ts';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub/start.ts';

export const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A Hub that is gone with the test. */
export async function hubFor(options: LocalHubOptions = {}): Promise<LocalHub> {
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  return hub;
}

/** Requests of a kind that a Hub has seen. */
export const seen = (hub: LocalHub, kind: string) => hub.requests.filter((request) => request.kind === kind);

/** Options of a client of that Hub that shares nothing with others, decodes here and retries at once. */
export function clientOptions(hub: Pick<LocalHub, 'url'>, options: XetClientOptions = {}): XetClientOptions {
  return {
    endpoint: hub.url,
    accessToken: '',
    workers: 0,
    chunkCache: { dir: join(process.env.XETKIT_CACHE ?? tmpdir(), randomUUID()) },
    retry: { baseDelayMs: 1, maxDelayMs: 5 },
    ...options,
  };
}

/** A `fetch` that knows this Hub, ended with the test. */
export function fetchFor(hub: Pick<LocalHub, 'url'>, options: XetFetchOptions = {}): XetFetch {
  const xetFetch = createXetFetch({ client: clientOptions(hub), ...options });
  onTestFinished(() => xetFetch.close());
  return xetFetch;
}

/** A `fetch` that counts what is asked of it, in the words of the call. */
export function countingFetch(): typeof fetch & { calls: Parameters<typeof fetch>[] } {
  const calls: Parameters<typeof fetch>[] = [];
  return Object.assign(
    (...request: Parameters<typeof fetch>) => {
      calls.push(request);
      return fetch(...request);
    },
    { calls },
  );
}

/** A server of somebody else's that says what it was asked. */
export async function otherServer(): Promise<{
  url: string;
  seen: Pick<IncomingMessage, 'method' | 'url' | 'headers'>[];
}> {
  const seen: Pick<IncomingMessage, 'method' | 'url' | 'headers'>[] = [];
  const server = createServer(({ method, url, headers }, response) => {
    seen.push({ method, url, headers });
    response.setHeader('content-type', 'text/x-other').end(`${method} ${url}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}
