import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { XetError } from '../../src/core/errors.ts';
import { makeNodeFetch, nodeFetch } from '../../src/http/network-fetch.node.ts';
import type { RequestSpec, SendingFetch } from '../../src/http/types.ts';
import { rejectionOf } from '../support/property.ts';
import { inTurn, json, makeHttp, serve, status } from './server.ts';

const patient = { retry: { attempts: 5, baseDelayMs: 1, maxDelayMs: 2 } };

/** Counts what is asked of a fetch. */
function counting(send: SendingFetch): SendingFetch & { calls: number } {
  const fetch: SendingFetch & { calls: number } = Object.assign(
    (...args: Parameters<SendingFetch>) => {
      fetch.calls++;
      return send(...args);
    },
    { calls: 0 },
  );
  return fetch;
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const sends = {
  'connections of our own': nodeFetch,
  'the fetch of Node': (url: string, init?: RequestInit) => fetch(url, init),
};

describe.each(Object.entries(sends))('over %s', (_, send) => {
  const attemptsAt = async (spec: RequestSpec): Promise<{ calls: number; error: unknown }> => {
    const fetch = counting(send);
    const error = await rejectionOf(makeHttp({ ...patient, fetch }).json(spec));
    return { calls: fetch.calls, error };
  };

  test('a host that refuses the very first connection is tried once more', async () => {
    const { calls, error } = await attemptsAt({ kind: 'hub', url: `http://127.0.0.1:${await closedPort()}/` });
    expect(calls).toBe(2);
    expect(error).toMatchObject({ code: 'NETWORK', message: expect.stringContaining('ECONNREFUSED') });
  });

  test('so is a name that nobody knows', async () => {
    const { calls, error } = await attemptsAt({ kind: 'hub', url: 'http://no-such-host.invalid/' });
    expect(calls).toBe(2);
    expect(error).toMatchObject({ code: 'NETWORK', message: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/) });
  });

  test('a host that has answered before has all its attempts', async () => {
    const server = createServer((_, response) => response.setHeader('connection', 'close').end('{}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const fetch = counting(send);
    const http = makeHttp({ ...patient, fetch });
    await http.json({ kind: 'hub', url });
    await new Promise((resolve) => server.close(resolve));
    expect(await rejectionOf(http.json({ kind: 'hub', url }))).toMatchObject({ code: 'NETWORK' });
    expect(fetch.calls).toBe(6);
  });

  test('a redirect in a circle is followed once to its end', async () => {
    const handler = inTurn(status(302, { location: '/' }));
    const { calls, error } = await attemptsAt({ kind: 'hub', url: await serve(handler) });
    expect([calls, handler.requests.length]).toEqual([1, 21]);
    expect(error).toMatchObject({ retryable: false });
  });

  test.each([
    ['hub:8080/api', 'HF_ENDPOINT'],
    ['"http://hub.test"', 'HF_ENDPOINT'],
    ['null8088/api', 'HF_ENDPOINT'],
    ['http://[/', 'HF_ENDPOINT'],
    ['', 'HF_ENDPOINT'],
  ])("'%s' is no address, and nothing is sent", async (url, named) => {
    const { calls, error } = await attemptsAt({ kind: 'hub', url });
    expect(calls).toBe(0);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(named) });
  });

  test.each(['ftp://cdn.test/', 'xorb', 'file:///etc/passwd'])("an answer that names '%s' is at fault", async (url) => {
    const { calls, error } = await attemptsAt({ kind: 'xorb', url });
    expect(calls).toBe(0);
    expect(error).toMatchObject({ code: 'PROTOCOL', retryable: false });
  });

  test.each(['hf_a\nb', 'hf_a\r\nx: y', 'hf_…', 'hf_a\u0000'])(
    'a token such as %j cannot be sent, and is not shown',
    async (token) => {
      const headers = { authorization: `Bearer ${token}` };
      const { calls, error } = await attemptsAt({ kind: 'hub', url: 'http://127.0.0.1:1/', headers });
      expect(calls).toBe(0);
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('HF_TOKEN') });
      expect(String(error)).not.toContain('hf_');
    },
  );

  test('a login page in place of JSON is said so, once', async () => {
    const handler = inTurn(
      status(200, { 'content-type': 'text/html; charset=utf-8' }, '<html>Welcome to the hotel</html>'),
    );
    const { calls, error } = await attemptsAt({ kind: 'hub', url: await serve(handler) });
    expect(calls).toBe(1);
    expect(error).toMatchObject({ code: 'PROTOCOL', retryable: false, message: expect.stringContaining('web page') });
  });
});

test('a proxy that wants a login is said so, once', async () => {
  const handler = inTurn(status(407, {}, '<html>Login</html>'));
  const error = await rejectionOf(
    makeHttp({ ...patient, fetch: nodeFetch }).send({ kind: 'hub', url: await serve(handler) }),
  );
  expect(handler.requests).toHaveLength(1);
  expect(error).toMatchObject({ code: 'NETWORK', status: 407, message: expect.stringContaining('HTTPS_PROXY') });
});

test.each([
  ['header lines end without CR', 'HTTP/1.1 200 OK\ncontent-length: 2\n\n{}'],
  ['its length is said twice', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}'],
  ['it speaks another protocol', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
  ['its reason has a carriage return', 'HTTP/1.1 200 O\rK\r\ncontent-length: 2\r\n\r\n{}'],
  ['a chunk has no length', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
])('an answer that is malformed, as %s, is asked for once', async (_, text) => {
  const url = await raw(text);
  const fetch = counting(nodeFetch);
  const error = await rejectionOf(makeHttp({ ...patient, fetch }).json({ kind: 'hub', url }));
  expect(fetch.calls).toBe(1);
  expect(error).toMatchObject({ code: 'PROTOCOL', retryable: false });
});

test.each([['an empty line first', '\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}']])(
  'an answer with %s is read as other clients read it',
  async (_, text) => {
    const { body } = await makeHttp({ fetch: nodeFetch }).json({ kind: 'hub', url: await raw(text) });
    expect(body).toEqual({});
  },
);

/** Answers with these bytes and nothing else. */
async function raw(text: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(text));
    onTestFinished(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  ['a TypeError', () => (undefined as unknown as { a: string }).a],
  [
    'a ReferenceError',
    () => {
      throw new ReferenceError('x is not defined');
    },
  ],
  ['a call of what is no function', () => (1 as unknown as () => void)()],
])('%s in a fetch of the caller is a mistake and no network failure', async (_, mistake) => {
  const fetch = counting(async () => {
    mistake();
    return new Response();
  });
  const error = await rejectionOf(makeHttp({ ...patient, fetch }).send({ kind: 'hub', url: 'https://hub.test/' }));
  expect(error).not.toBeInstanceOf(XetError);
  expect(fetch.calls).toBe(1);
});

describe('credentials and encryption', () => {
  test.each(['Authorization', 'cookie', 'Proxy-Authorization', 'Metadata-Flavor', 'X-aws-ec2-metadata-token', 'Host'])(
    'a grant cannot make us send %s',
    async (name) => {
      const fetch = counting(async () => new Response());
      const spec: RequestSpec = { kind: 'xorb', url: 'https://cdn.test/', method: 'PUT', headers: { [name]: 'x' } };
      expect(await rejectionOf(makeHttp({ fetch }).send(spec))).toMatchObject({ code: 'PROTOCOL', retryable: false });
      expect(fetch.calls).toBe(0);
    },
  );

  test('headers that storage needs are sent', async () => {
    const fetch = counting(async () => new Response());
    const headers = { 'x-amz-acl': 'private', 'content-type': 'a/b', 'x-ms-blob-type': 'BlockBlob' };
    await makeHttp({ fetch }).send({ kind: 'xorb', url: 'https://cdn.test/', method: 'PUT', headers });
    expect(fetch.calls).toBe(1);
  });

  test.each(['hub', 'cas', 'xorb'] as const)(
    'where the endpoint is encrypted, no %s address leads out of that',
    async (kind) => {
      const fetch = counting(async () => new Response());
      const http = makeHttp({ fetch, encrypted: true });
      expect(await rejectionOf(http.send({ kind, url: 'http://cas.test/x' }))).toMatchObject({
        code: 'PROTOCOL',
        retryable: false,
      });
      expect(fetch.calls).toBe(0);
      await http.send({ kind, url: 'http://127.0.0.1:8080/x' });
      await http.send({ kind: 'source', url: 'http://files.test/x' });
      await makeHttp({ fetch, encrypted: true, rewriteUrl: () => 'http://mirror.test/' }).send({
        kind,
        url: 'https://cas.test/x',
      });
      expect(fetch.calls).toBe(3);
    },
  );

  test('a fetch that followed a redirect out of encryption is not believed', async () => {
    const answer = Object.defineProperty(new Response('{}'), 'url', { value: 'http://elsewhere.test/' });
    const http = makeHttp({ ...patient, fetch: async () => answer });
    expect(await rejectionOf(http.json({ kind: 'hub', url: 'https://hub.test/' }))).toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringContaining('not encrypted'),
    });
  });
});

describe('rewriteUrl', () => {
  const other = (url: string, init?: RequestInit) => fetch(url, init);
  test.each([
    ['connections of our own', undefined],
    ['a fetch in their place', other],
  ] as const)('sees where redirects lead, over %s', async (_, replaced) => {
    const mirror = await serve((request, response) => response.end(JSON.stringify(request.headers)));
    const hub = await serve((_, response) =>
      response.writeHead(302, { location: 'https://cdn.test/file?sig=x' }).end(),
    );
    const seen: [string, string][] = [];
    const rewriteUrl = (url: string, kind: string) => {
      seen.push([url, kind]);
      return url.replace('https://cdn.test', mirror);
    };
    const before = globalThis.fetch;
    if (replaced) {
      globalThis.fetch = ((url: string, init?: RequestInit) => before(url, init)) as typeof fetch;
      onTestFinished(() => {
        globalThis.fetch = before;
      });
    }
    const http = makeHttp({ fetch: makeNodeFetch({}), rewriteUrl });
    const { body, reply } = await http.json({
      kind: 'hub',
      url: `${hub}/a`,
      headers: { authorization: 'Bearer hf_x' },
    });
    expect(seen).toEqual([
      [`${hub}/a`, 'hub'],
      ['https://cdn.test/file?sig=x', 'xorb'],
    ]);
    expect(reply.url).toBe(`${mirror}/file?sig=x`);
    expect(body).not.toHaveProperty('authorization');
  });

  test('is told where it makes no address', async () => {
    const http = makeHttp({ fetch: nodeFetch, rewriteUrl: () => 'mirror.internal/x' });
    expect(await rejectionOf(http.send({ kind: 'cas', url: 'https://cas.test/' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('rewriteUrl'),
    });
  });
});

test('a refusal behind a redirect is that of the server that gave it', async () => {
  const cdn = await serve(status(403, {}, 'Auth failed: SignatureError: invalid key pair id'));
  const hub = await serve(status(302, { location: `${cdn}/xet-bridge-us/file?Signature=secret` }));
  const spec: RequestSpec = {
    kind: 'hub',
    url: `${hub}/gpt2/resolve/main/a`,
    headers: { authorization: 'Bearer hf_x' },
  };
  const error = await rejectionOf(makeHttp({ fetch: nodeFetch }).send(spec));
  expect(error).toMatchObject({ code: 'FORBIDDEN', status: 403, url: `${cdn}/xet-bridge-us/file` });
  expect((error as Error).message).toBe(
    `${cdn}/xet-bridge-us/file answered 403 ("Auth failed: SignatureError: invalid key pair id"). Access is denied, or a signed address has expired.`,
  );
  const moved = await serve((request, response) =>
    request.url === '/here'
      ? response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end()
      : response.writeHead(307, { location: '/here' }).end(),
  );
  expect(await rejectionOf(makeHttp().send({ kind: 'hub', url: `${moved}/there` }))).toMatchObject({
    url: `${moved}/here`,
  });
});

test('packed answers about a range of a file are asked for where the range is no part of the answer', async () => {
  const handler = inTurn(json({}));
  const url = await serve(handler);
  await makeHttp({ fetch: nodeFetch }).json({
    kind: 'cas',
    url,
    headers: { range: 'bytes=0-1', 'accept-encoding': 'gzip' },
  });
  expect(handler.requests[0]?.headers).toMatchObject({ range: 'bytes=0-1', 'accept-encoding': 'gzip' });
});
