import { describe, expect, test } from 'vitest';
import { XetClient } from '../../src/client/xet-client.ts';
import { type FetchClient, TokenClients } from '../../src/fetch/token-clients.ts';
import { clientOptions, countingFetch, fetchFor, hubFor, seen } from '../support/fetch.ts';
import { randomBytes } from '../support/samples.ts';

const content = randomBytes(300_000, 1);
const TOKENS = { hf_mine: { name: 'me' }, hf_yours: { name: 'you' } };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function hubWithPrivate() {
  const hub = await hubFor({ tokens: { ...TOKENS, hf_writer: { name: 'writer', write: true } } });
  await hub.commitFiles('owner/private', { 'model.bin': content });
  await hub.setRepo('owner/private', { private: true });
  return { hub, url: `${hub.url}/owner/private/resolve/main/model.bin` };
}

describe('a token that a request carries', () => {
  test("a request's token opens private files, and is sent only to the Hub", async () => {
    const { hub, url } = await hubWithPrivate();
    const original = countingFetch();
    const xetFetch = fetchFor(hub, { fetch: original });
    const response = await xetFetch(url, { headers: bearer('hf_mine') });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(content);
    expect((await xetFetch(url)).status).toBe(401);
    expect((await xetFetch(url, { headers: bearer('hf_wrong') })).status).toBe(401);
    // The file and the token of the CAS are asked for at the Hub; signed addresses and the CAS never see it.
    const carriers = new Set<string | undefined>();
    for (const [input, init] of original.calls) {
      const sent = new Headers(init?.headers).get('authorization') ?? '';
      if (sent.includes('hf_')) carriers.add(new URL(String(input)).pathname.split('/')[1]);
    }
    expect([...carriers].sort()).toEqual(['api', 'owner']);
    expect(seen(hub, 'xorb').every(({ authorized }) => !authorized)).toBe(true);
  });

  test("a request's token overrides the client's for that request only", async () => {
    const { hub, url } = await hubWithPrivate();
    const xetFetch = fetchFor(hub, { client: { ...clientOptions(hub), accessToken: 'hf_mine' } });
    const status = async (headers: HeadersInit) => {
      const response = await xetFetch(url, { headers });
      await response.body?.cancel();
      return response.status;
    };
    expect(await status(bearer('hf_wrong'))).toBe(401);
    expect(await status({})).toBe(200);
    expect(await status(bearer('hf_yours'))).toBe(200);
  });

  test('files opened with a token are not served to requests without it', async () => {
    const { hub, url } = await hubWithPrivate();
    const xetFetch = fetchFor(hub);
    const range = { range: 'bytes=0-9' };
    expect((await xetFetch(url, { headers: { ...range, ...bearer('hf_mine') } })).status).toBe(206);
    expect((await xetFetch(url, { headers: range })).status).toBe(401);
    expect((await xetFetch(url, { headers: { ...range, ...bearer('hf_wrong') } })).status).toBe(401);
  });

  test('a request with a token is passed on if the client was passed in', async () => {
    const { hub, url } = await hubWithPrivate();
    const client = new XetClient(clientOptions(hub));
    const original = countingFetch();
    const xetFetch = fetchFor(hub, { client, fetch: original });
    const init = { headers: bearer('hf_mine') };
    expect(xetFetch.handles(url, init)).toBe(false);
    const response = await xetFetch(url, init);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(content);
    expect(original.calls).toEqual([[url, init]]);
    // It is not ours to end either.
    await xetFetch.close();
    await expect(client.fileInfo({ repo: 'owner/private', path: 'model.bin' })).rejects.toMatchObject({ status: 401 });
    await client.close();
  });
});

describe('TokenClients', () => {
  function made() {
    const closed: string[] = [];
    const clientOf = (name: string): FetchClient => ({
      endpoint: 'https://hub.example',
      open: () => Promise.reject(new Error(name)),
      close: async () => void closed.push(name),
    });
    const names: string[] = [];
    const make = (token: string) => {
      names.push(token);
      return clientOf(token);
    };
    return { clients: new TokenClients(clientOf('own'), { closesOwn: true, make }), closed, names };
  }

  test('the most recently used clients are kept, up to a limit', () => {
    const { clients, closed, names } = made();
    const use = (token: string) => clients.lease(token)?.release();
    for (const token of ['a', 'b', 'c', 'd', 'a', 'e']) use(token);
    expect(names).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(closed).toEqual(['b']);
    use('a');
    use('b');
    expect(names).toEqual(['a', 'b', 'c', 'd', 'e', 'b']);
    expect(closed).toEqual(['b', 'c']);
  });

  test('a leased client is not closed before its release', async () => {
    const { clients, closed } = made();
    const [first, second] = [clients.lease('a'), clients.lease('a')];
    for (const token of ['b', 'c', 'd', 'e']) clients.lease(token)?.release();
    expect(closed).toEqual([]);
    first?.release();
    first?.release();
    expect(closed).toEqual([]);
    second?.release();
    expect(closed).toEqual(['a']);
    await clients.close();
    expect(closed.sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'own']);
  });
});
