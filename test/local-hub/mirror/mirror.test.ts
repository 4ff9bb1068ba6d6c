import { describe, expect, test } from 'vitest';
import { assemble, bytesOf, call, fileHashOf, noise, reconstruction, same, TOKEN } from '../helpers.ts';
import { mirrored, model, small } from './helpers.ts';

async function content(url: string, headers: Record<string, string> = {}): Promise<Uint8Array> {
  const response = await fetch(url, { headers });
  expect(response.ok, `${url} ${response.status}`).toBe(true);
  return bytesOf(response);
}

describe('a mirror', () => {
  test('gives the facts of a file as the upstream does, with addresses of its own', async () => {
    const { hub, mirror } = await mirrored();
    const { commit } = await hub.commitFiles('me/m', { 'model.bin': model, 'config.json': small });
    const [there, here] = await Promise.all(
      [hub, mirror].map((one) => call(one, '/me/m/resolve/main/model.bin', { method: 'HEAD' })),
    );
    for (const name of ['x-repo-commit', 'x-linked-etag', 'x-linked-size', 'x-xet-hash', 'etag']) {
      expect(here?.headers.get(name), name).toBe(there?.headers.get(name));
    }
    expect(here?.status).toBe(302);
    expect(here?.headers.get('link')).toContain(`<${mirror.url}/api/models/me/m/xet-read-token/${commit}>`);
    expect(here?.headers.get('location')).toMatch(new RegExp(`^${mirror.url}/`));
  });

  test('says how long a file is to those who ask for the head only', async () => {
    const { hub, mirror } = await mirrored();
    const { commit } = await hub.commitFiles('me/m', {
      'model.bin': model,
      'config.json': small,
      empty: new Uint8Array(),
    });
    const expected: [string, number][] = [
      ['model.bin', model.length],
      ['config.json', small.length],
      ['empty', 0],
    ];
    for (const revision of ['main', commit]) {
      for (const [path, size] of expected) {
        const head = await fetch(`${mirror.url}/me/m/resolve/${revision}/${path}`, { method: 'HEAD' });
        expect([path, head.status, head.headers.get('content-length')]).toEqual([path, 200, String(size)]);
      }
    }
  });

  test('serves a file over Xet and without Xet from one copy of the upstream', async () => {
    const { hub, mirror, proxy } = await mirrored();
    await hub.commitFiles('me/m', { 'model.bin': model, 'config.json': small });
    const found = await reconstruction(mirror, 'me/m', 'model.bin');
    expect(same(await assemble(found), model)).toBe(true);
    expect(same(await content(`${mirror.url}/me/m/resolve/main/model.bin`), model)).toBe(true);
    const range = await content(`${mirror.url}/me/m/resolve/main/model.bin`, { range: 'bytes=1000000-1999999' });
    expect(same(range, model.subarray(1_000_000, 2_000_000))).toBe(true);
    expect(same(await content(`${mirror.url}/me/m/resolve/main/config.json`), small)).toBe(true);
    expect(proxy.ranges.length).toBe(new Set(proxy.ranges).size);
    expect(proxy.ranges.length).toBe(1);
  });

  test('fetches nothing again for eight clients at once', async () => {
    const { hub, mirror, proxy } = await mirrored();
    await hub.commitFiles('me/m', { 'model.bin': model });
    const all = await Promise.all(
      Array.from({ length: 8 }, () => content(`${mirror.url}/me/m/resolve/main/model.bin`)),
    );
    expect(all.every((bytes) => same(bytes, model))).toBe(true);
    expect(proxy.ranges.length).toBe(1);
    expect(proxy.xorbBytes).toBeLessThan(model.length * 1.02);
  });

  test('fetches only what is new of a variant', async () => {
    const { hub, mirror, proxy } = await mirrored();
    const variant = Buffer.concat([model, noise(8, 500_000)]);
    await hub.commitFiles('me/m', { 'model.bin': model });
    await hub.commitFiles('me/v', { 'variant.bin': variant });
    await content(`${mirror.url}/me/m/resolve/main/model.bin`);
    const before = proxy.xorbBytes;
    expect(same(await content(`${mirror.url}/me/v/resolve/main/variant.bin`), variant)).toBe(true);
    expect(proxy.xorbBytes - before).toBeLessThan(700_000);
  });

  test('cuts ranges of a stored file at chunks', async () => {
    const { hub, mirror, proxy } = await mirrored();
    await hub.commitFiles('me/m', { 'model.bin': model });
    const whole = 'bytes=1500000-1600000';
    const before = await assemble(await reconstruction(mirror, 'me/m', 'model.bin', whole));
    const after = await reconstruction(mirror, 'me/m', 'model.bin', whole);
    const cut = await assemble(after);
    expect(same(before.subarray(0, 100_001), model.subarray(1_500_000, 1_600_001))).toBe(true);
    expect(same(cut.subarray(0, 100_001), model.subarray(1_500_000, 1_600_001))).toBe(true);
    expect(cut.length).toBeLessThan(500_000);
    expect(proxy.ranges.length).toBe(1);
  });

  test('asks the upstream once for what lies under a commit, and again for a branch whose time is over', async () => {
    const { hub, mirror, proxy } = await mirrored({ nameSeconds: 0 });
    const { commit } = await hub.commitFiles('me/m', { 'config.json': small });
    const tree = `/api/models/me/m/tree/${commit}?recursive=true`;
    for (let round = 0; round < 3; round++) {
      expect(await (await call(mirror, tree)).json()).toEqual(await (await call(hub, tree)).json());
      expect((await call(mirror, '/api/models/me/m/revision/main')).status).toBe(200);
    }
    expect(proxy.requests.filter((line) => line.includes('/tree/')).length).toBe(1);
    expect(proxy.requests.filter((line) => line.includes('/revision/')).length).toBe(3);
  });

  test('hands on what the upstream says of missing, gated and disabled repositories', async () => {
    const { hub, mirror } = await mirrored();
    await hub.commitFiles('me/gated', { 'model.bin': model });
    await hub.setRepo('me/gated', { gated: 'manual' });
    await hub.commitFiles('me/off', { 'model.bin': model });
    await hub.setRepo('me/off', { disabled: true });
    for (const path of [
      '/me/gated/resolve/main/model.bin',
      '/me/off/resolve/main/model.bin',
      '/me/none/resolve/main/model.bin',
      '/api/models/me/none',
      '/api/models/me/gated/revision/nothing',
      '/api/models/me/gated/xet-read-token/main',
    ]) {
      for (const headers of [{}, TOKEN]) {
        const [there, here] = await Promise.all([call(hub, path, { headers }), call(mirror, path, { headers })]);
        expect([path, here.status, here.headers.get('x-error-code'), here.headers.get('x-error-message')]).toEqual([
          path,
          there.status,
          there.headers.get('x-error-code'),
          there.headers.get('x-error-message'),
        ]);
      }
    }
  });

  test('serves buckets', async () => {
    const { hub, mirror } = await mirrored();
    await hub.putFiles('buckets/me/b', { 'data/x.bin': model });
    expect(same(await content(`${mirror.url}/buckets/me/b/resolve/data/x.bin`), model)).toBe(true);
    const tree = '/api/buckets/me/b/tree?recursive=true';
    expect(await (await call(mirror, tree)).json()).toEqual(await (await call(hub, tree)).json());
  });

  test('refuses uploads unless it is to hand them on', async () => {
    const { hub, mirror } = await mirrored();
    await hub.commitFiles('me/m', { 'config.json': small });
    const post = { method: 'POST', headers: { ...TOKEN, 'content-type': 'application/json' }, body: '{"files":[]}' };
    const refused = await call(mirror, '/api/models/me/m/preupload/main', post);
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('takes no uploads')]);
    expect((await call(mirror, '/api/models/me/m/xet-write-token/main', { headers: TOKEN })).status).toBe(403);
    expect(await fileHashOf(mirror, 'me/m', 'config.json')).toBe('');
  });
});
