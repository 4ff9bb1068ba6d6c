import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BodyCutter } from '../../../src/http/node/response-body.ts';
import type { Framing } from '../../../src/http/node/response-head.ts';
import { holds, splitAt } from '../../support/property.ts';
import { randomBytes } from '../../support/samples.ts';
import { concat, sameBytes } from '../../support/vectors.ts';

const BYTES = randomBytes(20_000, 17);
const CHUNKED: Framing = { kind: 'chunked' };
const text = (written: string) => Buffer.from(written, 'latin1');

/** Cuts what comes in pieces; what is behind the end stays. */
function cutAll(framing: Framing, pieces: readonly Uint8Array[]) {
  const cutter = new BodyCutter(framing);
  const content: Uint8Array[] = [];
  const behind: Uint8Array[] = [];
  for (const piece of pieces) behind.push(piece.subarray(cutter.cut(piece, (part) => content.push(part))));
  return { done: cutter.done, content: concat(content), behind: concat(behind) };
}

/** A body in chunks of some lengths, as a server may write it. */
function chunked(bytes: Uint8Array, lengths: readonly number[], trailer: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const length of [...lengths.filter((one) => one > 0), bytes.length]) {
    const chunk = bytes.subarray(at, at + length);
    if (chunk.length === 0) break;
    parts.push(text(`${chunk.length.toString(16)};name="value"\r\n`), chunk, text('\r\n'));
    at += chunk.length;
  }
  return concat([...parts, text(`0\r\n${trailer}\r\n`)]);
}

const cuts = fc.array(fc.nat(), { maxLength: 40 });

describe('a body', () => {
  test('of known length ends there, however it comes', () =>
    holds(200, fc.tuple(fc.integer({ min: 0, max: BYTES.length }), cuts), ([bytes, positions]) => {
      const { done, content, behind } = cutAll({ kind: 'length', bytes }, splitAt(BYTES, positions));
      expect(done).toBe(true);
      expect(sameBytes(content, BYTES.subarray(0, bytes)) && sameBytes(behind, BYTES.subarray(bytes))).toBe(true);
    }));

  test('in chunks is what they hold, however it comes', () =>
    holds(
      200,
      fc.tuple(fc.array(fc.integer({ min: 0, max: 5000 })), fc.constantFrom('', 'x: y\r\n', 'a: b\r\nc: d\r\n'), cuts),
      ([lengths, trailer, positions]) => {
        const after = text('HTTP/1.1 200 OK');
        const sent = concat([chunked(BYTES, lengths, trailer), after]);
        const { done, content, behind } = cutAll(CHUNKED, splitAt(sent, positions));
        expect(done).toBe(true);
        expect(sameBytes(content, BYTES) && sameBytes(behind, after)).toBe(true);
      },
    ));

  test('in chunks that ends early is not done', () => {
    const sent = chunked(BYTES, [100, 7000], 'x: y\r\n');
    for (let length = 0; length < sent.length; length += 97) {
      expect(cutAll(CHUNKED, [sent.subarray(0, length)]).done).toBe(false);
    }
  });

  test('without a length never ends by itself', () => {
    const { done, content } = cutAll({ kind: 'rest' }, [BYTES, BYTES]);
    expect([done, content.length]).toEqual([false, 2 * BYTES.length]);
    expect(new BodyCutter({ kind: 'rest' }).endsWithConnection).toBe(true);
  });

  test('says how much is certain to come', () => {
    const known = new BodyCutter({ kind: 'length', bytes: 10 });
    known.cut(BYTES.subarray(0, 4), () => undefined);
    const inChunks = new BodyCutter(CHUNKED);
    inChunks.cut(text('1f\r\nabc'), () => undefined);
    expect([known.expectedBytes, inChunks.expectedBytes]).toEqual([6, 28]);
  });
});

describe('refused is', () => {
  test.each([
    ['a chunk without a length', '\r\nabc'],
    ['a length that is none', '0x5\r\nabcde\r\n'],
    ['a length beyond all', 'fffffffffffff\r\n'],
    ['a chunk longer than it says', '3\r\nabcd\r\n'],
    ['a bare end of line', '3\nabc\r\n'],
    ['a length that does not end', `5;${'x'.repeat(20_000)}`],
    ['a trailer that does not end', `0\r\n${'x: y\r\n'.repeat(5000)}`],
  ])('%s', (_, sent) => expect(() => cutAll(CHUNKED, [text(sent)])).toThrow(TypeError));
});
