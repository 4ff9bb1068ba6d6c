import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { makeNodeFetch } from '../../src/http/network-fetch.node.ts';
import { nodeRequest } from '../../src/http/node/request.node.ts';
import type { Pieces } from '../../src/http/types.ts';
import { sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { inTurn, json, makeHttp, serve, status } from './server.ts';

const content = randomBytes(3_000_000, 4);
const pieces: Pieces = [
  content.subarray(0, 1),
  new Uint8Array(),
  content.subarray(1, 2_000_000),
  content.subarray(2e6),
];
/** A body of pieces in the place of one that `fetch` knows. */
const asBody = (body: Pieces) => body as unknown as BodyInit;

/** Answers with how long the body was said to be, and with what came. */
async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  json({ announced: Number(request.headers['content-length']), hash: sha256(body) })(request, response);
}

const whole = { announced: content.length, hash: sha256(content) };

describe('a body in pieces', () => {
  test('is sent as one by what can, for each attempt and over redirects', async () => {
    const moved = status(307, { location: '/there' });
    const url = await serve(inTurn(moved, (request, response) => void echo(request, response)));
    const given: unknown[] = [];
    const http = makeHttp({
      takesPieces: true,
      fetch: (input, init) => {
        given.push(init?.body);
        return nodeRequest(input, init);
      },
    });
    const { body } = await http.json({ kind: 'cas', url, method: 'POST', body: pieces });
    expect(body).toEqual(whole);
    // No copy was made of it.
    expect(given).toEqual([pieces]);
    expect(given[0]).toBe(pieces);
  });

  test('is put together for a fetch of somebody else', async () => {
    const url = await serve(inTurn(status(503), (request, response) => void echo(request, response)));
    const { body } = await makeHttp().json({ kind: 'cas', url, method: 'POST', body: pieces });
    expect(body).toEqual(whole);
  });

  test('is put together where the platform has another fetch than its own', async () => {
    const url = await serve((request, response) => void echo(request, response));
    const own = globalThis.fetch;
    const given: unknown[] = [];
    globalThis.fetch = (input, init) => {
      given.push(init?.body);
      return own(input, init);
    };
    try {
      const answer = await makeNodeFetch({})(url, { method: 'POST', body: asBody(pieces) });
      expect(await (answer as Response).json()).toEqual(whole);
      expect(given).toEqual([expect.any(Uint8Array)]);
    } finally {
      globalThis.fetch = own;
    }
  });

  test('of none is an empty one', async () => {
    const url = await serve((request, response) => void echo(request, response));
    const answer = await makeNodeFetch({})(url, { method: 'POST', body: asBody([]) });
    const { value } = (await answer.body?.getReader().read()) ?? {};
    expect(JSON.parse(Buffer.from(value ?? []).toString())).toEqual({ announced: 0, hash: sha256(new Uint8Array()) });
  });
});
