import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { XetClient } from 'xetkit';
import { bytesOf, call, commit, file, noise, same, TOKEN, temporaryFolder } from '../helpers.ts';
import { mirrored, small } from './helpers.ts';

const content = noise(41, 2_000_000);

test('uploads through a mirror that hands them on arrive at the upstream and are seen at once', async () => {
  const { hub, mirror } = await mirrored({ uploads: 'proxy' });
  await hub.commitFiles('me/m', { 'config.json': small });
  expect((await call(mirror, '/api/models/me/m/revision/main')).status).toBe(200);
  const client = new XetClient({ endpoint: mirror.url, accessToken: 'hf_local', recipes: false, chunkCache: false });
  const files = [{ path: 'new.bin', content: new Blob([new Uint8Array(content)]) }];
  const { commit: made } = await client.upload({ repo: 'me/m', files, title: 'Add' });
  const info = (await (await call(hub, '/api/models/me/m/revision/main')).json()) as { sha: string };
  expect(info.sha).toBe(made);
  for (const one of [hub, mirror]) {
    const seen = (await (await call(one, '/api/models/me/m/revision/main')).json()) as { sha: string };
    expect(seen.sha).toBe(made);
    expect(same(await bytesOf(await fetch(`${one.url}/me/m/resolve/main/new.bin`)), content)).toBe(true);
  }
  await client.close();
});

test('an upload by somebody who may not write is refused as the upstream refuses it', async () => {
  const { hub, mirror } = await mirrored({ uploads: 'proxy' }, { openWrites: false });
  await hub.commitFiles('me/m', { 'config.json': small });
  for (const token of ['hf_other', 'hf_wrong']) {
    const [there, here] = await Promise.all(
      [hub, mirror].map((one) => commit(one, 'me/m', [file('a.txt', 'a')], { token })),
    );
    expect([here?.status, await here?.text()]).toEqual([there?.status, await there?.text()]);
    const writing = { headers: { authorization: `Bearer ${token}` } };
    const granted = await call(mirror, '/api/models/me/m/xet-write-token/main', writing);
    expect(granted.status).toBe((await call(hub, '/api/models/me/m/xet-write-token/main', writing)).status);
  }
});

test('an upload whose upstream cannot be reached fails and leaves nothing behind', async () => {
  const dir = await temporaryFolder();
  const { hub, mirror, proxy } = await mirrored({ uploads: 'proxy', dir });
  await hub.commitFiles('me/m', { 'config.json': small });
  proxy.intercept = () => true;
  const answer = await commit(mirror, 'me/m', [file('a.txt', 'a')]);
  expect([answer.status, await answer.text()]).toEqual([502, expect.stringContaining('cannot reach')]);
  expect(await readdir(join(dir, '.xetkit-staging'))).toEqual([]);
  expect((await call(hub, '/me/m/resolve/main/a.txt', { headers: TOKEN })).status).toBe(404);
});

test('a read token of a mirror does not write', async () => {
  const { hub, mirror } = await mirrored({ uploads: 'proxy' });
  await hub.commitFiles('me/m', { 'config.json': small });
  const answer = await call(mirror, '/api/models/me/m/xet-read-token/main', { headers: TOKEN });
  const { accessToken } = (await answer.json()) as { accessToken: string };
  const write = { method: 'POST', headers: { authorization: `Bearer ${accessToken}` }, body: 'x' };
  expect((await call(mirror, `/cas/v1/xorbs/default/${'0'.repeat(64)}`, write)).status).toBe(403);
  expect((await call(mirror, '/cas/v2/shards', write)).status).toBe(403);
});
