import { writeFile } from 'node:fs/promises';
import { createServer as createHttps } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nodeRequest } from '../../../src/http/node/request.node.ts';
import { certificates } from '../../support/certificates.ts';
import { scratch } from '../../support/hub.ts';
import { holdsAsync, splitAt } from '../../support/property.ts';
import { randomBytes } from '../../support/samples.ts';
import { sameBytes } from '../../support/vectors.ts';
import { closed, portOf } from '../sockets.ts';

const BYTES = randomBytes(2_000_000, 23);

/** A server that writes what a test wants, to each request on a connection what comes next; `end` closes it. */
async function speaks(...answers: (readonly (Uint8Array | string | 'end')[])[]) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', async () => {
      for (const part of answers.shift() ?? []) {
        if (part === 'end') socket.end();
        else socket.write(part);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    });
    onTestFinished(() => void socket.destroy());
  });
  return { url: `http://127.0.0.1:${await portOf(server)}/`, sockets };
}

async function read(...asked: Parameters<typeof nodeRequest>): Promise<{ status: number; text: string }> {
  const { status, body } = await nodeRequest(...asked);
  const reader = body?.getReader();
  let text = '';
  for (let piece = await reader?.read(); piece?.value; piece = await reader?.read()) {
    text += Buffer.from(piece.value).toString('latin1');
  }
  return { status, text };
}

const OK = 'HTTP/1.1 200 OK\r\n';

test('an answer is the same however it comes', () =>
  holdsAsync(15, fc.array(fc.nat(), { maxLength: 6 }), async (cuts) => {
    const sent = Buffer.from(
      `${OK}x: y\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n10;a=b\r\n${'e'.repeat(16)}\r\n0\r\n\r\n`,
    );
    const { url } = await speaks(splitAt(sent, cuts).filter(({ length }) => length > 0));
    expect(await read(url)).toEqual({ status: 200, text: `abcd${'e'.repeat(16)}` });
  }));

test('what announces an answer is not it', async () => {
  const { url } = await speaks([
    'HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n',
    '\r\n',
    `${OK}content-length: 3\r\n\r\nall`,
  ]);
  expect(await read(url)).toEqual({ status: 200, text: 'all' });
});

test('an answer without a length is all that comes', async () => {
  const { url } = await speaks([`${OK}\r\nfirst, `, 'last', 'end']);
  expect(await read(url)).toEqual({ status: 200, text: 'first, last' });
});

describe('a connection is not used again', () => {
  test.each([
    ['that the server wants to close', ['Connection: close\r\ncontent-length: 3\r\n\r\nall']],
    ['on which more came than was asked for', ['content-length: 3\r\n\r\nallHTTP/1.1 200 OK\r\n']],
    ['on which something comes unasked', ['content-length: 3\r\n\r\nall', 'HTTP/1.1 408 Request Timeout\r\n\r\n']],
  ])('%s', async (_, [first = '', unasked]) => {
    const { url, sockets } = await speaks(
      [OK + first, ...(unasked ? [unasked] : [])],
      [`${OK}content-length: 5\r\n\r\nagain`],
    );
    expect((await read(url)).text).toBe('all');
    await closed(sockets);
    expect((await read(url)).text).toBe('again');
    expect(sockets).toHaveLength(2);
  });
});

describe('an error that says so is', () => {
  test.each<[string, string[], string]>([
    ['what is no HTTP', ['SSH-2.0-OpenSSH_9.6\r\n\r\n'], 'invalid status line "SSH'],
    ['a head that does not end', ['HTTP/1.1 200 OK\r\n', 'x: y\r\n'.repeat(15_000)], 'head is too long'],
    ['another protocol', ['HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'], 'switched protocols'],
    ['a chunk without a length', [`${OK}transfer-encoding: chunked\r\n\r\n`, 'what\r\n'], 'invalid chunk length'],
    ['an end before the head', ['HTTP/1.1 200', 'end'], 'closed the connection'],
    ['an end in the body', [`${OK}content-length: 100\r\n\r\nbegun`, 'end'], 'closed the connection'],
    ['an end in a chunk', [`${OK}transfer-encoding: chunked\r\n\r\n5\r\nbe`, 'end'], 'closed the connection'],
    ['nothing', ['end'], 'closed the connection'],
  ])('%s', async (_, parts, message) => {
    const { url, sockets } = await speaks(parts);
    await expect(read(url)).rejects.toMatchObject({
      message: 'fetch failed',
      cause: { message: expect.stringContaining(message) },
    });
    await closed(sockets);
  });
});

test('over TLS the same is sent, and the second connection needs less to begin', async () => {
  const { authority, server: certified } = certificates('localhost');
  const seen: unknown[] = [];
  const server = createHttps({ cert: certified.certificate, key: certified.key }, (_, response) => response.end(BYTES));
  server.on('secureConnection', (socket) =>
    seen.push([socket.servername, socket.alpnProtocol, socket.isSessionReused()]),
  );
  const url = `https://localhost:${await portOf(server)}/`;
  onTestFinished(() => server.closeAllConnections());
  const ca = join(await scratch(), 'ca.pem');
  await writeFile(ca, authority.certificate);
  for (let time = 0; time < 3; time++) {
    const { text } = await read(url, {}, () => ({ certificates: [ca] }));
    expect(sameBytes(Buffer.from(text, 'latin1'), BYTES)).toBe(true);
    if (time === 1) server.closeAllConnections();
  }
  expect(seen).toEqual([
    ['localhost', 'http/1.1', false],
    ['localhost', 'http/1.1', true],
  ]);
});
