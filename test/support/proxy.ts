import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Certified } from './certificates.ts';

/** Listens on a free port until the test is over. */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** Hands a request on to another server, and its answer back. */
function passOn(asked: IncomingMessage, answer: ServerResponse, to: string, path: string): void {
  const { host: _, ...headers } = asked.headers;
  const onward = request(new URL(path, to), { method: asked.method, headers }, (got) => {
    answer.writeHead(got.statusCode ?? 502, got.headers);
    got.pipe(answer);
  });
  onward.on('error', () => answer.destroy());
  answer.on('close', () => onward.destroy());
  asked.pipe(onward);
}

export interface TestProxy {
  url: string;
  /** What it was asked for: `CONNECT host:port`, or `GET http://host/…` with the query cut off. */
  asked: string[];
}

/** A forward proxy that knows two names: `hub.example:80` and `hub.example:443`. */
export async function startProxy(to: { http: string; tls?: string; credentials?: string }): Promise<TestProxy> {
  const asked: string[] = [];
  const wants = to.credentials && `Basic ${Buffer.from(to.credentials).toString('base64')}`;
  const allowed = ({ headers }: IncomingMessage) => !wants || headers['proxy-authorization'] === wants;
  const server = createServer((incoming, answer) => {
    asked.push(`${incoming.method} ${incoming.url?.replace(/\?.*/, '')}`);
    if (!allowed(incoming)) return void answer.writeHead(407, { 'proxy-authenticate': 'Basic' }).end();
    const { host, pathname, search } = new URL(incoming.url ?? '', 'http://none.example');
    if (host !== 'hub.example') return void answer.writeHead(502).end();
    passOn(incoming, answer, to.http, pathname + search);
  });
  server.on('connect', (incoming, socket, head) => {
    asked.push(`CONNECT ${incoming.url}`);
    socket.on('error', () => undefined);
    if (!allowed(incoming)) return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const target = { 'hub.example:80': to.http, 'hub.example:443': to.tls }[incoming.url ?? ''];
    if (!target) return socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const onward = connect(Number(new URL(target).port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    // Either side goes when the other one does.
    onward.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, asked };
}

/** The same server over TLS. */
export async function startTls(
  to: string,
  { certificate, key }: Certified,
): Promise<{ url: string; count: () => number }> {
  let count = 0;
  const server = createTlsServer({ cert: certificate, key }, (incoming, answer) => {
    count++;
    passOn(incoming, answer, to, incoming.url ?? '/');
  });
  return { url: `https://localhost:${await listen(server)}`, count: () => count };
}
