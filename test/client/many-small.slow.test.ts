import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { clientOf, filesUnder, hubFor, scratch } from '../support/hub.ts';

// So many small files that a thread takes their steps on the disk.
const COUNT = 200;
const REPO = 'owner/many';

const contentOf = (index: number) => new TextEncoder().encode(`content of ${index}\n`.repeat(50 + index));
// Some are kept in the CAS, the others in git.
const contents = new Map(
  Array.from({ length: COUNT }, (_, index) => [
    `${index % 7}/${index}.${index % 3 === 0 ? 'txt' : 'bin'}`,
    contentOf(index),
  ]),
);

async function filled() {
  const hub = await hubFor();
  const files = [...contents];
  await hub.commitFiles(REPO, Object.fromEntries(files.filter(([path]) => path.endsWith('.txt'))));
  await hub.commitFiles(REPO, Object.fromEntries(files.filter(([path]) => path.endsWith('.bin'))), { xet: 'always' });
  return hub;
}

/** What of it is in a folder under its right name; nothing else may be. */
async function rightIn(folder: string): Promise<number> {
  const paths = (await filesUnder(folder)).filter((path) => !path.startsWith('.cache/'));
  for (const path of paths)
    expect(Buffer.compare(await readFile(join(folder, path)), contents.get(path) ?? Buffer.of())).toBe(0);
  return paths.length;
}

describe('a snapshot of many small files', () => {
  test.each([
    ['the cache folder', false],
    ['a folder', true],
  ])('into %s is whole, and is fetched once', async (_, local) => {
    const hub = await filled();
    const folder = await scratch();
    const client = clientOf(hub, { cacheDir: join(folder, 'hub') });
    const selection = { repo: REPO, ...(local && { localDir: join(folder, 'out') }) };
    const { folder: path, bytes } = await client.snapshot(selection);
    for (const [name, content] of contents) {
      expect(Buffer.compare(await readFile(join(path, name)), content)).toBe(0);
    }
    expect(bytes.local).toBe(0);
    const before = hub.requests.length;
    const again = await client.snapshot(selection);
    expect(again.bytes.network).toBe(0);
    expect(new Set(again.files.map(({ verified }) => verified))).toEqual(new Set(['xet', 'git-sha1']));
    // The commit that the branch stands for.
    expect(hub.requests.length - before).toBe(1);
    expect((await filesUnder(folder)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  test('notices a file that was changed since, and fetches that one', async () => {
    const hub = await filled();
    const folder = await scratch();
    const cacheDir = join(folder, 'hub');
    const selection = { repo: REPO, localDir: join(folder, 'out') };
    const first = clientOf(hub, { cacheDir });
    const { folder: path } = await first.snapshot(selection);
    await first.close();
    const [name = '', content = new Uint8Array()] = [...contents][10] ?? [];
    const changed = content.slice();
    changed[5] = (changed[5] ?? 0) ^ 1;
    const { atime, mtime } = await stat(join(path, name));
    await writeFile(join(path, name), changed, { flag: 'r+' });
    await utimes(join(path, name), atime, mtime);
    for (const fetched of [1, 0]) {
      const client = clientOf(hub, { cacheDir });
      const { files } = await client.snapshot(selection);
      expect(files.filter(({ bytes }) => bytes.local === 0)).toHaveLength(fetched);
      expect(await rightIn(path)).toBe(COUNT);
      await client.close();
    }
  });

  test('that is stopped leaves what is right, and goes on', async () => {
    const hub = await filled();
    const folder = await scratch();
    const controller = new AbortController();
    const client = clientOf(hub, { cacheDir: join(folder, 'hub') });
    let there = 0;
    const onFile = () => {
      if (++there === COUNT / 4) controller.abort(new Error('enough'));
    };
    const localDir = join(folder, 'out');
    await expect(client.snapshot({ repo: REPO, localDir, onFile, signal: controller.signal })).rejects.toThrow(
      'enough',
    );
    await client.close();
    const right = await rightIn(localDir);
    expect(right).toBeGreaterThanOrEqual(COUNT / 4);
    expect(right).toBeLessThan(COUNT);
    const next = clientOf(hub, { cacheDir: join(folder, 'hub') });
    const { bytes } = await next.snapshot({ repo: REPO, localDir });
    expect(bytes.local).toBeGreaterThan(0);
    expect(await rightIn(localDir)).toBe(COUNT);
  });

  test('whose process is killed leaves no file that is not whole, and goes on', async () => {
    const hub = await filled();
    const folder = await scratch();
    const localDir = join(folder, 'out');
    const program = `
      import { XetClient } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../dist/node.js')).href)};
      const client = new XetClient({ endpoint: ${JSON.stringify(hub.url)}, accessToken: '', cacheDir: ${JSON.stringify(join(folder, 'hub'))}, chunkCache: { dir: ${JSON.stringify(join(folder, 'tiers'))} } });
      let there = 0;
      const onFile = () => { if (++there === 30) process.kill(process.pid, 'SIGKILL'); };
      await client.snapshot({ repo: ${JSON.stringify(REPO)}, localDir: ${JSON.stringify(localDir)}, onFile });
    `;
    const killed = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'inherit' });
    expect((await once(killed, 'exit'))[1]).toBe('SIGKILL');
    const right = await rightIn(localDir);
    expect(right).toBeGreaterThanOrEqual(30);
    expect(right).toBeLessThan(COUNT);
    const client = clientOf(hub, { cacheDir: join(folder, 'hub'), chunkCache: { dir: join(folder, 'tiers') } });
    await client.snapshot({ repo: REPO, localDir });
    expect(await rightIn(localDir)).toBe(COUNT);
  });
});
