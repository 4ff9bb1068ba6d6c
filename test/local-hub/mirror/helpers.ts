import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../../src/local-hub/start.ts';
import { noise, testHub } from '../helpers.ts';

/** Proxy in front of a Hub that counts the bytes of xorbs it hands on. */
export interface CountingProxy {
  url: string;
  /** `Range` headers of xorb requests, with the path. */
  ranges: string[];
  /** All requests: method and path. */
  requests: string[];
  /** Bytes of bodies of xorb answers. */
  xorbBytes: number;
  /** Called for each request; true ends it without an answer. */
  intercept?: (request: IncomingMessage) => boolean;
}

/** Starts a proxy in front of a Hub. Addresses that the Hub gives out lead to the proxy, as it passes `Host` on. */
export async function countingProxy(hub: LocalHub): Promise<CountingProxy> {
  const target = new URL(hub.url);
  const proxy: CountingProxy = { url: '', ranges: [], requests: [], xorbBytes: 0 };
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    proxy.requests.push(`${request.method} ${path}`);
    if (proxy.intercept?.(request)) return void response.destroy();
    const isXorb = path.startsWith('/xorbs/');
    if (isXorb) proxy.ranges.push(`${path} ${request.headers.range}`);
    const { host: _, ...headers } = request.headers;
    const forwarded = httpRequest(
      {
        host: target.hostname,
        port: target.port,
        method: request.method,
        path: request.url,
        headers: { ...headers, host: request.headers.host },
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.on('data', (piece: Buffer) => {
          if (isXorb) proxy.xorbBytes += piece.length;
        });
        answer.pipe(response);
        answer.on('aborted', () => response.destroy());
      },
    );
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    request.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}

export interface MirroredHub {
  hub: LocalHub;
  proxy: CountingProxy;
  mirror: LocalHub;
}

/** A Hub with users, a counting proxy before it, and a mirror. */
export async function mirrored(options: LocalHubOptions = {}, hubOptions: LocalHubOptions = {}): Promise<MirroredHub> {
  const hub = await testHub({
    tokens: { hf_local: { name: 'local', write: true }, hf_other: { name: 'other' } },
    ...hubOptions,
  });
  const proxy = await countingProxy(hub);
  const mirror = await startLocalHub({ upstream: proxy.url, ...options });
  onTestFinished(() => mirror.close());
  return { hub, proxy, mirror };
}

export const model = noise(7, 3_000_000);
export const small = new TextEncoder().encode('{"a": 1}\n');
