import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { Http, type HttpOptions } from '../../src/http/http.ts';

/** A real server on a free port, gone with the test that asked for it. */
export async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers the first request with the first of these, and so on; the last one answers all that follow. */
export function inTurn(
  ...answers: ((request: IncomingMessage, response: ServerResponse) => void)[]
): RequestListener & { requests: IncomingMessage[] } {
  const requests: IncomingMessage[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)];
    requests.push(request);
    answer?.(request, response);
  };
  return Object.assign(handler, { requests });
}

export function status(code: number, headers: Record<string, string> = {}, body = '') {
  return (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(code, headers).end(body);
  };
}

export function json(body: unknown, headers: Record<string, string> = {}) {
  return status(200, { 'content-type': 'application/json', ...headers }, JSON.stringify(body));
}

/** Impatient enough for tests: the numbers decide how long a test takes, not whether it passes. */
export function makeHttp(options: Partial<HttpOptions> = {}): Http {
  return new Http({
    fetch: (url, init) => fetch(url, init),
    timeouts: { connectMs: 20_000, stallMs: 20_000 },
    retry: { attempts: 3, baseDelayMs: 1, maxDelayMs: 2 },
    random: () => 0,
    ...options,
  });
}
