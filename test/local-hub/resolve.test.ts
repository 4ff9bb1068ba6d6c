import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { bytesOf, call, noise, post, same, TOKEN, testHub } from './helpers.ts';

const data = noise(6, 1_500_000);
const sha256 = createHash('sha256').update(data).digest('hex');

test('a large file is a redirect that says everything about it', async () => {
  const hub = await testHub();
  const { commit } = await hub.commitFiles('me/model', { 'w.bin': data });
  for (const method of ['HEAD', 'GET']) {
    const response = await call(hub, '/me/model/resolve/main/w.bin', { method });
    expect(response.status).toBe(302);
    const hash = response.headers.get('x-xet-hash');
    expect(response.headers.get('x-repo-commit')).toBe(commit);
    expect(response.headers.get('x-linked-etag')).toBe(`"${sha256}"`);
    expect(response.headers.get('x-linked-size')).toBe('1500000');
    expect(response.headers.get('link')).toBe(
      `<${hub.url}/api/models/me/model/xet-read-token/${commit}>; rel="xet-auth", ` +
        `<${hub.url}/cas/v1/reconstructions/${hash}>; rel="xet-reconstruction-info"`,
    );
    expect(response.headers.get('content-length')).not.toBe('0');
    expect(response.headers.get('x-request-id')).toBeTruthy();
  }
});

test('all ways to the CAS lead to another one, if that is told', async () => {
  const hub = await testHub({ casUrl: 'http://127.0.0.1:9' });
  const { commit } = await hub.commitFiles('me/model', { 'w.bin': data });
  const { headers } = await call(hub, '/me/model/resolve/main/w.bin', { method: 'HEAD' });
  expect(headers.get('link')).toContain(`<http://127.0.0.1:9/v1/reconstructions/${headers.get('x-xet-hash')}>`);
  const token = await call(hub, `/api/models/me/model/xet-read-token/${commit}`);
  expect(token.headers.get('x-xet-cas-url')).toBe('http://127.0.0.1:9');
  expect(await token.json()).toMatchObject({ casUrl: 'http://127.0.0.1:9' });
});

test('a page gets the same facts as a document', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': data, 'a.txt': 'text' });
  const headers = { accept: 'application/vnd.xet-fileinfo+json, */*', range: 'bytes=0-0' };
  const response = await call(hub, '/me/model/resolve/main/w.bin', { headers });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('application/vnd.xet-fileinfo+json');
  expect(await response.json()).toMatchObject({ size: data.length, etag: `"${sha256}"` });
  const small = await fetch(`${hub.url}/me/model/resolve/main/a.txt`, { headers });
  expect([small.status, small.headers.get('content-range')]).toEqual([206, 'bytes 0-0/4']);
});

test('a small file is a relative redirect to its content', async () => {
  const hub = await testHub();
  const { commit } = await hub.commitFiles('me/model', { 'a.txt': 'hello' });
  const first = await call(hub, '/me/model/resolve/main/a.txt');
  expect([first.status, first.headers.get('x-repo-commit')]).toEqual([307, commit]);
  const location = first.headers.get('location') ?? '';
  expect(location).toMatch(/^\/api\/resolve-cache\/models\/me\/model\//);
  const second = await call(hub, location, { headers: { range: 'bytes=1-3' } });
  expect([second.status, await second.text()]).toEqual([206, 'ell']);
  expect(second.headers.get('etag')).toBe(`"${createHash('sha1').update('blob 5\0hello').digest('hex')}"`);
  expect((await call(hub, location, { headers: { range: 'bytes=9-' } })).status).toBe(416);
});

test('the bridge gives any range of a file', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': data }, { chunksPerXorb: 4 });
  const location = (await call(hub, '/me/model/resolve/main/w.bin')).headers.get('location') ?? '';
  for (const [header, start, end] of [
    ['bytes=0-0', 0, 1],
    ['bytes=99999-1234567', 99_999, 1_234_568],
    ['bytes=1400000-', 1_400_000, 1_500_000],
    ['bytes=-7', 1_499_993, 1_500_000],
    ['bytes=5-9999999', 5, 1_500_000],
  ] as const) {
    const response = await fetch(location, { headers: { range: header } });
    expect([response.status, response.headers.get('content-range')]).toEqual([
      206,
      `bytes ${start}-${end - 1}/1500000`,
    ]);
    expect(same(await bytesOf(response), data.slice(start, end))).toBe(true);
  }
  expect(same(await bytesOf(await fetch(location)), data)).toBe(true);
  expect((await fetch(location, { headers: { range: 'bytes=1500000-' } })).status).toBe(416);
  const head = await fetch(location, { method: 'HEAD' });
  expect(head.headers.get('x-linked-etag')).toBe(`"${sha256}"`);
  expect(head.headers.get('etag')).toBe(`"${head.headers.get('x-xet-hash')}"`);
  expect((await fetch(location.replace('Signature=', 'Signature=x'))).status).toBe(403);
});

test.each(['a b.txt', 'a#b.txt', 'a?b.txt', '100%.txt', 'grüße/日本.txt', "it's (1)+[2]&=.txt", '%2F.txt', 'a%20b'])(
  'the name %j survives',
  async (name) => {
    const hub = await testHub();
    await hub.commitFiles('me/model', { [name]: 'text' });
    const encoded = name.split('/').map(encodeURIComponent).join('/');
    expect(await (await fetch(`${hub.url}/me/model/resolve/main/${encoded}`)).text()).toBe('text');
    const info = await post(hub, '/api/models/me/model/paths-info/main', { paths: [name, 'missing'] });
    expect(await info.json()).toMatchObject([{ path: name, size: 4, type: 'file' }]);
  },
);

test('an address that is not well-formed is refused', async () => {
  const hub = await testHub();
  expect((await call(hub, '/me/model/resolve/main/%E0%A4%A')).status).toBe(400);
  for (const path of [
    '/me/model/resolve/main/..%2F..%2Frefs.json',
    '/..%2F../model/resolve/main/x',
    '/%00/x/resolve/main/a',
  ]) {
    expect((await call(hub, path, { headers: TOKEN })).status).toBe(404);
  }
});

test('raw gives the pointer of a large file, and names with one word work', async () => {
  const hub = await testHub();
  await hub.commitFiles('gpt2', { 'w.bin': data, 'a.txt': 'text' });
  expect(await (await call(hub, '/gpt2/raw/main/w.bin')).text()).toContain(`oid sha256:${sha256}\nsize 1500000\n`);
  expect(await (await fetch(`${hub.url}/gpt2/resolve/main/a.txt`)).text()).toBe('text');
  expect(await (await call(hub, '/api/models/gpt2')).json()).toMatchObject({ id: 'gpt2' });
});

test('pages of other origins see what production lets them see', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': data });
  const headers = { origin: 'https://page.example' };
  const resolved = await call(hub, '/me/model/resolve/main/w.bin', { headers });
  expect(resolved.headers.get('access-control-allow-origin')).toBe('https://page.example');
  expect(resolved.headers.get('access-control-expose-headers')).not.toMatch(/Cas-Url|Access-Token/i);
  const bridge = await call(hub, (resolved.headers.get('location') ?? '').slice(hub.url.length), { headers });
  expect(bridge.headers.get('access-control-allow-origin')).toBe('*');
  const preflight = await call(hub, '/cas/v2/reconstructions/x', {
    method: 'OPTIONS',
    headers: { ...headers, 'access-control-request-headers': 'authorization,range' },
  });
  // What the CAS is asked with is a token for public files.
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,range');
});
