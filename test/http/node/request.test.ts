import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { lendingReader, type ResponseBody } from '../../../src/http/body-reader.ts';
import { nodeRequest } from '../../../src/http/node/request.node.ts';
import type { HttpResponse } from '../../../src/http/types.ts';
import { randomBytes } from '../../support/samples.ts';
import { closed } from '../sockets.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server that answers as a test wants, and what it has been asked. */
async function serve(
  handler: Handler,
): Promise<{ url: string; asked: IncomingMessage[]; sockets: Set<Socket>; close(): Promise<void> }> {
  const asked: IncomingMessage[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    asked.push(request);
    handler(request, response);
  });
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    if (!server.listening) return;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  onTestFinished(close);
  return { url: `http://127.0.0.1:${port}`, asked, sockets, close };
}

async function bytesOf(answer: HttpResponse): Promise<Uint8Array> {
  const reader = answer.body?.getReader();
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || !value) return Buffer.concat(pieces);
    pieces.push(value);
  }
}

/** The same, of pieces that are lent. */
async function bytesLent(answer: HttpResponse): Promise<Uint8Array> {
  const reader = lendingReader(answer.body as ResponseBody, Number.POSITIVE_INFINITY);
  const pieces: Uint8Array[] = [];
  for (let piece = await reader.read(); !piece.done && piece.value; piece = await reader.read()) {
    pieces.push(piece.value.slice());
    if (pieces.length % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return Buffer.concat(pieces);
}

const BYTES = randomBytes(3_000_000, 7);

/** Whatever can be seen of an answer must be the same by both ways. */
describe.each([
  ['nodeRequest', nodeRequest],
  ['fetch', fetch as typeof nodeRequest],
])('%s', (_, send) => {
  test('gives status, headers, address and bytes', async () => {
    const { url } = await serve((_, response) => response.writeHead(206, { 'X-One': 'a', etag: '"e"' }).end(BYTES));
    const answer = await send(`${url}/a?b=c`);
    expect(answer).toMatchObject({ status: 206, ok: true, url: `${url}/a?b=c` });
    expect([answer.headers.get('x-one'), answer.headers.get('ETag')]).toEqual(['a', '"e"']);
    expect(Buffer.compare(await bytesOf(answer), BYTES)).toBe(0);
  });

  test('lends its bytes', async () => {
    const { url } = await serve((_, response) => response.end(BYTES));
    // Twice over one connection: what was lent the first time is read into again.
    for (let time = 0; time < 2; time++) expect(Buffer.compare(await bytesLent(await send(url)), BYTES)).toBe(0);
  });

  test.each(['HEAD', 'GET'])('%s of nothing has no bytes', async (method) => {
    const { url } = await serve((_, response) => response.writeHead(204).end());
    expect(await bytesOf(await send(url, { method }))).toHaveLength(0);
  });

  test.each<[string, BodyInit | undefined, string]>([
    ['text', 'what is sent', 'what is sent'],
    ['nothing', '', ''],
    ['bytes', BYTES as Uint8Array<ArrayBuffer>, Buffer.from(BYTES).toString('latin1')],
  ])('sends %s, and says how long it is', async (_, body, expected) => {
    let received = '';
    const { url, asked } = await serve(async (request, response) => {
      request.setEncoding('latin1');
      for await (const part of request) received += part;
      response.end();
    });
    expect((await send(url, { method: 'POST', body })).status).toBe(200);
    expect(received).toBe(expected);
    expect(asked[0]?.headers['content-length']).toBe(String(expected.length));
  });

  test('unpacks what is packed', async () => {
    const { url, asked } = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(BYTES)),
    );
    expect(Buffer.compare(await bytesOf(await send(url)), BYTES)).toBe(0);
    expect(asked[0]?.headers['accept-encoding']).toContain('gzip');
  });

  test('follows redirects, and takes no secret to another server', async () => {
    const elsewhere = await serve((_, response) => response.end('there'));
    const { url, asked } = await serve(({ url }, response) =>
      response.writeHead(302, { location: url === '/first' ? '/second' : `${elsewhere.url}/third` }).end(),
    );
    const answer = await send(`${url}/first`, { headers: { authorization: 'Bearer secret', range: 'bytes=0-1' } });
    expect(answer.url).toBe(`${elsewhere.url}/third`);
    expect(Buffer.from(await bytesOf(answer)).toString()).toBe('there');
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer secret', 'Bearer secret']);
    expect(elsewhere.asked[0]?.headers).toMatchObject({ range: 'bytes=0-1' });
    expect(elsewhere.asked[0]?.headers).not.toHaveProperty('authorization');
  });

  test.each([
    [302, 'GET', ''],
    [303, 'GET', ''],
    [307, 'POST', 'again'],
  ])('after %i a POST goes on as %s', async (status, method, expected) => {
    let received = '';
    const { url, asked } = await serve(async (request, response) => {
      if (request.url === '/') return response.writeHead(status, { location: '/next' }).end();
      for await (const part of request) received += part;
      return response.end();
    });
    await send(`${url}/`, { method: 'POST', body: 'again' });
    expect([asked.at(-1)?.method, received]).toEqual([method, expected]);
  });

  test('goes round in no circle for ever', async () => {
    const { url, asked } = await serve((_, response) => response.writeHead(302, { location: '/' }).end());
    await expect(send(`${url}/`)).rejects.toThrow(/fetch failed|in a circle/);
    expect(asked).toHaveLength(21);
  });

  test('asks caches for nothing old', async () => {
    const { url, asked } = await serve((_, response) => response.end());
    await send(url, { cache: 'no-store' });
    expect(asked[0]?.headers).toMatchObject({ 'cache-control': 'no-cache', pragma: 'no-cache' });
  });

  test.each([['before it is sent'], ['before its answer'], ['in its body']])('an abort %s ends it', async (when) => {
    const stop = new AbortController();
    const reason = new Error('enough');
    let closed: Promise<unknown> | undefined;
    const { url, asked } = await serve((request, response) => {
      closed = once(request.socket, 'close');
      if (when === 'in its body') response.writeHead(200, { 'content-length': 1000 }).write('begun');
      else stop.abort(reason);
    });
    if (when === 'before it is sent') stop.abort(reason);
    const reading = send(url, { signal: stop.signal }).then((answer) => {
      setTimeout(() => stop.abort(reason), 20);
      return bytesOf(answer);
    });
    await expect(reading).rejects.toBe(reason);
    if (when === 'before it is sent') expect(asked).toHaveLength(0);
    else await closed;
  });

  test('a body that breaks off is an error', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 1000 }).write('begun');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(send(url).then(bytesOf)).rejects.toThrow();
  });

  test('nobody there is an error that says so', async () => {
    const { url, close } = await serve((_, response) => response.end());
    await close();
    await expect(send(url)).rejects.toMatchObject({ message: 'fetch failed', cause: { code: 'ECONNREFUSED' } });
  });
});

test('a body that is packed and broken is an error', async () => {
  const packed = gzipSync(BYTES);
  packed.fill(0, 5000, 6000);
  const { url } = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed));
  await expect(nodeRequest(url).then(bytesOf)).rejects.toThrow('fetch failed');
});

test('a connection serves one request after the other', async () => {
  const { url, sockets } = await serve((_, response) => response.end(BYTES));
  for (let request = 0; request < 3; request++) await bytesOf(await nodeRequest(url));
  expect(sockets.size).toBe(1);
});

test('one that was closed while nobody used it is no failure', async () => {
  const { url, sockets, asked } = await serve((_, response) => response.end('all'));
  await bytesOf(await nodeRequest(url));
  for (const socket of sockets) socket.resetAndDestroy();
  expect(Buffer.from(await bytesOf(await nodeRequest(url))).toString()).toBe('all');
  expect(asked).toHaveLength(2);
});

test('nor are several of them', async () => {
  const { url, sockets } = await serve((_, response) => setTimeout(() => response.end('all'), 20));
  await Promise.all([1, 2, 3].map(async () => bytesOf(await nodeRequest(url))));
  expect(sockets.size).toBe(3);
  for (const socket of sockets) socket.resetAndDestroy();
  expect(Buffer.from(await bytesOf(await nodeRequest(url))).toString()).toBe('all');
});

test('but what changes something is not sent twice', async () => {
  const { url, sockets, asked } = await serve((request, response) => {
    if (request.method === 'GET') response.end('all');
    else request.socket.destroy();
  });
  await bytesOf(await nodeRequest(url));
  await expect(nodeRequest(url, { method: 'POST', body: 'once' })).rejects.toThrow('fetch failed');
  expect([asked.length, sockets.size]).toEqual([2, 1]);
});

test('one over which a request is not yet sent when its answer has come is closed', async () => {
  const { url, sockets } = await serve((_, response) => response.end('no'));
  const body = new Uint8Array(50_000_000);
  expect(Buffer.from(await bytesOf(await nodeRequest(url, { method: 'PUT', body }))).toString()).toBe('no');
  await closed(sockets);
});

test('a header that would be two is not sent', async () => {
  const { url, asked } = await serve((_, response) => response.end());
  const sent = nodeRequest(url, { headers: { authorization: 'Bearer a\r\nx: y' } });
  await expect(sent).rejects.toMatchObject({
    message: 'fetch failed',
    cause: { message: expect.stringContaining('authorization') },
  });
  expect(asked).toHaveLength(0);
});

test('a range is asked for as it is, and all of a file packed, unless the caller says otherwise', async () => {
  const { url, asked } = await serve((_, response) => response.end());
  for (const headers of [{}, { range: 'bytes=0-1' }, { range: 'bytes=0-1', 'accept-encoding': 'gzip' }]) {
    await nodeRequest(url, { headers: headers as Record<string, string> });
  }
  expect(asked.map(({ headers }) => headers['accept-encoding'])).toEqual(['gzip', 'identity', 'gzip']);
});

test.each(['GZIP', 'x-gzip', ' gzip '])("'%s' is unpacked like gzip", async (coding) => {
  const { url } = await serve((_, response) =>
    response.writeHead(200, { 'content-encoding': coding }).end(gzipSync('hello')),
  );
  expect(Buffer.from(await bytesOf(await nodeRequest(url))).toString()).toBe('hello');
});

test.each(['br', 'zstd', 'gzip, gzip', '<b>'])(
  "a coding that was not asked for, '%s', is named with its server",
  async (coding) => {
    const { url, sockets } = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': coding }).end('x'.repeat(100)),
    );
    await expect(nodeRequest(`${url}/file`)).rejects.toMatchObject({
      code: 'PROTOCOL',
      retryable: false,
      url: `${url}/file`,
      message: expect.stringContaining(coding === '<b>' ? 'a coding' : `'${coding}'`),
    });
    await closed(sockets);
  },
);

test.each([
  ['http://[', 'no address'],
  ['data:text/plain,x', 'no http(s) address'],
  ['file:///etc/passwd', 'no http(s) address'],
])("a redirect to '%s' is an error that nobody repeats", async (location, message) => {
  const { url, asked } = await serve((_, response) => response.writeHead(302, { location }).end());
  await expect(nodeRequest(url)).rejects.toMatchObject({ retryable: false, message: expect.stringContaining(message) });
  expect(asked).toHaveLength(1);
});

test('a redirect whose body does not come keeps no connection', async () => {
  const { url, sockets } = await serve(({ url }, response) => {
    if (url === '/') response.writeHead(302, { location: '/next', 'content-length': 100 }).write('begun');
    else response.end('there');
  });
  expect(Buffer.from(await bytesOf(await nodeRequest(`${url}/`))).toString()).toBe('there');
  await closed(sockets);
});

test('a reader that waits holds the server back', async () => {
  const long = randomBytes(64_000_000, 8);
  const { url, sockets } = await serve((_, response) => response.end(long));
  const reader = (await nodeRequest(url)).body?.getReader();
  await reader?.read();
  const [socket] = sockets;
  let before = -1;
  // Until the system's buffers are full and nothing moves any more.
  while (socket && socket.bytesWritten - socket.writableLength !== before) {
    before = socket.bytesWritten - socket.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(socket?.writableLength).toBeGreaterThan(long.length / 2);
  await reader?.cancel();
});
