import { describe, expect, test } from 'vitest';
import { type BatchForms, ReconstructionsAhead } from '../../src/cas/reconstructions-ahead.ts';
import { isXetError } from '../../src/core/errors.ts';
import { CasTokenSource } from '../../src/hub/token.ts';
import { inTurn, json, makeHttp, serve, status } from '../http/server.ts';
import { type Layout, toBatch, xorbHash } from '../support/cas-wire.ts';
import { rejectionOf } from '../support/property.ts';

/** Nobody aborts; each has its own, as files of a snapshot do. */
const going = () => new AbortController().signal;

/** A file of three chunks somewhere in one xorb, as each of many small files is. */
const small = (index: number): Layout => ({
  offset: 0,
  xorbs: [
    {
      hash: xorbHash(1),
      ranges: [
        { chunks: [3 * index, 3 * index + 3], bytes: [300 * index, 300 * index + 300], url: 'https://cdn.test/x' },
      ],
    },
  ],
  terms: [{ xorb: 0, chunks: [3 * index, 3 * index + 3], unpackedLength: 3000 }],
});

const hashes = Array.from({ length: 150 }, (_, index) => xorbHash(index + 1000));
const layouts = new Map(hashes.map((hash, index) => [hash, small(index)]));

const asked = (url = '') => new URL(url, 'http://cas').searchParams.getAll('file_id');

/** Answers for the files that are asked for. */
const answering: Parameters<typeof inTurn>[0] = (request, response) => {
  const files = new Map(asked(request.url).flatMap((hash) => [[hash, layouts.get(hash) as Layout] as const]));
  json(toBatch(files))(request, response);
};

async function aheadOf(
  handler: ReturnType<typeof inTurn>,
  wanted: readonly string[] = hashes,
  attempts = 3,
  forms?: BatchForms,
) {
  const casUrl = await serve(handler);
  const hub = await serve(json({ accessToken: 't', exp: Date.now() / 1000 + 3600, casUrl }));
  const http = makeHttp({ retry: { attempts, baseDelayMs: 1, maxDelayMs: 2 } });
  return new ReconstructionsAhead(http, new CasTokenSource(http, `${hub}/token`, async () => ({})), wanted, forms);
}

describe('ReconstructionsAhead', () => {
  test('asks for 64 files at once, as the first of them is wanted, and gives each its own once', async () => {
    const handler = inTurn(answering);
    const ahead = await aheadOf(handler);
    for (const [index, hash] of hashes.slice(0, 32).entries()) {
      const found = await ahead.take(hash, going());
      expect(found?.terms).toEqual([
        { xorb: xorbHash(1), chunks: { start: 3 * index, end: 3 * index + 3 }, unpackedLength: 3000 },
      ]);
      expect([...(found?.xorbs.values() ?? [])].flat().flatMap(({ ranges }) => ranges)).toHaveLength(1);
    }
    expect(handler.requests.map(({ url }) => asked(url))).toEqual([hashes.slice(0, 64)]);
    expect(handler.requests[0]?.headers.authorization).toBe('Bearer t');
    expect(await ahead.take(hashes[0] ?? '', going())).toBeUndefined();
    expect(await ahead.take(xorbHash(5), going())).toBeUndefined();
  });

  test('asks for the next ones while half of a group is left', async () => {
    const handler = inTurn(answering);
    const ahead = await aheadOf(handler);
    const found = await Promise.all(hashes.map((hash) => ahead.take(hash, going())));
    expect(found.every((one) => one?.terms.length === 1)).toBe(true);
    expect(handler.requests.map(({ url }) => asked(url).length).sort()).toEqual([22, 64, 64]);
    const lazy = inTurn(answering);
    const other = await aheadOf(lazy);
    await Promise.all(hashes.slice(0, 33).map((hash) => other.take(hash, going())));
    await expect.poll(() => lazy.requests.length).toBe(2);
  });

  test('the same content is asked for once, and one file alone not like this', async () => {
    const handler = inTurn(answering);
    const [hash = '', other = ''] = hashes;
    const ahead = await aheadOf(handler, [hash, hash, other]);
    expect(await ahead.take(hash, going())).toBeDefined();
    expect(handler.requests.map(({ url }) => asked(url))).toEqual([[hash, other]]);
    const alone = await aheadOf(handler, [hash]);
    expect(await alone.take(hash, going())).toBeUndefined();
    expect(handler.requests).toHaveLength(1);
  });

  test.each([400, 403, 404, 405, 414, 501])(
    'a CAS that answers %i to the question in either form is not asked so again',
    async (code) => {
      const handler = inTurn(status(code));
      const ahead = await aheadOf(handler);
      const found = [];
      for (const hash of hashes) found.push(await ahead.take(hash, going()));
      expect(found.filter(Boolean)).toEqual([]);
      expect(handler.requests.map(({ method }) => method)).toEqual(['GET', 'POST']);
    },
  );

  test.each([400, 403, 404, 405, 414, 501])(
    'a CAS that answers %i where the address names the files is asked with a body, from then on at once',
    async (code) => {
      const bodies: { prefix: string; hash: string }[][] = [];
      const handler = inTurn(async (request, response) => {
        if (request.method === 'GET') return status(code)(request, response);
        let text = '';
        for await (const piece of request) text += piece;
        const keys = JSON.parse(text) as { prefix: string; hash: string }[];
        bodies.push(keys);
        const files = new Map(keys.map(({ hash }) => [hash, layouts.get(hash) as Layout] as const));
        json(toBatch(files))(request, response);
      });
      const forms: BatchForms = new Map();
      const ahead = await aheadOf(handler, hashes, 3, forms);
      const found = [];
      for (const hash of hashes) found.push(await ahead.take(hash, going()));
      expect(found.every((one) => one?.terms.length === 1)).toBe(true);
      expect(handler.requests.map(({ method }) => method)).toEqual(['GET', 'POST', 'POST', 'POST']);
      expect(bodies.flat()).toEqual(hashes.map((hash) => ({ prefix: 'default', hash })));
      expect([...forms.values()]).toEqual(['POST']);
    },
  );

  test('where the CAS is only busy, the next group is asked for, and no attempt is spent on this one', async () => {
    const handler = inTurn(status(503), answering);
    const ahead = await aheadOf(handler);
    expect(await ahead.take(hashes[0] ?? '', going())).toBeUndefined();
    expect(handler.requests).toHaveLength(1);
    expect(await ahead.take(hashes[70] ?? '', going())).toMatchObject({ terms: [{ unpackedLength: 3000 }] });
  });

  test.each([{}, { files: [] }, { files: { nothing: [] } }, { files: {}, fetch_info: 3 }])(
    'an answer that is none, %j, is that of a CAS that does not offer it',
    async (body) => {
      const handler = inTurn(json(body));
      const ahead = await aheadOf(handler);
      expect(await ahead.take(hashes[0] ?? '', going())).toBeUndefined();
      expect(await ahead.take(hashes[70] ?? '', going())).toBeUndefined();
      expect(handler.requests).toHaveLength(2);
    },
  );

  test('a file that the CAS leaves out asks for itself', async () => {
    const handler = inTurn((request, response) => json(toBatch(new Map([...layouts].slice(1, 64))))(request, response));
    const ahead = await aheadOf(handler);
    expect(await ahead.take(hashes[0] ?? '', going())).toBeUndefined();
    expect(await ahead.take(hashes[1] ?? '', going())).toBeDefined();
  });

  test('an abort takes away who waits, and the end takes the question back', async () => {
    let dropped: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => {
      dropped = resolve;
    });
    const handler = inTurn((_, response) => response.on('close', dropped));
    const ahead = await aheadOf(handler);
    const controller = new AbortController();
    const [hash = '', other = ''] = hashes;
    const aborted = rejectionOf(ahead.take(hash, controller.signal));
    const waiting = ahead.take(other, going());
    await expect.poll(() => handler.requests.length).toBe(1);
    controller.abort(new Error('enough'));
    expect(await aborted).toMatchObject({ message: 'enough' });
    ahead.close();
    await gone;
    expect(isXetError(await waiting)).toBe(false);
    expect(await waiting).toBeUndefined();
  });
});
