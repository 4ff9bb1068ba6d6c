import { request } from 'node:http';
import { expect, test } from 'vitest';
import { parseHost, parseOrigin } from '../../src/local-hub/http/sender.ts';
import { startLocalHub } from '../../src/local-hub/start.ts';
import { call, casToken, commit, file, noise, post, TOKEN, testHub } from './helpers.ts';

const EVIL = 'http://evil.localhost:8000';

interface Sent {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

/** A request as it is written here: `fetch` does not let a program choose the host. */
function raw(url: string, { method = 'GET', headers = {}, body }: Sent): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** A request to every route that takes something. */
const CHANGES: [string, string][] = [
  ['POST', '/api/repos/create'],
  ['DELETE', '/api/repos/delete'],
  ['POST', '/api/validate-yaml'],
  ['POST', '/api/models/me/model/commit/main'],
  ['POST', '/api/models/me/model/commit/main?create_pr=1'],
  ['POST', '/api/models/me/model/preupload/main'],
  ['POST', '/api/models/me/model/paths-info/main'],
  ['POST', '/api/models/me/model/branch/new'],
  ['DELETE', '/api/models/me/model/branch/new'],
  ['POST', '/api/models/me/model/tag/main'],
  ['POST', '/api/models/me/model/discussions'],
  ['PUT', '/api/models/me/model/settings'],
  ['PATCH', '/api/models/me/model/settings'],
  ['POST', '/api/models/me/model/lfs-files/duplicate'],
  ['POST', '/me/model.git/info/lfs/objects/batch'],
  ['PUT', '/lfs/objects/0'],
  ['POST', '/lfs/verify'],
  ['POST', `/cas/v1/xorbs/default/${'0'.repeat(64)}`],
  ['POST', `/cas/v1/xorb-grants/default/${'0'.repeat(64)}`],
  ['PUT', '/xorb-uploads/x'],
  ['POST', '/cas/v1/shards'],
  ['POST', '/cas/v2/shards'],
  ['POST', '/cas/v1/reconstructions'],
  ['POST', '/v1/telemetry'],
  ['POST', '/nowhere'],
];

test.each([
  ['another origin', { origin: EVIL }],
  ['another port', { origin: 'http://127.0.0.1:1' }],
  ['another scheme', { origin: 'https://127.0.0.1' }],
  ['no origin of its own', { origin: 'null' }],
  ['a list of origins', { origin: `${EVIL}, http://localhost` }],
  ['another site', { 'sec-fetch-site': 'cross-site' }],
  ['another origin of the same site', { 'sec-fetch-site': 'same-site' }],
])('a page of %s changes nothing', async (_name, headers) => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'a.txt': 'a' });
  for (const [method, path] of CHANGES) {
    const sent = [{ 'content-type': 'text/plain' }, { 'content-type': 'application/json', ...TOKEN }];
    for (const more of sent) {
      const response = await call(hub, path, { method, headers: { ...headers, ...more }, body: '{"name":"me/model"}' });
      expect([method, path, response.status]).toEqual([method, path, 403]);
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
      expect(await response.text()).toContain('allowedOrigins (--allow-origin)');
    }
  }
});

test('a page of another origin reads what is public, without a token', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'a.txt': 'public', 'w.bin': noise(1, 100_000) });
  await hub.commitFiles('me/secret', { 'a.txt': 'secret' });
  await hub.setRepo('me/secret', { private: true });
  const headers = { origin: EVIL };
  const opened = await fetch(`${hub.url}/me/model/resolve/main/a.txt`, { headers });
  expect([opened.status, opened.headers.get('access-control-allow-origin'), await opened.text()]).toEqual([
    200,
    EVIL,
    'public',
  ]);
  const listed = (await (await call(hub, '/api/models', { headers })).json()) as { id: string }[];
  expect(listed.map(({ id }) => id)).toEqual(['me/model']);
  expect((await call(hub, '/me/secret/resolve/main/a.txt', { headers })).status).toBe(401);
  // A token is no use to it, and is not let through by a preflight either.
  for (const path of ['/me/secret/resolve/main/a.txt', '/api/models', '/api/whoami-v2']) {
    for (const token of ['hf_local', 'anything']) {
      const response = await call(hub, path, { headers: { ...headers, authorization: `Bearer ${token}` } });
      expect([path, response.status]).toEqual([path, 403]);
    }
  }
  const preflight = await call(hub, '/me/model/resolve/main/a.txt', {
    method: 'OPTIONS',
    headers: {
      ...headers,
      'access-control-request-method': 'DELETE',
      'access-control-request-headers': 'Authorization, range',
      'access-control-request-private-network': 'true',
    },
  });
  expect(preflight.headers.get('access-control-allow-headers')?.toLowerCase()).not.toContain('authorization');
  expect(preflight.headers.get('access-control-allow-headers')).toContain('range');
  expect(preflight.headers.get('access-control-allow-methods')).toBe('GET,HEAD,OPTIONS');
  expect(preflight.headers.get('access-control-allow-private-network')).toBeNull();
});

test('a page of another origin is given no token for writing, and none of a user', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': noise(2, 100_000) });
  const headers = { origin: EVIL };
  for (const query of ['', '?create_pr=1']) {
    expect((await call(hub, `/api/models/me/model/xet-write-token/main${query}`, { headers })).status).toBe(403);
  }
  const hash = (await call(hub, '/me/model/resolve/main/w.bin')).headers.get('x-xet-hash');
  const read = await call(hub, '/api/models/me/model/xet-read-token/main', { headers });
  const { accessToken } = (await read.json()) as { accessToken: string };
  const ask = async (authorization: string | undefined) =>
    (await call(hub, `/cas/v2/reconstructions/${hash}`, { headers: { ...headers, authorization: `${authorization}` } }))
      .status;
  expect(await ask(`Bearer ${accessToken}`)).toBe(200);
  expect(await ask((await casToken(hub, 'me/model')).authorization)).toBe(403);
});

test.each(['option', 'method'])('a page of an allowed origin does what its token may, by %s', async (way) => {
  const origin = 'http://localhost:3000';
  const hub = await testHub(way === 'option' ? { allowedOrigins: ['http://LOCALHOST:3000/'] } : {});
  if (way === 'method') hub.allowOrigin(origin);
  await hub.commitFiles('me/secret', { 'a.txt': 'secret' });
  await hub.setRepo('me/secret', { private: true });
  const headers = { origin, 'sec-fetch-site': 'same-site', ...TOKEN };
  expect(await (await fetch(`${hub.url}/me/secret/resolve/main/a.txt`, { headers })).text()).toBe('secret');
  expect((await post(hub, '/api/repos/create', { name: 'me/new' }, headers)).status).toBe(200);
  const preflight = await call(hub, '/api/repos/create', {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-headers': 'authorization,content-type' },
  });
  expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,content-type');
  expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
  expect(preflight.headers.get('access-control-allow-methods')).toContain('DELETE');
  const other = await post(hub, '/api/repos/create', { name: 'me/more' }, { ...headers, origin: 'http://localhost' });
  expect(other.status).toBe(403);
});

test('the pages of the Hub itself may write', async () => {
  const hub = await testHub();
  const headers = { origin: hub.url, 'sec-fetch-site': 'same-origin' };
  expect((await post(hub, '/api/repos/create', { name: 'me/new' }, headers)).status).toBe(200);
});

test('a host that is not this one is not answered, in reading either', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'a.txt': 'a' });
  const { port } = new URL(hub.url);
  const ask = async (host: string) => (await raw(`${hub.url}/api/models`, { headers: { host } })).status;
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    `evil.localhost:${port}`,
    `localhost.evil.example:${port}`,
    `localhost.:${port}`,
    `127.0.0.1.evil.example:${port}`,
    `10.0.0.1:${port}`,
    `0.0.0.0:${port}`,
    `[::2]:${port}`,
    `127.0.0.1@evil.example`,
    `127.0.0.1:${port}, evil.example`,
    'localhost:99999999',
    '[127.0.0.1]',
    ' ',
  ]) {
    expect([host, await ask(host)]).toEqual([host, 403]);
  }
  for (const host of [
    `localhost:${port}`,
    `LOCALHOST:${port}`,
    'localhost',
    `127.0.0.1:${port}`,
    '127.0.0.2',
    '[::1]',
  ]) {
    expect([host, await ask(host)]).toEqual([host, 200]);
  }
});

test('a host that was named is answered, and addresses lead to it', async () => {
  const hub = await testHub({ allowedHosts: ['Models.example.org', '10.1.2.3', '[FD00::1]'] });
  await hub.commitFiles('me/model', { 'w.bin': noise(3, 100_000) });
  for (const host of ['models.example.org', 'models.example.org:8080', '10.1.2.3:80', '[fd00:0::1]:8080']) {
    const { status, text } = await raw(`${hub.url}/api/models/me/model/xet-read-token/main`, { headers: { host } });
    expect([status, text]).toEqual([200, expect.stringContaining(`"casUrl":"http://${host}/cas"`)]);
  }
  expect((await raw(hub.url, { headers: { host: 'sub.models.example.org' } })).status).toBe(403);
});

test('a Hub behind a server with TLS gives out the address of that', async () => {
  const hub = await testHub({ publicUrl: 'https://hub.example.org/' });
  await hub.commitFiles('me/model', { 'w.bin': noise(5, 100_000) });
  const { status, text } = await raw(`${hub.url}/api/models/me/model/xet-read-token/main`, {
    headers: { host: 'hub.example.org' },
  });
  expect([status, text]).toEqual([200, expect.stringContaining('"casUrl":"https://hub.example.org/cas"')]);
  const resolved = await call(hub, '/me/model/resolve/main/w.bin');
  expect(resolved.headers.get('location')).toMatch(/^https:\/\/hub\.example\.org\/xet-bridge\//);
  expect((await post(hub, '/api/repos/create', { name: 'me/new' }, { origin: 'https://hub.example.org' })).status).toBe(
    200,
  );
  for (const publicUrl of ['hub.example.org', 'https://hub.example.org/path', 'ftp://x', 'https://a:b@x']) {
    await expect(startLocalHub({ publicUrl })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  }
});

test('no address that the Hub gives out comes from what a request claims of its way here', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': noise(4, 100_000) });
  const claims = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-server': 'evil.example',
    'x-original-host': 'evil.example',
    forwarded: 'host=evil.example;proto=https',
    'x-forwarded-for': '127.0.0.1',
  };
  for (const path of ['/me/model/resolve/main/w.bin', '/api/models/me/model/xet-read-token/main']) {
    const response = await call(hub, path, { headers: claims });
    expect(JSON.stringify([...response.headers]) + (await response.text())).not.toContain('evil.example');
  }
  expect((await raw(`${hub.url}/api/models`, { headers: { ...claims, host: 'evil.example' } })).status).toBe(403);
});

test('programs, which send no origin, go on as before', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'a.txt': 'a' });
  expect((await commit(hub, 'me/model', [file('b.txt', 'b')])).status).toBe(200);
  expect((await commit(hub, 'me/model', [file('c.txt', 'c')], { token: 'hf_of_somebody' })).status).toBe(200);
  const anonymous = await raw(`${hub.url}/api/repos/create`, { method: 'POST', body: '{"name":"me/new"}' });
  expect(anonymous.status).toBe(200);
});

test('what is private needs a token that is known, also where everybody may write', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/secret', { 'a.txt': 'secret' });
  await hub.setRepo('me/secret', { private: true });
  const as = (token: string) => ({ authorization: `Bearer ${token}` });
  expect((await call(hub, '/me/secret/resolve/main/a.txt', { headers: as('anything') })).status).toBe(404);
  expect(await (await call(hub, '/api/models', { headers: as('anything') })).json()).toEqual([]);
  expect((await commit(hub, 'me/secret', [file('b.txt', 'b')], { token: 'anything' })).status).toBe(404);
  expect((await fetch(`${hub.url}/me/secret/resolve/main/a.txt`, { headers: TOKEN })).status).toBe(200);
  // Who makes a repository private could not open it afterwards.
  for (const headers of [{}, as('anything')]) {
    const answer = await post(hub, '/api/repos/create', { name: 'me/own', private: true }, headers);
    expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining('hf_local')]);
    await hub.commitFiles('me/open', { 'a.txt': 'a' });
    const settings = await call(hub, '/api/models/me/open/settings', {
      method: 'PUT',
      headers,
      body: '{"visibility":"private"}',
    });
    expect(settings.status).toBe(403);
  }
  expect((await post(hub, '/api/repos/create', { name: 'me/own', private: true }, TOKEN)).status).toBe(200);
});

test('origins and hosts that are none are refused at the start', async () => {
  for (const origin of ['*', 'null', 'localhost:3000', 'http://localhost:3000/page', 'http://a@b', 'file:///x', '']) {
    expect(() => parseOrigin(origin), origin).toThrow('Not an origin');
  }
  expect(parseOrigin('HTTP://Localhost:80/')).toBe('http://localhost');
  expect(parseOrigin('chrome-extension://abcdef')).toBe('chrome-extension://abcdef');
  for (const host of ['*', '*.example', 'a b', 'example.org:80', 'http://example.org', '', '-x', 'a..b']) {
    expect(() => parseHost(host), host).toThrow('Not a host name');
  }
  await expect(startLocalHub({ allowedOrigins: ['*'] })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});
