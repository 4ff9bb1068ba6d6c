import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ByteRange } from '../../src/core/ranges.ts';
import { multipartBoundary, readMultipart } from '../../src/http/multipart.ts';
import { holdsAsync, rejectionOf, splitAt } from '../support/property.ts';
import { concat, sameBytes, splitMix64 } from '../support/vectors.ts';

const BOUNDARY = '3d6b6a416f9b5';
const resource = splitMix64(7, 4000);
const ascii = (text: string) => new TextEncoder().encode(text);

interface BodyOptions {
  preamble?: string;
  epilogue?: string;
  header?: (range: ByteRange) => string;
}

function bodyOf(parts: ByteRange[], { preamble = '', epilogue = '', header }: BodyOptions = {}): Uint8Array {
  const head = header ?? (({ start, end }) => `Content-Range: bytes ${start}-${end - 1}/${resource.length}\r\n`);
  return concat([
    ascii(preamble),
    ...parts.flatMap((range) => [
      ascii(`\r\n--${BOUNDARY}\r\nContent-Type: application/octet-stream\r\n${head(range)}\r\n`),
      resource.subarray(range.start, range.end),
    ]),
    ascii(`\r\n--${BOUNDARY}--\r\n${epilogue}`),
  ]);
}

async function* stream(pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

/** What was read, put where it says that it belongs; all other bytes stay zero. */
async function read(body: Uint8Array[], asked: ByteRange[]): Promise<Uint8Array> {
  const got = new Uint8Array(resource.length);
  for await (const { start, bytes } of readMultipart(stream(body), BOUNDARY, asked)) got.set(bytes, start);
  return got;
}

function only(ranges: ByteRange[]): Uint8Array {
  const bytes = new Uint8Array(resource.length);
  for (const { start, end } of ranges) bytes.set(resource.subarray(start, end), start);
  return bytes;
}

/** Ranges that do not overlap, in ascending order. */
const ranges: fc.Arbitrary<ByteRange[]> = fc
  .uniqueArray(fc.nat(resource.length), { minLength: 2, maxLength: 12 })
  .map((cuts) => cuts.sort((a, b) => a - b))
  .map((cuts) =>
    Array.from({ length: Math.floor(cuts.length / 2) }, (_, index) => ({
      start: cuts[index * 2] ?? 0,
      end: cuts[index * 2 + 1] ?? 0,
    })),
  );
const positions = fc.array(fc.nat(10_000), { maxLength: 30 });

const two = [
  { start: 10, end: 60 },
  { start: 100, end: 130 },
];

describe('readMultipart', () => {
  test('any split of a correct body gives the parts', async () => {
    await holdsAsync(300, fc.tuple(ranges, positions), async ([asked, cuts]) => {
      expect(sameBytes(await read(splitAt(bodyOf(asked), cuts), asked), only(asked))).toBe(true);
    });
  });

  test('a body that comes byte by byte gives the parts', async () => {
    const body = bodyOf(two);
    const bytes = Array.from(body, (_, at) => body.subarray(at, at + 1));
    expect(sameBytes(await read(bytes, two), only(two))).toBe(true);
  });

  test('parts may come in another order', async () => {
    const turned = fc.tuple(ranges, positions).map(([asked, cuts]) => ({ asked, cuts, given: [...asked].reverse() }));
    await holdsAsync(100, turned, async ({ asked, cuts, given }) => {
      expect(sameBytes(await read(splitAt(bodyOf(given), cuts), asked), only(asked))).toBe(true);
    });
  });

  test('data that looks like a delimiter is data', async () => {
    const trap = ascii(`\r\n--${BOUNDARY}--\r\n`);
    const asked = [{ start: 0, end: trap.length }];
    const body = concat([
      ascii(`--${BOUNDARY}\r\nContent-Range: bytes 0-${trap.length - 1}/*\r\n\r\n`),
      trap,
      ascii(`\r\n--${BOUNDARY}--`),
    ]);
    const got: Uint8Array[] = [];
    for await (const { bytes } of readMultipart(stream([body]), BOUNDARY, asked)) got.push(bytes);
    expect(sameBytes(concat(got), trap)).toBe(true);
  });

  test('blank lines before the first delimiter and anything after the last are passed over', async () => {
    const body = bodyOf(two, { preamble: '\r\n\r\n', epilogue: `--${BOUNDARY}\r\nand more` });
    expect(sameBytes(await read([body], two), only(two))).toBe(true);
  });

  test('header names are read in any case and any order', async () => {
    const header = ({ start, end }: ByteRange) =>
      `X-Other: 1\r\ncontent-RANGE:bytes ${start}-${end - 1}/*\r\nX-Last: 2\r\n`;
    expect(sameBytes(await read([bodyOf(two, { header })], two), only(two))).toBe(true);
  });

  test.each([
    ['a part that is missing', bodyOf(two.slice(0, 1))],
    ['no part at all', bodyOf([])],
    ['an empty body', new Uint8Array()],
    ['a part that was not asked for', bodyOf([...two, { start: 200, end: 210 }])],
    ['a part twice', bodyOf([...two, ...two.slice(0, 1)])],
    ['a part that is shorter than asked', bodyOf([two[0]!, { start: 100, end: 129 }])],
    ['one part in place of two', bodyOf([{ start: 10, end: 130 }])],
    ['a part without a range', bodyOf(two, { header: () => '' })],
    ['a part with an inverted range', bodyOf(two, { header: () => 'Content-Range: bytes 60-10/4000\r\n' })],
    ['a header without end', ascii(`--${BOUNDARY}\r\n${'x-filler: 1\r\n'.repeat(2000)}`)],
    ['no delimiter in a long body', new Uint8Array(20_000).fill(32)],
    ['words before the first delimiter', bodyOf(two, { preamble: 'An error occurred' })],
  ])('%s is PROTOCOL', async (_, body) => {
    for (const cuts of [[], [1], [30, 60, 90], Array.from({ length: 200 }, (_, at) => at)]) {
      expect(await rejectionOf(read(splitAt(body, cuts), two))).toMatchObject({ code: 'PROTOCOL', retryable: true });
    }
  });

  test('a body cut anywhere before the end of its last part is PROTOCOL', async () => {
    const body = bodyOf(two);
    const closing = ascii(`\r\n--${BOUNDARY}--\r\n`).length;
    await holdsAsync(200, fc.tuple(fc.nat(body.length - closing - 1), positions), async ([length, cuts]) => {
      expect(await rejectionOf(read(splitAt(body.subarray(0, length), cuts), two))).toMatchObject({ code: 'PROTOCOL' });
    });
  });

  test('arbitrary bytes throw nothing but XetError', async () => {
    const noise = fc.array(
      fc.oneof(fc.constantFrom('--', BOUNDARY, '\r\n', '\r\n\r\n', 'Content-Range: bytes 10-59/99'), fc.string()),
      {
        maxLength: 20,
      },
    );
    await holdsAsync(300, fc.tuple(noise, positions), async ([words, cuts]) => {
      const error = await rejectionOf(read(splitAt(ascii(words.join('')), cuts), two));
      expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
    });
  });

  test('an error of the connection comes through', async () => {
    const reason = new Error('reset');
    async function* breaking() {
      yield bodyOf(two).subarray(0, 90);
      throw reason;
    }
    const parts = readMultipart(breaking(), BOUNDARY, two);
    const readAll = async () => {
      for await (const { bytes } of parts) expect(bytes.length).toBeGreaterThan(0);
    };
    expect(await rejectionOf(readAll())).toBe(reason);
  });
});

describe('multipartBoundary', () => {
  test.each([
    ['multipart/byteranges; boundary=abc', 'abc'],
    ['multipart/byteranges;boundary="a b;c"', 'a b;c'],
    ['Multipart/Byteranges ; charset=x; Boundary = abc ; other=1', 'abc'],
    ['multipart/byteranges; boundary=3d6b:6a/4=1', '3d6b:6a/4=1'],
    ['multipart/byteranges', undefined],
    ['multipart/byteranges; boundary=', undefined],
    ['multipart/form-data; boundary=abc', undefined],
    ['application/octet-stream', undefined],
    [null, undefined],
  ])('of %j is %j', (type, expected) => expect(multipartBoundary(type)).toBe(expected));
});
