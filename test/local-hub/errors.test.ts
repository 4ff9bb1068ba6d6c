import { expect, test } from 'vitest';
import { call, commit, file, noise, post, testHub } from './helpers.ts';

const tokens = { hf_reader: { name: 'reader' }, hf_writer: { name: 'writer', write: true } };
const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

function answer(response: Response) {
  return [response.status, response.headers.get('x-error-code'), response.headers.get('x-error-message')];
}

test('missing things are told apart', async () => {
  const hub = await testHub({ tokens });
  const { commit: head } = await hub.commitFiles('me/model', { a: '1' });
  expect(answer(await call(hub, '/me/nope/resolve/main/a'))).toEqual([
    401,
    'RepoNotFound',
    'Invalid username or password.',
  ]);
  expect(answer(await call(hub, '/me/nope/resolve/main/a', as('hf_reader')))).toEqual([
    404,
    'RepoNotFound',
    'Repository not found',
  ]);
  expect(answer(await call(hub, '/me/model/resolve/nope/a'))).toEqual([
    404,
    'RevisionNotFound',
    'Invalid rev id: nope',
  ]);
  expect(answer(await call(hub, `/me/model/resolve/${'0'.repeat(40)}/a`))[1]).toBe('RevisionNotFound');
  const missing = await call(hub, '/me/model/resolve/main/nope');
  expect(answer(missing)).toEqual([404, 'EntryNotFound', 'Entry not found']);
  expect([missing.headers.get('x-repo-commit'), await missing.text()]).toEqual([head, 'Entry not found']);
  const folder = await call(hub, '/api/models/me/model/tree/main/nope');
  expect([...answer(folder), await folder.json()]).toEqual([
    404,
    'EntryNotFound',
    'Entry not found',
    { error: 'Entry not found' },
  ]);
  expect((await call(hub, '/api/nothing')).status).toBe(404);
});

test('a private repository looks like none to strangers', async () => {
  const hub = await testHub({ tokens });
  await hub.commitFiles('me/model', { a: '1' });
  await hub.setRepo('me/model', { private: true });
  for (const path of ['/api/models/me/model', '/me/model/resolve/main/a', '/api/models/me/model/xet-read-token/main']) {
    expect(answer(await call(hub, path))).toEqual([401, 'RepoNotFound', 'Invalid username or password.']);
    expect((await call(hub, path, as('hf_reader'))).status).toBeLessThan(400);
  }
});

test('a gated repository shows its files to those on its list', async () => {
  const hub = await testHub({ tokens });
  await hub.commitFiles('me/model', { a: '1' });
  await hub.setRepo('me/model', { gated: 'manual', allowed: ['reader'] });
  expect(answer(await call(hub, '/me/model/resolve/main/a')).slice(0, 2)).toEqual([401, 'GatedRepo']);
  expect(answer(await call(hub, '/me/model/resolve/main/a', as('hf_writer'))).slice(0, 2)).toEqual([403, 'GatedRepo']);
  expect((await call(hub, '/me/model/resolve/main/a', as('hf_reader'))).status).toBe(307);
  expect(await (await call(hub, '/api/models/me/model')).json()).toMatchObject({ gated: 'manual' });
});

test('a disabled repository says so', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { a: '1' });
  await hub.setRepo('me/model', { disabled: true });
  expect(answer(await call(hub, '/api/models/me/model'))).toEqual([403, null, 'Access to this resource is disabled.']);
});

test('writing needs a token that may', async () => {
  const hub = await testHub({ tokens });
  await hub.commitFiles('me/model', { a: '1' });
  const status = async (token: string) => (await commit(hub, 'me/model', [file('b', '2')], { token })).status;
  expect(await status('hf_writer')).toBe(200);
  expect(await status('hf_reader')).toBe(403);
  expect(await status('hf_wrong')).toBe(401);
  expect((await post(hub, '/api/repos/create', { name: 'x' })).status).toBe(401);
  expect((await call(hub, '/api/models/me/model/xet-write-token/main', as('hf_reader'))).status).toBe(403);
  expect((await call(hub, '/api/models/me/model/xet-write-token/main?create_pr=1', as('hf_reader'))).status).toBe(200);
  expect((await call(hub, '/api/whoami-v2')).status).toBe(401);
  expect(await (await call(hub, '/api/whoami-v2', as('hf_reader'))).json()).toMatchObject({ name: 'reader' });
  expect(answer(await call(hub, '/api/models/me/model', as('hf_wrong')))[2]).toBe(
    'Invalid credentials in Authorization header',
  );
});

test('another case of the name is a relative redirect', async () => {
  const hub = await testHub();
  await hub.commitFiles('Me/Model', { a: '1' });
  const response = await call(hub, '/me/model/resolve/main/a');
  expect([response.status, response.headers.get('location')]).toEqual([307, '/Me/Model/resolve/main/a']);
  const api = await call(hub, '/api/models/me/model/tree/main?recursive=true');
  expect([api.status, api.headers.get('location')]).toEqual([307, '/api/models/Me/Model/tree/main?recursive=true']);
});

test('tokens of the CAS expire by the clock of the server, and know what they are for', async () => {
  let now = Date.parse('2030-01-01T00:00:00Z');
  const hub = await testHub({ tokens, now: () => now, tokenLifetimeSeconds: 60 });
  await hub.commitFiles('me/model', { 'w.bin': noise(7, 100_000) });
  const response = await call(hub, '/api/models/me/model/xet-read-token/main');
  const token = (await response.json()) as { accessToken: string; exp: number; casUrl: string };
  expect([token.casUrl, token.exp]).toEqual([`${hub.url}/cas`, now / 1000 + 60]);
  expect(response.headers.get('x-xet-token-expiration')).toBe(String(token.exp));
  expect(response.headers.get('date')).toBe('Tue, 01 Jan 2030 00:00:00 GMT');
  const hash = '0'.repeat(64);
  const ask = (bearer?: string) => call(hub, `/cas/v2/reconstructions/${hash}`, bearer ? as(bearer) : {});
  expect((await ask(token.accessToken)).status).toBe(200);
  expect((await ask()).status).toBe(401);
  expect((await ask('hf_writer')).status).toBe(401);
  expect((await ask(`${token.accessToken.slice(0, -4)}AAAA`)).status).toBe(401);
  expect((await post(hub, '/cas/v1/shards', {}, as(token.accessToken).headers)).status).toBe(403);
  now += 60_000;
  expect((await ask(token.accessToken)).status).toBe(401);
});
