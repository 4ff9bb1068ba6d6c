import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { startLocalHub } from 'xetkit/local-hub';
import { clientOf, hubFor, scratch, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { Draw } from './draw.ts';
import { smallDisk } from './mount.ts';

const MB = 1_000_000;
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

test('what a Hub with a full disk accepts can be downloaded, and what it refuses can be sent again', async () => {
  const disk = await smallDisk(20 * 1024 * 1024);
  const dir = join(disk.path, 'hub');
  const hub = await startLocalHub({ dir });
  onTestFinished(() => hub.close());
  await hub.createRepo('me/model');
  const filler = join(disk.path, 'filler');
  const contents = Array.from({ length: 8 }, (_, index) => randomBytes(1.5 * MB, 100 + index));
  const client = () => clientOf(hub, { accessToken: 'hf_local', retry: { attempts: 2 } });
  const upload = (index: number) =>
    client().upload({
      repo: 'me/model',
      files: [{ path: `w${index}.bin`, content: new Blob([new Uint8Array(contents[index] ?? [])]) }],
      title: 'Add',
    });
  const accepted: number[] = [];
  for (const index of contents.keys()) {
    // Room for a part of the body only, or for all of it twice: a xorb sent through a grant is copied when committed.
    await rm(filler, { force: true });
    const { bavail, bsize } = await statfs(disk.path);
    await writeFile(filler, new Uint8Array(bavail * bsize - (index % 2 ? 4 : 0.7) * MB));
    await upload(index).then(
      () => accepted.push(index),
      () => undefined,
    );
  }
  await rm(filler, { force: true });
  expect(accepted).toEqual([1, 3, 5, 7]);
  const check = async (index: number) => {
    const answer = await fetch(`${hub.url}/me/model/resolve/main/w${index}.bin`);
    expect(sha256(await answer.arrayBuffer()), `w${index}.bin`).toBe(sha256(contents[index] ?? new Uint8Array()));
  };
  for (const index of accepted) await check(index);
  for (const index of contents.keys()) await upload(index);
  for (const index of contents.keys()) await check(index);
  expect((await readdir(join(dir, '.xetkit-staging'))).length, 'nothing unfinished is left').toBe(0);
});

test('a full disk is answered 507', async () => {
  const disk = await smallDisk(2 * 1024 * 1024);
  const hub = await hubFor({ dir: join(disk.path, 'hub') });
  await hub.createRepo('me/model');
  await writeFile(join(disk.path, 'filler'), new Uint8Array(3 * MB)).catch(() => undefined);
  const line = (key: string, value: object) => JSON.stringify({ key, value });
  const content = Buffer.from(randomBytes(500_000, 5)).toString('base64');
  const answer = await fetch(`${hub.url}/api/models/me/model/commit/main`, {
    method: 'POST',
    headers: { authorization: 'Bearer hf_local', 'content-type': 'application/x-ndjson' },
    body: [line('header', { summary: 's' }), line('file', { path: 'a', content, encoding: 'base64' })].join('\n'),
  });
  expect([answer.status, await answer.json()]).toEqual([
    507,
    { error: expect.stringMatching(/disk of this Hub is full/) },
  ]);
  await rm(join(disk.path, 'filler'));
  expect((await fetch(`${hub.url}/api/models/me/model`)).status).toBe(200);
});

async function serve(dir: string) {
  const child = spawn(process.execPath, [CLI, 'serve', '--dir', dir], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (piece) => {
        said += piece;
        const found = /at (http:\/\/[\w.:]+), data/.exec(said)?.[1];
        if (found) resolve(found);
      });
    child.on('exit', () => reject(new Error(said)));
  });
  return { child, url };
}

test('a Hub that is killed in the middle of commits starts again at once and has all that it acknowledged', async () => {
  const dir = await scratch();
  const draw = new Draw(11);
  const done: string[] = [];
  for (let round = 0; round < 8; round++) {
    const { child, url } = await serve(dir);
    const headers = { authorization: 'Bearer hf_local', 'content-type': 'application/x-ndjson' };
    if (round === 0) {
      await fetch(`${url}/api/repos/create`, { method: 'POST', headers, body: '{"name":"me/model"}' });
    }
    const tree = (await (await fetch(`${url}/api/models/me/model/tree/main`)).json()) as { path: string }[];
    expect(tree.map(({ path }) => path)).toEqual(expect.arrayContaining(done));
    const most = draw.whole(1, 25);
    let next = 0;
    const commit = async (): Promise<void> => {
      const path = `f${round}-${next++}`;
      const body = `{"key":"header","value":{"summary":"s"}}\n{"key":"file","value":{"path":"${path}","content":"${path}","encoding":"utf-8"}}`;
      const answer = await fetch(`${url}/api/models/me/model/commit/main`, { method: 'POST', headers, body });
      if (answer.status !== 200) throw new Error(await answer.text());
      done.push(path);
      if (next >= most) child.kill('SIGKILL');
      return commit();
    };
    await Promise.all(Array.from({ length: 4 }, () => commit().catch(() => undefined)));
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  expect(done.length).toBeGreaterThan(8);
  const { url } = await serve(dir);
  for (const path of done) expect(await (await fetch(`${url}/me/model/resolve/main/${path}`)).text()).toBe(path);
});

test('a second process is refused in one line that names the first', async () => {
  const dir = await scratch();
  const { child, url } = await serve(dir);
  const second = await serve(dir).then(
    () => '',
    (error: Error) => error.message,
  );
  expect(second.trim().split('\n')).toHaveLength(1);
  expect(second).toContain(`is served by process ${child.pid} at ${url}. Use another --dir`);
});
