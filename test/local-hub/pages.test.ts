import { expect, test } from 'vitest';
import { call, commit, file, post, TOKEN, testHub } from './helpers.ts';

test('the start page lists what is public and says how to use the Hub', async () => {
  const hub = await testHub();
  expect(await (await fetch(hub.url)).text()).toContain('no public repositories');
  await hub.commitFiles('me/model', { 'a.txt': 'a' });
  await hub.commitFiles('datasets/me/data', { 'a.txt': 'a' });
  await hub.commitFiles('me/secret', { 'a.txt': 'a' });
  await hub.setRepo('me/secret', { private: true });
  const response = await fetch(hub.url);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; .*frame-ancestors 'none'/);
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  const text = await response.text();
  expect(text).toContain(`export HF_ENDPOINT=${hub.url}`);
  expect(text).toContain('<a href="/me/model">me/model</a>');
  expect(text).toContain('<a href="/datasets/me/data">datasets/me/data</a>');
  expect(text).not.toContain('secret');
  expect(await (await fetch(hub.url, { headers: TOKEN })).text()).toContain('me/secret');
});

test('the addresses that commits have lead to a page', async () => {
  const hub = await testHub();
  const { commit: id } = await hub.commitFiles('datasets/me/data', {
    'a&b "c".txt': 'a',
    'x<script>alert(1)</script>': '',
  });
  await hub.commitFiles('me/model', { 'a.txt': 'a' });
  const made = (await (await commit(hub, 'me/model', [file('b.txt', 'b')])).json()) as { commitUrl: string };
  expect(await (await fetch(made.commitUrl)).text()).toContain('/me/model/resolve/main/b.txt');
  for (const path of ['/datasets/me/data', `/datasets/me/data/commit/${id}`, '/datasets/me/data/discussions/1']) {
    const text = await (await call(hub, path)).text();
    expect(text).toContain('<a href="/datasets/me/data/resolve/main/a%26b%20%22c%22.txt">a&#38;b &#34;c&#34;.txt</a>');
    expect(text).not.toContain('<script');
  }
  expect((await call(hub, '/me/nope')).status).toBe(401);
  expect((await call(hub, '/me/model/whatever')).status).toBe(404);
});

test('no file becomes a page of the Hub', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'x.html': '<script>alert(1)</script>' });
  const response = await fetch(`${hub.url}/me/model/resolve/main/x.html`);
  expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
});

test('nobody changes a Hub that is read-only, with any token', async () => {
  const hub = await testHub({ readOnly: true });
  await hub.commitFiles('me/model', { 'a.txt': 'a' });
  for (const headers of [{}, TOKEN, { authorization: 'Bearer anything' }] as Record<string, string>[]) {
    expect(await (await fetch(`${hub.url}/me/model/resolve/main/a.txt`, { headers })).text()).toBe('a');
    const api = '/api/models/me/model';
    const answers = [
      await post(hub, '/api/repos/create', { name: 'me/new' }, headers),
      await post(hub, `${api}/commit/main`, {}, headers),
      await post(hub, `${api}/commit/main?create_pr=1`, {}, headers),
      await post(hub, `${api}/discussions`, { pullRequest: true }, headers),
      await post(hub, `${api}/branch/b`, {}, headers),
      await post(hub, `${api}/tag/main`, { tag: 't' }, headers),
      await post(hub, '/me/model.git/info/lfs/objects/batch', { operation: 'upload', objects: [] }, headers),
      await call(hub, `${api}/settings`, { method: 'PUT', headers, body: '{}' }),
      await call(hub, '/api/repos/delete', { method: 'DELETE', headers, body: '{"name":"me/model"}' }),
      await call(hub, `${api}/xet-write-token/main`, { headers }),
      await call(hub, `${api}/xet-write-token/main?create_pr=1`, { headers }),
    ];
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403));
    expect(await answers[0]?.json()).toEqual({ error: 'This Hub is read-only.' });
  }
});
