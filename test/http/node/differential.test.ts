import { get } from 'node:http';
import { createServer } from 'node:net';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { nodeRequest } from '../../../src/http/node/request.node.ts';
import { holdsAsync, splitAt } from '../../support/property.ts';

// Both clients are sent the same bytes in the same pieces. Ours may refuse what llhttp takes, for the reasons below; it must not
// take what llhttp refuses, and must not read anything else out of what both take.

/** Responses that we refuse although llhttp takes them. */
const STRICTER = [
  /^header lines end without CR/, // llhttp takes a bare LF
  /^invalid status line/, // such as other versions of HTTP, or a status line without a reason and its blank
  /^invalid header line/, // such as continued lines, and blanks before the colon
  /^Content-Length with Transfer-Encoding/, // llhttp takes the latter
  /^unsupported Transfer-Encoding/, // anything but chunked
  /^invalid Content-Length/, // such as two equal ones
  /^a chunk header does not end with CRLF/,
  /^invalid chunk length/, // such as blanks around it
  /^a chunk is not terminated by CRLF/,
  /^a chunk header or trailer is too long/,
  /^the response head is too long/, // llhttp's limit is another one
  /^the server switched protocols/,
];

interface Outcome {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  error?: string;
}

const OBSERVED = ['content-type', 'etag', 'x-a', 'content-range'];

let port: number;
/** What the next connections are sent. */
let pieces: Uint8Array[] = [];
beforeAll(async () => {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.once('data', async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
  return () => void server.close();
});

async function byOurs(): Promise<Outcome> {
  try {
    const { status, headers, body } = await nodeRequest(`http://127.0.0.1:${port}/`);
    const read = body?.getReader();
    let text = '';
    for (let piece = await read?.read(); piece?.value; piece = await read?.read())
      text += Buffer.from(piece.value).toString('latin1');
    return { status, headers: observed((name) => headers.get(name) ?? undefined), body: text };
  } catch (error) {
    const { message, cause } = error as Error;
    return { error: cause instanceof Error ? cause.message : message };
  }
}

/** What follows a complete response is no part of it: llhttp reports it as an error, and we close the connection. */
function byNode(): Promise<Outcome> {
  return new Promise((resolve) => {
    const request = get({ port, host: '127.0.0.1', path: '/', agent: false }, (response) => {
      const { headersDistinct } = response;
      const headers = observed((name) => headersDistinct[name]?.join(', '));
      let body = '';
      const settle = (error: string) =>
        resolve(response.complete ? { status: response.statusCode ?? 0, headers, body } : { error });
      response.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      response.on('error', () => undefined);
      response.on('close', () => settle('cut short'));
    });
    let answered = false;
    request.on('response', () => {
      answered = true;
    });
    request.on('error', (error) => answered || resolve({ error: error.message }));
    request.on('upgrade', (_, socket) => {
      socket.destroy();
      resolve({ error: 'upgrade' });
    });
  });
}

function observed(get: (name: string) => string | undefined): Record<string, string> {
  return Object.fromEntries(OBSERVED.flatMap((name) => (get(name) === undefined ? [] : [[name, `${get(name)}`]])));
}

const status = fc.oneof(
  {
    arbitrary: fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 206 Partial Content', 'HTTP/1.0 200 OK', 'HTTP/1.1 404 '),
    weight: 6,
  },
  fc.constantFrom(
    'HTTP/1.1 204 No Content',
    'HTTP/1.1 304 Not Modified',
    'HTTP/1.1 200',
    'HTTP/2 200 OK',
    'HTTP/1.1 99 x',
    'HTTP/1.1 2000 x',
    'http/1.1 200 OK',
    ' HTTP/1.1 200 OK',
    'HTTP/1.1  200 OK',
  ),
);
const header = fc.oneof(
  {
    arbitrary: fc.constantFrom(
      'X-A: b',
      'x-a: c',
      'Content-Type: text/plain',
      'ETag: "x"',
      'Content-Range: bytes 0-4/9',
    ),
    weight: 5,
  },
  fc.constantFrom(
    'x-a:',
    'x-a:b',
    'X-A:  b ',
    'x-a : b',
    ' folded',
    '\tfolded',
    'x-a',
    ':b',
    'x-a: b\x00c',
    'x-a: \xfc',
    'x a: b',
    'Connection: close',
    'Connection: keep-alive',
    'Keep-Alive: timeout=x',
  ),
);
const body = fc.string({ unit: fc.constantFrom('a', 'b', '\r', '\n', '0', ' '), maxLength: 40 });
const framed = fc.oneof(
  { arbitrary: body.map((text) => ({ headers: [`Content-Length: ${text.length}`], text })), weight: 3 },
  {
    arbitrary: fc
      .array(body, { maxLength: 4 })
      .map((parts) => ({ headers: ['Transfer-Encoding: chunked'], text: chunked(parts) })),
    weight: 4,
  },
  body.map((text) => ({ headers: [], text })),
  fc.record({
    headers: fc.array(
      fc.constantFrom(
        'Content-Length: 5',
        'Content-Length: 05',
        'Content-Length: +5',
        'Content-Length: -1',
        'Content-Length: 5, 5',
        'Content-Length: 0x5',
        'Content-Length: 99999999999999999999',
        'Content-Length:',
        'Transfer-Encoding: chunked',
        'Transfer-Encoding: gzip, chunked',
        'Transfer-Encoding: chunked, gzip',
        'Transfer-Encoding: Chunked',
        'Transfer-Encoding: identity',
        'Transfer-Encoding: x',
      ),
      { minLength: 1, maxLength: 2 },
    ),
    text: fc.oneof(body, fc.array(body, { maxLength: 2 }).map(chunked)),
  }),
);

function chunked(parts: readonly string[]): string {
  const chunks = parts.filter((part) => part !== '').map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
  return `${chunks.join('')}0\r\n\r\n`;
}

/** A response, cut short, with bytes exchanged or put in, in any pieces. */
const responses = fc
  .record({
    status,
    headers: fc.array(header, { maxLength: 4 }),
    framed,
    extra: fc.constantFrom('', '', '', 'HTTP/1.1 200 OK\r\n\r\n', 'x'),
    changes: fc.array(fc.tuple(fc.nat(), fc.constantFrom('', '\r', '\n', '\r\n', ' ', ';', '0', 'f', '\x00', ':')), {
      maxLength: 2,
    }),
    mutate: fc.constantFrom(false, false, true),
    cuts: fc.array(fc.nat(), { maxLength: 4 }),
    length: fc.oneof({ arbitrary: fc.constant(Number.POSITIVE_INFINITY), weight: 5 }, fc.nat(200)),
  })
  .map(({ status, headers, framed, extra, changes, mutate, cuts, length }) => {
    let text = `${[status, ...headers, ...framed.headers].join('\r\n')}\r\n\r\n${framed.text}${extra}`;
    if (mutate) {
      for (const [at, put] of changes) {
        const position = at % (text.length + 1);
        text = text.slice(0, position) + put + text.slice(position + (at % 2));
      }
    }
    return { text: text.slice(0, length), cuts };
  });

test('our client reads nothing that node:http refuses, and the same as it from all else', async () => {
  const counts = { same: 0, refusedByBoth: 0, stricter: 0 };
  await holdsAsync(5000, responses, async ({ text, cuts }) => {
    pieces = splitAt(Buffer.from(text, 'latin1'), cuts).filter(({ length }) => length > 0);
    const [ours, nodes] = [await byOurs(), await byNode()];
    if (ours.error === undefined) {
      expect({ text, ...ours }).toEqual({ text, ...nodes });
      counts.same++;
    } else if (nodes.error !== undefined) counts.refusedByBoth++;
    else {
      expect(
        STRICTER.some((reason) => reason.test(ours.error ?? '')),
        `${JSON.stringify(text)}: ${ours.error}`,
      ).toBe(true);
      counts.stricter++;
    }
  });
  // Each kind has come up, or the generator has lost its use.
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(50);
});
