import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { clientOf, hubFor, scratch, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { Draw } from './draw.ts';
import { smallDisk } from './mount.ts';

const MB = 1_000_000;
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const contents = Array.from({ length: 4 }, (_, index) => randomBytes(6 * MB, 300 + index));
const plain = randomBytes(200_000, 299).map((byte) => 97 + (byte % 26));

async function upstream(): Promise<LocalHub> {
  const hub = await hubFor();
  await hub.commitFiles('me/model', {
    ...Object.fromEntries(contents.map((bytes, index) => [`w${index}.bin`, bytes])),
    'plain.txt': plain,
  });
  return hub;
}

async function mirrorProcess(hub: LocalHub, dir: string): Promise<{ child: ChildProcess; url: string }> {
  const args = [CLI, 'serve', '--upstream', hub.url, '--dir', dir, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, url: (JSON.parse(line.toString()) as { url: string }).url };
}

test('a mirror that is killed at any moment starts again with a store that gives the right bytes', async () => {
  const hub = await upstream();
  hub.faults.bytesPerSecond = 40 * MB;
  const dir = join(await scratch(), 'mirror');
  const draw = new Draw(20);
  for (let round = 0; round < 20; round++) {
    const { child, url } = await mirrorProcess(hub, dir);
    const ended = once(child, 'close');
    const loads = contents.map((_, index) =>
      fetch(`${url}/me/model/resolve/main/w${index}.bin`)
        .then((answer) => answer.arrayBuffer())
        .catch(() => undefined),
    );
    await new Promise((resolve) => setTimeout(resolve, draw.whole(20, 270)));
    child.kill('SIGKILL');
    await ended;
    for (const [index, bytes] of (await Promise.all(loads)).entries()) {
      if (bytes) expect(sha256(bytes)).toBe(sha256(contents[index] as Uint8Array));
    }
  }
  hub.faults.bytesPerSecond = 0;
  const { url } = await mirrorProcess(hub, dir);
  for (const [index, content] of contents.entries()) {
    const answer = await fetch(`${url}/me/model/resolve/main/w${index}.bin`);
    expect(sha256(await answer.arrayBuffer()), `w${index}.bin`).toBe(sha256(content));
  }
  const client = clientOf({ url } as LocalHub, { accessToken: '' });
  const result = await client.downloadFile({ repo: 'me/model', path: 'w0.bin', localDir: await scratch() });
  expect(result.verified).toBe('xet');
}, 180_000);

test('a mirror with a full disk passes content through, says so, and stores again when there is room', async () => {
  const hub = await upstream();
  const disk = await smallDisk(24 * 1024 * 1024);
  const lines: string[] = [];
  const dir = join(disk.path, 'mirror');
  const mirror = await startLocalHub({ upstream: hub.url, dir, log: (line) => lines.push(line) });
  onTestFinished(() => mirror.close());
  const load = async (path: string, content: Uint8Array) => {
    const answer = await fetch(`${mirror.url}/me/model/resolve/main/${path}`);
    expect(answer.status, path).toBe(200);
    expect(sha256(await answer.arrayBuffer()), path).toBe(sha256(content));
  };
  const filler = join(disk.path, 'filler');
  const { bavail, bsize } = await statfs(disk.path);
  await writeFile(filler, new Uint8Array(bavail * bsize - 2 * MB));
  for (const [index, content] of contents.entries()) await load(`w${index}.bin`, content);
  await writeFile(join(disk.path, 'filler2'), new Uint8Array(3 * MB)).catch(() => undefined);
  await load('plain.txt', plain);
  expect(lines.some((line) => line.includes('passed through without being stored'))).toBe(true);
  await rm(filler);
  for (const [index, content] of contents.entries()) await load(`w${index}.bin`, content);
}, 120_000);
