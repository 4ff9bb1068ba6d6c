import { describe, expect, test } from 'vitest';
import type { LocalHub } from '../../../src/local-hub/start.ts';
import { assemble, bytesOf, call, type ReconstructionV2, same, TOKEN } from '../helpers.ts';
import { mirrored, model, small } from './helpers.ts';

const SECRET = 'secret';

/** Everything about a private file that somebody with access can learn. */
async function insider(mirror: LocalHub, repo: string) {
  const head = await call(mirror, `/${repo}/resolve/main/${SECRET}.bin`, { method: 'HEAD', headers: TOKEN });
  const hash = head.headers.get('x-xet-hash') ?? '';
  const tokenAnswer = await call(mirror, `/api/models/${repo}/xet-read-token/main`, { headers: TOKEN });
  const { accessToken } = (await tokenAnswer.json()) as { accessToken: string };
  const answer = await call(mirror, `/cas/v2/reconstructions/${hash}`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  const found = (await answer.json()) as ReconstructionV2;
  expect(same(await assemble(found), model)).toBe(true);
  expect((await call(mirror, `/${repo}/resolve/main/config.json`, { headers: TOKEN })).status).toBe(307);
  const plain = await fetch(`${mirror.url}/${repo}/resolve/main/config.json`, { headers: TOKEN });
  expect(await plain.text()).toBe(Buffer.from(small).toString());
  await call(mirror, `/api/models/${repo}/tree/main?recursive=true`, { headers: TOKEN });
  const commit = head.headers.get('x-repo-commit') ?? '';
  return { hash, found, commit };
}

async function secretHub() {
  const all = await mirrored({}, { openWrites: false });
  await all.hub.commitFiles('me/private', { [`${SECRET}.bin`]: model, 'config.json': small });
  await all.hub.setRepo('me/private', { private: true });
  await all.hub.commitFiles('me/gated', { [`${SECRET}.bin`]: model, 'config.json': small });
  await all.hub.setRepo('me/gated', { gated: 'manual', allowed: ['local'] });
  await all.hub.commitFiles('me/public', { 'public.bin': model.slice(0, 1_500_000), 'config.json': small });
  return all;
}

const NOBODY: [string, Record<string, string>][] = [
  ['a stranger without a token', {}],
  ['a stranger with a wrong token', { authorization: 'Bearer hf_wrong' }],
];

describe.each(NOBODY)('%s', (_, headers) => {
  test('gets nothing of a private repository that somebody else brought in', async () => {
    const { hub, mirror } = await secretHub();
    const { hash, commit } = await insider(mirror, 'me/private');
    for (const path of [
      '/api/models/me/private',
      '/api/models/me/private/revision/main',
      `/api/models/me/private/revision/${commit}`,
      '/api/models/me/private/tree/main?recursive=true',
      `/api/models/me/private/tree/${commit}?recursive=true`,
      '/api/models/me/private/refs',
      '/api/models/me/private/xet-read-token/main',
      `/api/models/me/private/xet-read-token/${commit}`,
      `/me/private/resolve/main/${SECRET}.bin`,
      `/me/private/resolve/${commit}/${SECRET}.bin`,
      `/me/private/resolve/${commit}/config.json`,
      `/me/private/raw/${commit}/config.json`,
      `/api/resolve-cache/models/me/private/${commit}/config.json`,
    ]) {
      const [here, there] = await Promise.all([call(mirror, path, { headers }), call(hub, path, { headers })]);
      expect([path, here.status], path).toEqual([path, there.status]);
      expect(here.status).toBeGreaterThanOrEqual(400);
      expect(await here.text()).not.toContain(hash);
    }
  });

  test('gets no files of a gated repository that somebody else brought in', async () => {
    const { mirror } = await secretHub();
    const { hash, commit } = await insider(mirror, 'me/gated');
    for (const path of [`/me/gated/resolve/main/${SECRET}.bin`, `/me/gated/resolve/${commit}/config.json`]) {
      expect((await call(mirror, path, { headers })).status).toBeGreaterThanOrEqual(400);
    }
    const tree = await call(mirror, `/api/models/me/gated/tree/${commit}?recursive=true`, { headers });
    expect(await tree.text()).not.toContain(hash);
  });

  test('gets no reconstruction of a hash that it has learnt of', async () => {
    const { mirror } = await secretHub();
    const { hash } = await insider(mirror, 'me/private');
    const answer = await call(mirror, '/api/models/me/public/xet-read-token/main');
    const { accessToken } = (await answer.json()) as { accessToken: string };
    const tokens = [accessToken, `mxt_${'A'.repeat(200)}`, 'hf_wrong', 'mxt_'];
    for (const token of tokens) {
      for (const path of [`v1/reconstructions/${hash}`, `v2/reconstructions/${hash}`]) {
        const found = await call(mirror, `/cas/${path}`, { headers: { authorization: `Bearer ${token}` } });
        expect(found.status, `${path} ${token.slice(0, 8)}`).toBeGreaterThanOrEqual(400);
      }
      const batch = await call(mirror, `/cas/v1/reconstructions?file_id=${hash}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(await batch.text()).not.toContain('/-xorbs/');
    }
  });
});

describe('a signed URL of a mirror', () => {
  test('gives no other range, xorb, file or asker than it was signed for', async () => {
    const { mirror } = await secretHub();
    const answer = await call(mirror, '/api/models/me/public/xet-read-token/main');
    const { accessToken } = (await answer.json()) as { accessToken: string };
    const head = await call(mirror, '/me/public/resolve/main/public.bin', { method: 'HEAD' });
    const path = `/cas/v2/reconstructions/${head.headers.get('x-xet-hash')}`;
    const found = (await (
      await call(mirror, path, { headers: { authorization: `Bearer ${accessToken}` } })
    ).json()) as ReconstructionV2;
    const secret = await insider(mirror, 'me/private');
    const [[xorb = '', entries = []] = []] = Object.entries(found.xorbs);
    const { url = '', ranges = [] } = entries[0] ?? {};
    const end = ranges.at(-1)?.bytes.end ?? 0;
    const status = async (address: string, range: string | undefined) =>
      (await fetch(address, { headers: range === undefined ? {} : { range } })).status;
    expect(await status(url, 'bytes=0-9')).toBe(206);
    for (const range of [`bytes=0-${end + 1}`, `bytes=${end + 1}-${end + 5}`, undefined, 'bytes=0-', 'bytes=-5']) {
      expect(await status(url, range), range).toBe(403);
    }
    const changed: [string, string][] = [
      ['file', secret.hash],
      ['asker', 'anonymous2'],
      ['scope', '/api/models/me/private/xet-read-token'],
      ['X-Xet-Signed-Range', 'bytes=0-99999999'],
      ['Expires', '99999999999'],
    ];
    for (const [name, value] of changed) {
      const forged = new URL(url);
      forged.searchParams.set(name, value);
      expect(await status(forged.href, 'bytes=0-9'), name).toBe(403);
    }
    const [other = ''] = Object.keys(secret.found.xorbs).filter((hash) => hash !== xorb);
    expect(await status(url.replace(xorb, other === '' ? '0'.repeat(64) : other), 'bytes=0-9')).toBe(403);
  });

  test('of a whole file cannot be made for another file', async () => {
    const { mirror } = await secretHub();
    const { hash } = await insider(mirror, 'me/private');
    const head = await call(mirror, '/me/public/resolve/main/public.bin', { method: 'HEAD' });
    const location = new URL(head.headers.get('location') ?? '');
    expect((await fetch(location)).status).toBe(200);
    const forged = new URL(location);
    forged.pathname = `/-files/${hash}`;
    expect((await fetch(forged)).status).toBe(403);
    location.searchParams.set('token', '/api/models/me/private/xet-read-token/main');
    expect((await fetch(location)).status).toBe(403);
  });
});

describe('a mirror', () => {
  test('asks anew whether a token may still see a commit', async () => {
    const { hub, mirror } = await mirrored({ accessSeconds: 0 }, { openWrites: false });
    const { commit } = await hub.commitFiles('me/m', { 'config.json': small, 'model.bin': model });
    const paths = [`/api/models/me/m/tree/${commit}`, `/me/m/resolve/${commit}/model.bin`];
    for (const path of paths) expect((await call(mirror, path)).status).toBeLessThan(400);
    const { location } = Object.fromEntries((await call(mirror, paths[1] ?? '')).headers);
    await hub.setRepo('me/m', { private: true });
    for (const path of paths) expect((await call(mirror, path)).status).toBe(401);
    expect((await fetch(location ?? '')).status).toBe(401);
    for (const path of paths) expect((await call(mirror, path, { headers: TOKEN })).status).toBeLessThan(400);
  });

  test('sends the token of a client to the upstream only, and shows it nowhere', async () => {
    const lines: string[] = [];
    const { hub, mirror } = await mirrored({ log: (line) => lines.push(line) });
    await hub.commitFiles('me/m', { 'model.bin': model });
    const head = await call(mirror, '/me/m/resolve/main/model.bin', { headers: TOKEN });
    const token = await call(mirror, '/api/models/me/m/xet-read-token/main', { headers: TOKEN });
    const texts = [JSON.stringify([...head.headers]), await head.text(), await token.text(), lines.join('\n')];
    for (const text of texts) {
      expect(text).not.toContain('hf_local');
      // The upstream's CAS tokens are carried sealed.
      expect(text).not.toContain('xet_ey');
    }
    const [there, here] = await Promise.all(
      [hub, mirror].map(async (one) => bytesOf(await call(one, '/api/models/me/m'))),
    );
    expect(here).toEqual(there);
  });

  test('with tokens of its own lets only their holders in', async () => {
    const { hub, mirror, proxy } = await mirrored({ tokens: { hf_team: { name: 'team' } } });
    await hub.commitFiles('me/m', { 'config.json': small });
    for (const headers of [{}, TOKEN]) expect((await call(mirror, '/api/models/me/m', { headers })).status).toBe(401);
    expect(proxy.requests).toEqual([]);
    const team = { headers: { authorization: 'Bearer hf_team' } };
    expect((await call(mirror, '/api/models/me/m', team)).status).toBe(200);
    await hub.setRepo('me/m', { private: true });
    expect((await call(mirror, '/api/models/me/m/refs', team)).status).toBe(401);
  });

  test('with tokens of its own and one for the upstream lends them what that one may see', async () => {
    const { hub, mirror } = await mirrored({ tokens: { hf_team: { name: 'team' } }, upstreamToken: 'hf_local' });
    await hub.commitFiles('me/m', { 'config.json': small });
    await hub.setRepo('me/m', { private: true });
    expect((await call(mirror, '/api/models/me/m', { headers: { authorization: 'Bearer hf_team' } })).status).toBe(200);
    expect((await call(mirror, '/api/models/me/m')).status).toBe(401);
  });
});
