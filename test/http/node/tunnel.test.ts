import { writeFile } from 'node:fs/promises';
import { createServer as createHttp } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nodeRequest } from '../../../src/http/node/request.node.ts';
import { certificates } from '../../support/certificates.ts';
import { scratch } from '../../support/hub.ts';
import { startTls } from '../../support/proxy.ts';
import { randomBytes } from '../../support/samples.ts';
import { portOf } from '../sockets.ts';

const BYTES = randomBytes(5_000_000, 31);

/** A server over TLS that answers with {@link BYTES}, who vouches for it, and the number of its requests. */
async function target() {
  const { authority, server } = certificates('localhost');
  const plain = createHttp((_, response) => response.end(BYTES));
  onTestFinished(() => plain.closeAllConnections());
  const ca = join(await scratch(), 'ca.pem');
  await writeFile(ca, authority.certificate);
  const { url, count } = await startTls(`http://127.0.0.1:${await portOf(plain)}`, server);
  return { url, count, ca, server };
}

/** A proxy that does with a connection what a test wants, once all of what asks for a tunnel has come. */
async function proxyThat(does: (socket: Socket, asked: string) => void, tls?: { certificate: string; key: string }) {
  const onConnection = (socket: Socket) => {
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    socket.once('data', (bytes) => does(socket, bytes.toString()));
  };
  const server = tls ? createTls({ cert: tls.certificate, key: tls.key }, onConnection) : createServer(onConnection);
  return new URL(`${tls ? 'https' : 'http'}://localhost:${await portOf(server)}`);
}

function passThrough(socket: Socket, asked: string): void {
  const [, port] = /^CONNECT localhost:(\d+) /.exec(asked) ?? [];
  const onward = connect(Number(port), '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 OK\r\nVia: a test\r\n\r\n');
    onward.pipe(socket).pipe(onward);
  });
  onward.on('error', () => socket.destroy());
}

async function bytesOf(url: string, proxy: URL, ca: string, signal?: AbortSignal): Promise<Uint8Array> {
  const init = { ...(signal && { signal }) };
  const { body } = await nodeRequest(url, init, () => ({ proxy, certificates: [ca] }));
  const reader = body?.getReader();
  const pieces: Uint8Array[] = [];
  for (let piece = await reader?.read(); piece?.value; piece = await reader?.read()) pieces.push(piece.value);
  return Buffer.concat(pieces);
}

test('one tunnel carries one request after the other', async () => {
  const { url, count, ca } = await target();
  let tunnels = 0;
  const proxy = await proxyThat((socket, asked) => {
    tunnels++;
    passThrough(socket, asked);
  });
  for (let time = 0; time < 3; time++) expect(Buffer.compare(await bytesOf(url, proxy, ca), BYTES)).toBe(0);
  expect([tunnels, count()]).toEqual([1, 3]);
});

test('a proxy is spoken to over TLS where its address says so', async () => {
  const { url, ca, server } = await target();
  const proxy = await proxyThat(passThrough, server);
  expect(Buffer.compare(await bytesOf(url, proxy, ca), BYTES)).toBe(0);
});

describe('an error that says so is', () => {
  test.each<[string, (socket: Socket) => void, string]>([
    ['what is no HTTP', (socket) => socket.end('SSH-2.0\r\n\r\n'), 'invalid status line "SSH'],
    [
      'more than an answer',
      (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'),
      'sent data after its response head',
    ],
    ['an answer without end', (socket) => socket.end('x'.repeat(70_000)), 'head is too long'],
    ['nothing', (socket) => socket.end(), 'closed the connection'],
  ])('%s', async (_, does, message) => {
    const { url, count, ca } = await target();
    await expect(bytesOf(url, await proxyThat(does), ca)).rejects.toMatchObject({
      message: 'fetch failed',
      cause: { message: expect.stringContaining(message) },
    });
    expect(count()).toBe(0);
  });
});

test.each([
  ['403 Forbidden', 'answered 403', false],
  ['407 Proxy Authentication Required', 'wants user and password: put them into HTTPS_PROXY', false],
  ['502 Bad Gateway', 'answered 502', true],
])('a proxy that answers %s is named, also where it says more', async (line, message, retryable) => {
  const { url, count, ca } = await target();
  const page = '<html>Access denied</html>';
  const proxy = await proxyThat((socket) =>
    socket.end(`HTTP/1.1 ${line}\r\ncontent-length: ${page.length}\r\n\r\n${page}`),
  );
  await expect(bytesOf(url, proxy, ca)).rejects.toMatchObject({
    code: 'NETWORK',
    status: Number(line.slice(0, 3)),
    retryable,
    message: expect.stringContaining(message),
  });
  expect(count()).toBe(0);
});

test('certificates that cannot be read are found out before there is a tunnel to be left open', async () => {
  const { url } = await target();
  let tunnels = 0;
  const proxy = await proxyThat((socket) => {
    tunnels++;
    socket.end();
  });
  await expect(bytesOf(url, proxy, '/no/such/file.pem')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(tunnels).toBe(0);
});

test('an abort ends the wait for a tunnel', async () => {
  const { url, ca } = await target();
  const stop = new AbortController();
  const reason = new Error('enough');
  let closed: Promise<unknown> | undefined;
  const proxy = await proxyThat((socket) => {
    closed = new Promise((resolve) => socket.once('close', resolve));
    stop.abort(reason);
  });
  await expect(bytesOf(url, proxy, ca, stop.signal)).rejects.toBe(reason);
  await closed;
});
