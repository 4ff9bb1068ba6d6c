import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeadCollector, parseResponseHead } from '../../../src/http/node/response-head.ts';

const head = (...lines: string[]) => parseResponseHead(lines.join('\r\n'), 'GET');
const OK = 'HTTP/1.1 200 OK';

test('names are in small letters, and what comes twice is joined', () => {
  const { status, headers } = head(
    'HTTP/1.1 206 Partial Content',
    'ETag:  "a:b" ',
    'Link: <1>',
    'X-Empty:',
    'link: <2>',
  );
  expect(status).toBe(206);
  expect([...headers]).toEqual([
    ['etag', '"a:b"'],
    ['link', '<1>, <2>'],
    ['x-empty', ''],
  ]);
});

describe('the length of a body', () => {
  test.each<[string[], unknown]>([
    [['Content-Length: 17'], { kind: 'length', bytes: 17 }],
    [['Transfer-Encoding: Chunked'], { kind: 'chunked' }],
    [[], { kind: 'rest' }],
  ])('%j', (lines, framing) => expect(head(OK, ...lines).framing).toEqual(framing));

  test.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
    ['GET', 103],
  ])('is nothing for %s and %i', (method, status) => {
    const text = `HTTP/1.1 ${status} \r\nContent-Length: 17`;
    expect(parseResponseHead(text, method).framing).toEqual({ kind: 'length', bytes: 0 });
  });
});

describe('a connection may be used again', () => {
  test.each<[string[], number]>([
    [[OK, 'content-length: 1'], 4000],
    [[OK, 'transfer-encoding: chunked'], 4000],
    [[OK, 'content-length: 1', 'Keep-Alive: timeout=3, max=100'], 2000],
    [[OK, 'content-length: 1', 'Keep-Alive: timeout=60'], 4000],
    [[OK, 'content-length: 1', 'Keep-Alive: timeout=1'], 0],
    [[OK, 'content-length: 1', 'Connection: Close'], 0],
    [[OK], 0],
    [['HTTP/1.0 200 OK', 'content-length: 1'], 0],
  ])('after %j for %i ms', (lines, idleMs) => expect(head(...lines).idleMs).toBe(idleMs));
});

describe('refused is', () => {
  test.each([
    ['another protocol', ['HTTP/2 200']],
    ['what is no HTTP', ['SSH-2.0-OpenSSH_9.6']],
    ['a status of no kind', ['HTTP/1.1 99 Odd']],
    ['a line without a name', [OK, 'what is this']],
    ['a name with a space', [OK, 'content-length : 5']],
    ['a bare end of line in a value', [OK, 'x: 1\nContent-Length: 5']],
    ['a length that is none', [OK, 'content-length: -1']],
    ['two lengths', [OK, 'content-length: 5', 'content-length: 6']],
    ['a length beside chunks', [OK, 'content-length: 5', 'transfer-encoding: chunked']],
    ['a coding that was not asked for', [OK, 'transfer-encoding: gzip, chunked']],
  ])('%s', (_, lines) => expect(() => head(...lines)).toThrow(TypeError));
});

describe('a head is found', () => {
  const bytesOf = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

  test('however it is cut, and whatever comes behind it', () => {
    const letters = fc.string({ unit: fc.constantFrom('\r', '\n', 'a', '\xe9'), maxLength: 30 });
    fc.assert(
      fc.property(letters, letters, fc.array(fc.nat(70), { maxLength: 5 }), (before, after, cuts) => {
        const all = `${before}\r\n\r\n${after}`;
        const end = all.indexOf('\r\n\r\n');
        const borders = [0, ...cuts.filter((cut) => cut < all.length).sort((a, b) => a - b), all.length];
        const head = new HeadCollector();
        for (const [index, start] of borders.slice(0, -1).entries()) {
          const rest = head.add(bytesOf(all.slice(start, borders[index + 1])));
          if (rest === undefined) continue;
          expect(start + rest).toBe(end + 4);
          expect(head.text).toBe(all.slice(0, end));
          return;
        }
        expect.unreachable('it has an end');
      }),
      { seed: 20 },
    );
  });

  test('unless it does not end', () => {
    const head = new HeadCollector();
    expect(head.add(bytesOf('HTTP/1.1 200 OK'))).toBeUndefined();
    expect(() => head.add(new Uint8Array(65536).fill(97))).toThrow(TypeError);
  });
});
