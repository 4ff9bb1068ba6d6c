import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { XetClientOptions } from 'xetkit';
import { clientOf, filesUnder, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { startNginx } from './nginx.ts';

const repo = 'owner/model';
const files = {
  'model-1.safetensors': randomBytes(9_000_000, 1),
  'model-2.safetensors': randomBytes(7_000_000, 2),
  'config.json': new TextEncoder().encode('{}\n'),
};

async function fleet() {
  // A second passes with every look at the clock, so that no two signatures are the same.
  let ticks = 0;
  const hub = await hubFor({ now: () => Date.now() + 1000 * ticks++, urlLifetimeSeconds: 86_400 });
  await hub.commitFiles(repo, files, { xet: 'always' });
  const nginx = await startNginx(new URL(hub.url));
  const asked: string[] = [];
  const rewriteUrl: XetClientOptions['rewriteUrl'] = (url, kind) => {
    if (kind !== 'xorb') return url;
    asked.push(url);
    return url.replace(/^https?:\/\//, `${nginx.url}/xorb/`);
  };
  const download = async () => {
    const client = clientOf(hub, { rewriteUrl, workers: 1, fallback: 'never' });
    const folder = await scratch();
    const { bytes } = await client.snapshot({ repo, localDir: folder });
    for (const [path, content] of Object.entries(files)) {
      expect(sha256(await readFile(join(folder, path)))).toBe(sha256(content));
    }
    return { network: bytes.network, xorbRequests: client.metrics().requests.xorb };
  };
  /** A request that some client made, as it would reach the cache. */
  const through = (url: string) => url.replace(/^https?:\/\//, `${nginx.url}/xorb/`);
  return { hub, nginx, asked, download, through };
}

test('eight clients at once: upstream sees each range once', async () => {
  const { hub, asked, download } = await fleet();
  const clients = await Promise.all(Array.from({ length: 8 }, download));
  const ranges = seen(hub, 'xorb').map(({ path, range }) => `${path} ${range}`);
  expect(ranges.length).toBeGreaterThan(0);
  expect(ranges.length).toBe(new Set(ranges).size);
  expect(seen(hub, 'xorb').filter(({ authorized }) => authorized)).toEqual([]);
  for (const { xorbRequests, network } of clients) {
    expect(xorbRequests).toBeGreaterThanOrEqual(ranges.length);
    expect(network).toBeGreaterThan(16_000_000);
  }
  // They are different requests: nobody was handed what another one had asked for in the same words.
  expect(new Set(asked.map((url) => new URL(url).search)).size).toBeGreaterThanOrEqual(8);
});

test('what is cached is there for all who may use the cache, and nothing else without a good signature', async () => {
  const { hub, asked, download, through } = await fleet();
  await download();
  const url = asked[0] ?? '';
  const range = seen(hub, 'xorb').find(({ path }) => path === new URL(url).pathname)?.range ?? '';
  const forged = through(url.replace(/Signature=[^&]+/, 'Signature=forged'));
  const cached = await fetch(forged, { headers: { range } });
  expect([cached.status, cached.headers.get('x-xorb-cache')]).toEqual([206, 'HIT']);
  for (let tries = 0; tries < 2; tries++) {
    const refused = await fetch(forged, { headers: { range: 'bytes=5-9' } });
    expect([refused.status, refused.headers.get('x-xorb-cache')]).toEqual([403, 'MISS']);
  }
  expect((await fetch(forged)).status).toBe(400);
  expect((await fetch(forged, { method: 'POST', headers: { range } })).status).toBe(403);
  const elsewhere = through(url).replace(new URL(hub.url).host, '127.0.0.1:1');
  expect((await fetch(elsewhere, { headers: { range } })).status).toBe(403);
});

test('a cache whose disk changes bytes is noticed, and is right again afterwards', async () => {
  const { hub, nginx, download } = await fleet();
  await download();
  for (const name of await filesUnder(nginx.cache)) {
    const path = join(nginx.cache, name);
    const bytes = await readFile(path);
    if ((await stat(path)).size < 1_000_000) continue;
    bytes.fill(0, 500_000, 500_100);
    await writeFile(path, bytes);
  }
  hub.resetRequests();
  await download();
  expect(seen(hub, 'xorb').length).toBeGreaterThan(0);
  hub.resetRequests();
  await download();
  expect(seen(hub, 'xorb')).toEqual([]);
});
