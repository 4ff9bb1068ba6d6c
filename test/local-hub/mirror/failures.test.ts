import { open, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type LocalHub, startLocalHub } from '../../../src/local-hub/start.ts';
import { assemble, bytesOf, call, noise, reconstruction, same, TOKEN, temporaryFolder } from '../helpers.ts';
import { mirrored, model, small } from './helpers.ts';

const MODEL = '/me/m/resolve/main/model.bin';

/** The whole content, or why there is none. */
async function fetched(mirror: LocalHub, path = MODEL, headers: Record<string, string> = {}) {
  const response = await fetch(mirror.url + path, { headers });
  if (!response.ok) return { status: response.status, text: await response.text() };
  return bytesOf(response).catch(() => 'broken off');
}

async function dataFiles(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, 'mirror'), { recursive: true });
  return names.filter((name) => name.endsWith('.data')).map((name) => join(folder, 'mirror', name));
}

describe('without its upstream', () => {
  test('a mirror serves what it holds, says so, and says what it does not hold', async () => {
    const { hub, mirror, proxy } = await mirrored({ nameSeconds: 0, accessSeconds: 0 });
    await hub.commitFiles('me/m', { 'model.bin': model, 'config.json': small });
    expect(same((await fetched(mirror)) as Uint8Array, model)).toBe(true);
    expect(same((await fetched(mirror, '/me/m/resolve/main/config.json')) as Uint8Array, small)).toBe(true);
    await call(mirror, '/api/models/me/m/revision/main');
    await reconstruction(mirror, 'me/m', 'model.bin');
    proxy.intercept = () => true;
    expect(same((await fetched(mirror)) as Uint8Array, model)).toBe(true);
    expect(same(await assemble(await reconstruction(mirror, 'me/m', 'model.bin')), model)).toBe(true);
    expect(same((await fetched(mirror, '/me/m/resolve/main/config.json')) as Uint8Array, small)).toBe(true);
    const info = await call(mirror, '/api/models/me/m/revision/main');
    expect([info.status, Date.parse(info.headers.get('x-mirror-stale') ?? '')]).toEqual([200, expect.any(Number)]);
    const missing = await call(mirror, '/api/models/me/other');
    expect([missing.status, await missing.text()]).toEqual([502, expect.stringContaining('cannot reach')]);
    expect(await (await call(mirror, '/health')).json()).toEqual({ status: 'ok', upstream: 'unavailable' });
    // Nobody else sees more than before.
    expect((await call(mirror, MODEL, { headers: { authorization: 'Bearer hf_stranger' } })).status).toBe(502);
    proxy.intercept = undefined as never;
    expect((await call(mirror, '/api/models/me/m/revision/main')).headers.get('x-mirror-stale')).toBeNull();
  });

  test('a mirror that was restarted offline serves the same, to the same', async () => {
    const dir = await temporaryFolder();
    const { hub, mirror, proxy } = await mirrored({ dir });
    await hub.commitFiles('me/m', { 'model.bin': model, 'config.json': small });
    await hub.setRepo('me/m', { private: true });
    for (const path of [MODEL, '/me/m/resolve/main/config.json']) await fetched(mirror, path, TOKEN);
    await mirror.close();
    const asked = proxy.requests.length;
    const offline = await startLocalHub({ upstream: proxy.url, dir, offline: true });
    onTestFinished(() => offline.close());
    const again = await fetched(offline, MODEL, TOKEN);
    if (!(again instanceof Uint8Array)) expect(again).toBe('content');
    expect(same((await fetched(offline, MODEL, TOKEN)) as Uint8Array, model)).toBe(true);
    expect(same((await fetched(offline, '/me/m/resolve/main/config.json', TOKEN)) as Uint8Array, small)).toBe(true);
    expect(await fetched(offline)).toEqual({ status: 504, text: expect.stringContaining('offline') });
    expect(proxy.requests.length).toBe(asked);
  });
});

describe('an upstream that fails', () => {
  test.each([
    ['resets the connection', { action: 'reset', afterBytes: 700_000 }],
    ['ends too early', { action: 'truncate', afterBytes: 700_000 }],
    ['answers 503', { action: 'status', status: 503 }],
    ['refuses a URL', { action: 'status', status: 403 }],
    ['sends a damaged frame', { action: 'corrupt', offset: 700_000 }],
    ['sends a shorter body', { action: 'shorten', toBytes: 700_000 }],
  ] as const)('once, as it %s, costs no client its file', async (_, fault) => {
    const { hub, mirror } = await mirrored();
    await hub.commitFiles('me/m', { 'model.bin': model });
    hub.faults.add({ kind: 'xorb', times: 1, ...fault });
    const first = await fetched(mirror);
    if (first instanceof Uint8Array) expect(same(first, model)).toBe(true);
    expect(same((await fetched(mirror)) as Uint8Array, model)).toBe(true);
  });

  test('and always sends wrong bytes gives an error, and the file once it sends the right ones', async () => {
    const { hub, mirror } = await mirrored();
    await hub.commitFiles('me/m', { 'model.bin': model });
    // Within the content of a stored chunk, which only its hash tells.
    const rule = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 200_000 });
    const wrong = await fetched(mirror);
    expect(wrong instanceof Uint8Array).toBe(false);
    rule.remove();
    expect(same((await fetched(mirror)) as Uint8Array, model)).toBe(true);
  });

  test.each([
    ['HTML', { action: 'status', status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Login</h1>' }],
    ['nonsense', { action: 'garbageJson' }],
  ] as const)('as it answers %s is said to be no Hub', async (_, fault) => {
    const { hub, mirror } = await mirrored();
    await hub.commitFiles('me/m', { 'model.bin': model });
    hub.faults.add({ kind: 'token', ...fault });
    const answer = await call(mirror, '/api/models/me/m/xet-read-token/main');
    expect([answer.status, await answer.text()]).toEqual([502, expect.stringContaining('Is it a Hub?')]);
  });
});

describe('a store', () => {
  test('that was damaged is repaired', async () => {
    const dir = await temporaryFolder();
    const { hub, mirror, proxy } = await mirrored({ dir });
    await hub.commitFiles('me/m', { 'model.bin': model });
    await fetched(mirror);
    const [path = ''] = await dataFiles(dir);
    const file = await open(path, 'r+');
    await file.write(noise(3, 1000), 0, 1000, 1_200_000);
    await file.close();
    expect(same((await fetched(mirror)) as Uint8Array, model)).toBe(true);
    expect(proxy.ranges.length).toBe(2);
    expect(proxy.xorbBytes).toBeLessThan(model.length + 1_500_000);
  });

  test('whose index was cut off, or is nonsense, is filled again', async () => {
    const dir = await temporaryFolder();
    const { hub, mirror, proxy } = await mirrored({ dir });
    await hub.commitFiles('me/m', { 'model.bin': model });
    await fetched(mirror);
    await mirror.close();
    for (const damage of ['cut', 'nonsense'] as const) {
      const [path = ''] = await dataFiles(dir);
      const index = path.replace(/\.data$/, '.index');
      if (damage === 'nonsense') await writeFile(index, noise(5, 3000));
      else {
        const file = await open(index, 'r+');
        await file.truncate(Math.floor((await file.stat()).size / 2));
        await file.close();
      }
      const again = await startLocalHub({ upstream: proxy.url, dir });
      expect(same((await fetched(again)) as Uint8Array, model), damage).toBe(true);
      await again.close();
    }
  });

  test('stays within its size and keeps what was used last', async () => {
    const { hub, mirror, proxy } = await mirrored({ maxSize: 7_000_000 });
    for (let index = 0; index < 4; index++) {
      await hub.commitFiles(`me/m${index}`, { 'model.bin': noise(21 + 2 * index, 3_000_000) });
    }
    const load = async (index: number) => {
      const bytes = await fetched(mirror, `/me/m${index}/resolve/main/model.bin`);
      expect(same(bytes as Uint8Array, noise(21 + 2 * index, 3_000_000))).toBe(true);
    };
    for (const index of [0, 1, 0, 2, 0, 3, 0]) await load(index);
    // 0 was fetched once, as it was always used recently.
    expect(proxy.ranges.length).toBe(4);
    const stored = /^xetkit_mirror_stored_bytes (\d+)$/m.exec(await (await call(mirror, '/metrics')).text())?.[1];
    expect(Number(stored)).toBeLessThanOrEqual(7_000_000);
  });

  test('without room passes content through', async () => {
    const { hub, mirror, proxy } = await mirrored({ maxSize: 1000 });
    await hub.commitFiles('me/m', { 'model.bin': model });
    expect(same((await fetched(mirror)) as Uint8Array, model)).toBe(true);
    expect(same(await assemble(await reconstruction(mirror, 'me/m', 'model.bin')), model)).toBe(true);
    expect(proxy.ranges.length).toBe(2);
  });

  test('is used by one mirror at a time', async () => {
    const dir = await temporaryFolder();
    const { mirror, proxy } = await mirrored({ dir });
    await expect(startLocalHub({ upstream: proxy.url, dir })).rejects.toThrow(mirror.url);
  });
});

test('options of mirrors need an upstream that is an address', async () => {
  await expect(startLocalHub({ offline: true })).rejects.toThrow("'offline' is for mirrors");
  await expect(startLocalHub({ upstream: 'huggingface.co' })).rejects.toThrow('Write it like');
  await expect(startLocalHub({ upstream: 'https://hub.example', upstreamToken: 'hf_x' })).rejects.toThrow("'tokens'");
});
