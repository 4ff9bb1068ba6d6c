import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { XetError } from '../../src/core/errors.ts';
import { rememberSecret, rememberUrl, withoutSecrets } from '../../src/core/secrets.ts';
import { nodeFetch } from '../../src/http/network-fetch.node.ts';
import type { RequestSpec, RetryNotice } from '../../src/http/types.ts';
import { makeHttp } from './server.ts';

/** What a server knows of a request: the value of its credential, and all that it was sent. */
interface Sent {
  secret: string;
  head: string;
  url: string;
}

const answer = (status: string, headers: string, body: string | Buffer = '') =>
  Buffer.concat([
    Buffer.from(
      `HTTP/1.1 ${status}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`,
    ),
    Buffer.from(body),
  ]);
const json = (value: unknown, status = '403 Forbidden') =>
  answer(status, 'content-type: application/json\r\n', JSON.stringify(value));
const oneLine = (text: string) => text.replace(/[\r\n]+/g, ' ');

/** Ways in which servers and proxies repeat what they were sent. */
const WAYS: Record<string, (sent: Sent) => Buffer> = {
  'an error in JSON': ({ head }) => json({ error: head }),
  'a message in JSON': ({ secret }) => json({ message: `no such key: ${secret}` }, '404 Not Found'),
  'a list of errors': ({ secret }) => json({ errors: [{ message: `bad ${secret}.` }] }, '400 Bad Request'),
  'a nested error': ({ secret }) => json({ error: { message: `'${secret}'` } }, '401 Unauthorized'),
  'JSON in JSON': ({ head }) => json({ error: JSON.stringify({ head }) }),
  'a text': ({ head }) => answer('403 Forbidden', 'content-type: text/plain\r\n', head),
  'a text that is cut off in the middle of it': ({ secret }) =>
    answer('403 Forbidden', '', `${' '.repeat(4096 - Math.floor(secret.length / 2))}${secret}`),
  'a form': ({ secret }) => answer('403 Forbidden', '', `token=${encodeURIComponent(secret)}&again=1`),
  'a form that is encoded twice': ({ secret }) => answer('403 F', '', encodeURIComponent(encodeURIComponent(secret))),
  markup: ({ secret }) => answer('403 Forbidden', '', `said: ${secret.replace(/&/g, '&amp;').replace(/'/g, '&#39;')}`),
  base64: ({ head }) => answer('403 Forbidden', '', Buffer.from(head).toString('base64')),
  'base64 for addresses': ({ secret }) => answer('403 F', '', Buffer.from(`ab ${secret} cd`).toString('base64url')),
  'other case': ({ secret }) => answer('403 Forbidden', '', secret.toUpperCase()),
  'x-error-message': ({ head }) => answer('401 Unauthorized', `x-error-message: ${oneLine(head)}\r\n`),
  'x-error-code': ({ secret }) => answer('404 Not Found', `x-error-code: ${secret}\r\n`),
  'x-request-id': ({ secret }) => answer('500 Error', `x-request-id: ${secret}\r\n`),
  'x-amz-cf-id': ({ secret }) => answer('403 Forbidden', `x-amz-cf-id: ${secret}\r\n`),
  'retry-after': ({ secret }) => answer('429 Slow', `retry-after: ${secret}\r\n`),
  'the status line': ({ secret }) => answer(`403 ${secret}`, ''),
  'no status line at all': ({ secret }) => Buffer.from(`${secret}\r\n\r\n`),
  'a line of the head that is none': ({ secret }) => answer('200 OK', `${secret} and more\r\n`),
  'a length that is none': ({ secret }) => Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${secret}\r\n\r\n`),
  'a coding of the transfer': ({ secret }) => Buffer.from(`HTTP/1.1 200 OK\r\ntransfer-encoding: ${secret}\r\n\r\n`),
  'a chunk': ({ secret }) => Buffer.from(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${secret}\r\n`),
  'a coding of the content': ({ secret }) => answer('200 OK', `content-encoding: ${secret}\r\n`, 'x'),
  'an address that is none': ({ secret }) => answer('302 Found', `location: http://[${secret}\r\n`),
  'an address of another kind': ({ secret }) => answer('302 Found', `location: data:${secret}\r\n`),
  'a redirect to a path': ({ secret, url }) =>
    url.includes('/again/') ? answer('404 Not Found', '') : answer('302 Found', `location: /again/${secret}\r\n`),
  'a redirect in a circle': ({ secret }) => answer('302 Found', `location: /again?q=${secret}\r\n`),
  'a body that is not JSON': ({ secret }) => answer('200 OK', 'content-type: application/json\r\n', `{"a": ${secret}`),
  'a page in place of JSON': ({ head }) => answer('200 OK', 'content-type: text/html\r\n', `<html>${head}</html>`),
  'gzip that is none': ({ head }) => answer('200 OK', 'content-encoding: gzip\r\n', head),
  'gzip that breaks off': ({ head }) =>
    answer('403 Forbidden', 'content-encoding: gzip\r\n', gzipSync(`${head}${'x'.repeat(5000)}`).subarray(0, -20)),
};

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkb3dubG9hZGVyIiwiZXhwIjoxfQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg';
const bearer = (token: string) => ({ secret: token, headers: { authorization: `Bearer ${token}` }, query: '' });
const TOKENS: Record<string, { secret: string; headers: Record<string, string>; query: string }> = {
  'a Hub token': bearer('hf_AbCdEfGhIjKlMnOpQrStUvWxYz'),
  "a company's token": bearer('my-company-token'),
  'a token with signs in it': bearer('0/+a=b\'c&d"e~f'),
  'a CAS token': bearer(JWT),
  'a password': {
    secret: 'alice.smith:Tr0ub4dor&3',
    headers: { authorization: `Basic ${btoa('alice.smith:Tr0ub4dor&3')}` },
    query: '',
  },
  'a signature': {
    secret: 'q9Zr~kP2-xW_7Lm',
    headers: {},
    query: '?user_id=public&Expires=1790000000&Signature=q9Zr~kP2-xW_7Lm&Key-Pair-Id=KABCDEF',
  },
};

/** Answers each request in one way and closes the connection. */
async function repeating(way: (sent: Sent) => Buffer, secret: string): Promise<string> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', (bytes) => {
      const head = bytes.toString('latin1');
      socket.end(way({ secret, head, url: head.split(' ')[1] ?? '' }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** All that can be seen of an error. */
function shown(error: unknown): string {
  const { message, stack, ...rest } = error as XetError;
  const chain: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) chain.push(String(at.stack), at.message);
  return [
    inspect(error, { depth: 20, showHidden: true, maxStringLength: null }),
    message,
    stack,
    JSON.stringify(rest),
    ...chain,
  ].join('\n');
}

function forms(secret: string): string[] {
  const parts = [secret, ...secret.split(/[.:]/)].filter((part) => part.length >= 8);
  return parts.flatMap((part) => [
    part,
    part.toUpperCase(),
    encodeURIComponent(part),
    part.slice(0, Math.max(12, Math.floor(part.length / 2))),
    // The middle of it, whatever is around it.
    Buffer.from(part).toString('base64').slice(0, 12),
  ]);
}

const fetches = {
  'connections of our own': nodeFetch,
  'the fetch of Node': (url: string, init?: RequestInit) => fetch(url, init),
};

describe.each(Object.entries(fetches))('over %s', (_, send) => {
  describe.each(Object.entries(TOKENS))(
    '%s is not shown by a server that repeats it in',
    (_name, { secret, headers, query }) => {
      test.each(Object.entries(WAYS))('%s', async (_way, way) => {
        const notices: RetryNotice[] = [];
        const http = makeHttp({ fetch: send, onRetry: (notice) => notices.push(notice) });
        const url = `${await repeating(way, secret)}/a/b${query}`;
        const spec: RequestSpec = { kind: query ? 'xorb' : 'hub', url, headers };
        const failures: unknown[] = [];
        await http.json(spec).catch((error) => failures.push(error));
        expect(failures).toHaveLength(1);
        expect(failures[0]).toBeInstanceOf(XetError);
        const text = [...failures.map(shown), ...notices.map((notice) => shown(notice.error) + notice.url)].join('\n');
        for (const form of forms(secret)) expect(text).not.toContain(form);
      });
    },
  );
});

test('a user and a password of an address are known in all their forms', () => {
  rememberUrl('http://bob.builder:p%40ss-w0rd@mirror.test/hf');
  const seen = `bob.builder p@ss-w0rd p%40ss-w0rd ${btoa('bob.builder:p@ss-w0rd')} mirror.test`;
  expect(withoutSecrets(seen)).toBe('… … … … mirror.test');
});

test('what is no credential stays: short values as parts of words, common names, hashes in queries', () => {
  rememberUrl(`https://token:abcd@hub.test/x?file_id=${'a'.repeat(64)}&expand=false&limit=50`);
  rememberSecret('abc');
  const text = `The token of abcdef, abc, expand=false, ${'a'.repeat(64)}`;
  expect(withoutSecrets(text)).toBe(text);
  expect(withoutSecrets('password abcd.')).toBe('password ….');
});

test('only so many are kept, the latest', () => {
  rememberSecret('the-first-of-all-tokens');
  for (let count = 0; count < 256; count++) rememberSecret(`token-number-${count}`);
  expect(withoutSecrets('the-first-of-all-tokens token-number-255')).toBe('the-first-of-all-tokens …');
});
