import {
  chmod,
  lstat,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { clientOf, filesUnder, scratch, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { Draw } from './draw.ts';
import { privateHub } from './harness.ts';
import { HUB_TOKEN } from './hygiene.ts';

const REPO = 'owner/model';
const files: Record<string, Uint8Array> = {
  'config.json': randomBytes(900, 1),
  'sub/small.bin': randomBytes(150_000, 2),
  'sub/large.bin': randomBytes(900_000, 3),
  'weights.bin': randomBytes(2_500_000, 4),
};

let hub: LocalHub;
beforeAll(async () => {
  hub = await privateHub(REPO, files, { chunksPerXorb: 8 });
});
afterAll(() => hub.close());

/** Damages one thing in a folder, as a disk, a crash or somebody else could. */
async function mutate(draw: Draw, folder: string, outside: string): Promise<string> {
  const names = await filesUnder(folder);
  const name = draw.pick(names);
  const path = join(folder, name);
  const size = (await stat(path).catch(() => ({ size: 0 }))).size;
  const steps: [string, () => Promise<unknown>][] = [
    [
      'a bit',
      async () => {
        if (size === 0 || (await lstat(path)).isSymbolicLink()) return;
        const { mtime, atime } = await stat(path);
        const file = await open(path, 'r+');
        const at = draw.whole(0, size - 1);
        const byte = new Uint8Array(1);
        await file.read(byte, 0, 1, at);
        await file.write(Uint8Array.of((byte[0] ?? 0) ^ (1 << draw.whole(0, 7))), 0, 1, at);
        await file.close();
        if (draw.percent(30)) await utimes(path, atime, mtime);
      },
    ],
    ['cut', async () => (await lstat(path)).isFile() && truncate(path, draw.whole(0, size))],
    ['longer', async () => (await lstat(path)).isFile() && truncate(path, size + draw.whole(1, 5000))],
    ['gone', () => rm(path)],
    [
      'a folder',
      async () => {
        await rm(path);
        await mkdir(join(path, 'full'), { recursive: true });
      },
    ],
    [
      'a link outside',
      async () => {
        await rm(path);
        await symlink(outside, path);
      },
    ],
    [
      'a link to nothing',
      async () => {
        await rm(path);
        await symlink('nowhere', path);
      },
    ],
    [
      'swapped',
      async () => {
        const other = join(folder, draw.pick(names));
        if (other === path) return;
        await rename(path, `${path}.aside`);
        await rename(other, path).catch(() => undefined);
        await rename(`${path}.aside`, other).catch(() => undefined);
      },
    ],
    ['other bytes', async () => (await lstat(path)).isFile() && writeFile(path, randomBytes(Math.max(1, size), 99))],
    ['other times', async () => (await lstat(path)).isFile() && utimes(path, draw.whole(0, 4e9), draw.whole(0, 4e9))],
    ['other permissions', async () => (await lstat(path)).isFile() && chmod(path, draw.pick([0o000, 0o444, 0o777]))],
  ];
  const [what, step] = draw.pick(steps);
  await step();
  return `${what}: ${name}`;
}

test.each(Array.from({ length: 40 }, (_, index) => index + 1))(
  'a damaged cache gives the right bytes or a typed error (%i)',
  async (seed) => {
    const draw = new Draw(seed);
    const toCache = draw.percent(60);
    const home = await scratch();
    const folder = join(home, 'folder');
    const outside = join(await scratch(), 'canary');
    await writeFile(outside, 'canary');
    const where = toCache ? { cacheDir: folder } : {};
    const client = () =>
      clientOf(hub, { accessToken: HUB_TOKEN, chunkCache: { dir: join(home, 'kept') }, onWarning: () => {}, ...where });
    const target = toCache ? {} : { localDir: folder };
    await client().snapshot({ repo: REPO, ...target });
    for (let round = 0; round < 4; round++) {
      const done: string[] = [];
      for (let count = draw.whole(1, 5); count > 0; count--) {
        done.push(await mutate(draw, draw.percent(75) ? folder : join(home, 'kept'), outside));
      }
      const damage = done.join(', ');
      const another = client();
      const snapshot = await another.snapshot({ repo: REPO, ...target }).catch((error: unknown) => {
        expect(error, damage).toMatchObject({ name: 'XetError' });
        return undefined;
      });
      for (const [path, content] of Object.entries(files)) {
        const force = draw.percent(10);
        const result = await another.downloadFile({ repo: REPO, path, force, ...target }).catch((error: unknown) => {
          expect(error, damage).toMatchObject({ name: 'XetError' });
          return undefined;
        });
        const placed = result as { path: string; localPath?: string } | undefined;
        if (placed) expect(sha256(await readFile(placed.localPath ?? placed.path)), damage).toBe(sha256(content));
        const read = await (await another.open({ repo: REPO, path })).arrayBuffer();
        expect(sha256(read), damage).toBe(sha256(content));
      }
      if (snapshot) {
        const held = snapshot.files as { path: string; localPath?: string; file?: string }[];
        expect(held, damage).toHaveLength(Object.keys(files).length);
      }
      expect(await readFile(outside, 'utf8'), damage).toBe('canary');
    }
  },
);
