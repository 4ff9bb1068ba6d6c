import { beforeAll, describe, expect, test } from 'vitest';
import { createXetFetch } from '../../src/entries/fetch.ts';
import type { XetFetch } from '../../src/fetch/xet-fetch.ts';
import { type LocalHub, startLocalHub } from '../../src/local-hub/start.ts';
import { clientOptions } from '../support/fetch.ts';
import { randomBytes, text, weights } from '../support/samples.ts';

/** Headers that callers use. The date, connection and request id are specific to the server. */
const HEADERS = [
  'accept-ranges',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'x-error-code',
  'x-error-message',
  'x-linked-etag',
  'x-linked-size',
  'x-repo-commit',
  'x-xet-hash',
];
const GOOD = 'hf_good';
const STRANGER = 'hf_stranger';

let hub: LocalHub;
let xetFetch: XetFetch;
const files = {
  'model.safetensors': weights(3, 1),
  'random.bin': randomBytes(700_000, 2),
  'picture.png': randomBytes(300_000, 3),
  'config.json': text(2000, 4),
  'page.html': new TextEncoder().encode('<script>alert(1)</script>'),
  'one.bin': new Uint8Array([7, 0, 255]),
  empty: new Uint8Array(),
  'odd name #1 ü%.bin': randomBytes(200_000, 5),
  'deep/er/notes.txt': text(500, 6),
};

beforeAll(async () => {
  hub = await startLocalHub({ tokens: { [GOOD]: { name: 'friend', write: true }, [STRANGER]: { name: 'stranger' } } });
  await hub.commitFiles('owner/model', files);
  await hub.commitFiles('datasets/owner/data', { 'part.parquet': randomBytes(400_000, 7) });
  await hub.commitFiles('owner/private', { 'model.bin': randomBytes(300_000, 8), 'config.json': text(300, 9) });
  await hub.setRepo('owner/private', { private: true });
  await hub.commitFiles('owner/gated', { 'model.bin': randomBytes(300_000, 10) });
  await hub.setRepo('owner/gated', { gated: 'auto', allowed: ['friend'] });
  await hub.commitFiles('owner/disabled', { 'model.bin': randomBytes(300_000, 11) });
  await hub.setRepo('owner/disabled', { disabled: true });
  xetFetch = createXetFetch({ client: clientOptions(hub) });
  return async () => {
    await xetFetch.close();
    await hub.close();
  };
});

async function shown(response: Response) {
  const headers = Object.fromEntries(HEADERS.map((name) => [name, response.headers.get(name)]));
  // The local Hub gives the file's type to the words of a 416, and no file a type of its own.
  if (response.status === 416) delete headers['content-type'];
  if (response.url.includes('picture.png')) delete headers['content-type'];
  // It leaves this out of the answer that has no byte to range over.
  if (headers['content-range'] === 'bytes */0') delete headers['accept-ranges'];
  const body = Buffer.from(await response.arrayBuffer()).toString('base64');
  return { status: response.status, statusText: response.statusText, ok: response.ok, headers, body };
}

/** Our response and the Hub's. */
async function both(path: string, init: RequestInit = {}) {
  const url = `${hub.url}/${path}`;
  expect(xetFetch.handles(url, init)).toBe(true);
  const [ours, plain] = await Promise.all([xetFetch(url, init), fetch(url, init)]);
  expect(ours.url).toBe(url);
  expect(ours.redirected).toBe(false);
  return { ours: await shown(ours), plain: await shown(plain) };
}

const resolve = (path: string) => `owner/model/resolve/main/${path.split('/').map(encodeURIComponent).join('/')}`;

describe.each(['GET', 'HEAD'])('a %s response equals that of the Hub', (method) => {
  describe.each(Object.keys(files))('%s', (name) => {
    test.each([
      undefined,
      'bytes=0-0',
      'bytes=0-',
      'bytes=1-2',
      'bytes=100-299999',
      'bytes=100000-',
      'bytes=-1',
      'bytes=-500',
      'bytes=-99999999',
      'bytes=0-99999999',
      'bytes=99999999-',
      'bytes=-0',
      'bytes=5-4',
      'bytes=0-1,5-6',
      'bytes=x',
      'items=0-1',
    ])('for Range: %s', async (range) => {
      const headers: HeadersInit = range === undefined ? {} : { range };
      const { ours, plain } = await both(resolve(name), { method, headers });
      expect(ours).toEqual(plain);
      if (method === 'HEAD') expect(ours.body).toBe('');
    });
  });

  describe('errors equal those of the Hub', () => {
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
    test.each([
      ['a missing file', 'owner/model/resolve/main/missing.bin', {}],
      ['a folder', 'owner/model/resolve/main/deep', {}],
      ['a missing revision', 'owner/model/resolve/nope/config.json', {}],
      ['a missing repository', 'owner/nothing/resolve/main/config.json', {}],
      ['a missing repository, with a token', 'owner/nothing/resolve/main/config.json', bearer(GOOD)],
      ['a private repository', 'owner/private/resolve/main/model.bin', {}],
      ['a private repository, with a token', 'owner/private/resolve/main/model.bin', bearer(GOOD)],
      ['a small file of a private one, with a token', 'owner/private/resolve/main/config.json', bearer(GOOD)],
      ['a public one with a wrong token', 'owner/model/resolve/main/model.safetensors', bearer('hf_wrong')],
      ['a gated repository', 'owner/gated/resolve/main/model.bin', {}],
      ['a gated repository, not granted', 'owner/gated/resolve/main/model.bin', bearer(STRANGER)],
      ['a gated repository, granted', 'owner/gated/resolve/main/model.bin', bearer(GOOD)],
      ['a disabled repository', 'owner/disabled/resolve/main/model.bin', {}],
      ['a dataset', 'datasets/owner/data/resolve/main/part.parquet', {}],
      ['a model where there is a dataset', 'owner/data/resolve/main/part.parquet', {}],
      ['another spelling', 'Owner/Model/resolve/main/model.safetensors', {}],
      ['a file to be saved', `${resolve('model.safetensors')}?download=true`, {}],
    ])('for %s', async (_, path, headers) => {
      const { ours, plain } = await both(path, { method, headers });
      expect(ours).toEqual(plain);
    });
  });
});

test('a file at a commit is served', async () => {
  const { commit } = await hub.commitFiles('owner/model', { 'config.json': text(2000, 40) });
  const { ours, plain } = await both(`owner/model/resolve/${commit}/config.json`);
  expect(ours).toEqual(plain);
  expect(ours.headers['x-repo-commit']).toBe(commit);
});

test('a file at a branch with a slash in its name is served, percent-encoded or not', async () => {
  const api = `${hub.url}/api/models/owner/model/branch/feature%2Fone`;
  const made = await fetch(api, { method: 'POST', headers: { authorization: `Bearer ${GOOD}` }, body: '{}' });
  expect(made.ok).toBe(true);
  for (const revision of ['feature%2Fone', 'feature/one']) {
    const { ours, plain } = await both(`owner/model/resolve/${revision}/deep/er/notes.txt`);
    expect(ours).toEqual(plain);
    expect(ours.status).toBe(200);
  }
});

test('Content-Disposition states the file name and how to show it', async () => {
  const said = async (path: string) =>
    (await xetFetch(`${hub.url}/${path}`, { method: 'HEAD' })).headers.get('content-disposition');
  expect(await said(resolve('odd name #1 ü%.bin'))).toBe(
    `inline; filename*=UTF-8''odd%20name%20%231%20%C3%BC%25.bin; filename="odd name #1 _%.bin";`,
  );
  expect(await said(`${resolve('deep/er/notes.txt')}?download=true`)).toBe(
    `attachment; filename*=UTF-8''notes.txt; filename="notes.txt";`,
  );
});

describe('conditional requests', () => {
  const path = resolve('random.bin');
  const ask = (headers: HeadersInit, method = 'GET') => xetFetch(`${hub.url}/${path}`, { headers, method });
  const tagsOf = async () => {
    const { headers } = await ask({}, 'HEAD');
    return { etag: headers.get('etag') ?? '', linked: headers.get('x-linked-etag') ?? '' };
  };

  test('If-None-Match with the tag of the CDN or of the Hub gives 304 without a body', async () => {
    const { etag, linked } = await tagsOf();
    expect(linked).not.toBe(etag);
    for (const tag of [etag, linked, `W/${etag}`, `"other", ${etag}`, '*']) {
      for (const method of ['GET', 'HEAD']) {
        const response = await ask({ 'if-none-match': tag, range: 'bytes=0-9' }, method);
        expect([response.status, response.headers.get('etag')]).toEqual([304, etag]);
        expect(await response.text()).toBe('');
      }
    }
    expect((await ask({ 'if-none-match': '"other"' })).status).toBe(200);
  });

  test('If-None-Match works for a small file', async () => {
    const url = `${hub.url}/${resolve('deep/er/notes.txt')}`;
    const etag = (await xetFetch(url)).headers.get('etag') ?? '';
    expect((await xetFetch(url, { headers: { 'if-none-match': etag } })).status).toBe(304);
    await hub.commitFiles('owner/model', { 'deep/er/notes.txt': text(500, 60) });
    const changed = await xetFetch(url, { headers: { 'if-none-match': etag } });
    expect(changed.status).toBe(200);
    expect(new Uint8Array(await changed.arrayBuffer())).toEqual(text(500, 60));
  });

  test('If-Match gives 412 for another version', async () => {
    const { etag } = await tagsOf();
    expect((await ask({ 'if-match': etag })).status).toBe(200);
    expect((await ask({ 'if-match': '"other"' })).status).toBe(412);
  });

  test('If-Range gives the range for the current version, and else the whole file', async () => {
    const { etag, linked } = await tagsOf();
    const range = 'bytes=10-19';
    for (const tag of [etag, linked]) expect((await ask({ range, 'if-range': tag })).status).toBe(206);
    for (const tag of ['"other"', `W/${etag}`, 'Sat, 29 Oct 1994 19:43:31 GMT']) {
      const response = await ask({ range, 'if-range': tag });
      expect([response.status, response.headers.get('content-length')]).toEqual([200, '700000']);
      await response.body?.cancel();
    }
  });
});

describe('hf:// URLs', () => {
  test.each([
    ['hf://owner/model/random.bin', `${resolve('random.bin')}`],
    ['hf://owner/model@main/deep/er/notes.txt', resolve('deep/er/notes.txt')],
    ['hf://owner/model/odd name %231 ü%25.bin', resolve('odd name #1 ü%.bin')],
    ['hf://datasets/owner/data/part.parquet', 'datasets/owner/data/resolve/main/part.parquet'],
  ])('%s is served', async (address, path) => {
    const plain = await shown(await fetch(`${hub.url}/${path}`, { headers: { range: 'bytes=1-400' } }));
    for (const input of [address, new URL(address), new Request(address)]) {
      const response = await xetFetch(input, { headers: { range: 'bytes=1-400' }, cache: 'no-cache' });
      expect(response.url).toBe(`${hub.url}/${path}`);
      expect(await shown(response)).toEqual(plain);
    }
  });
});

test('a string, a URL and a Request are accepted, and init overrides the Request', async () => {
  const url = `${hub.url}/${resolve('random.bin')}`;
  const whole = { status: 200, length: '700000' };
  const part = { status: 206, length: '10' };
  const seen = async (...request: Parameters<XetFetch>) => {
    const response = await xetFetch(...request);
    await response.body?.cancel();
    return { status: response.status, length: response.headers.get('content-length') };
  };
  const range = { headers: { range: 'bytes=0-9' } };
  expect(await seen(url)).toEqual(whole);
  expect(await seen(new URL(`${url}#part`))).toEqual(whole);
  expect(await seen(new Request(url, range))).toEqual(part);
  expect(await seen(new Request(url, range), {})).toEqual(part);
  expect(await seen(new Request(url, range), { headers: {} })).toEqual(whole);
  expect(await seen(new Request(url), range)).toEqual(part);
  expect(await seen(url, { method: 'get', headers: [['Range', 'bytes=0-9']] })).toEqual(part);
  expect((await xetFetch(new Request(url, { method: 'HEAD' }))).body).toBeNull();
  expect((await xetFetch(new Request(url, { method: 'HEAD' }), { method: 'GET' })).body).not.toBeNull();
});
