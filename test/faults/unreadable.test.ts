import { execFile } from 'node:child_process';
import { chmod, chown, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { type ForOthers, forOthers } from '../support/for-others.ts';
import { clientOf, filesUnder, scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { jsonLines } from './children.ts';
import { privateHub } from './harness.ts';
import { HUB_TOKEN } from './hygiene.ts';

const REPO = 'owner/model';
const SOMEBODY = 12_345;
const isRoot = process.geteuid?.() === 0;

let hub: LocalHub;
let others: ForOthers;
beforeAll(async () => {
  others = await forOthers();
  hub = await privateHub(REPO, { 'a.bin': randomBytes(300_000, 1), 'sub/b.txt': randomBytes(3000, 2) });
});
afterAll(async () => {
  await hub.close();
  await others.remove();
});

async function cacheFolder(): Promise<{ cacheDir: string; repo: string; commit: string }> {
  const cacheDir = await scratch();
  const { commit } = await clientOf(hub, { cacheDir, accessToken: HUB_TOKEN }).snapshot({ repo: REPO });
  const repo = join(cacheDir, 'models--owner--model');
  for (const path of ['', ...(await readdir(cacheDir, { recursive: true }))]) {
    await chown(join(cacheDir, path), SOMEBODY, SOMEBODY);
  }
  return { cacheDir, repo, commit };
}

/** The command as a user to whom the cache belongs, and who is not the administrator: that one may read everything. */
function verify(cacheDir: string, ...more: string[]) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(
      others.node,
      [others.built('cli'), 'cache', 'verify', '--cache-dir', cacheDir, ...more],
      { uid: SOMEBODY, gid: SOMEBODY, env: { PATH: process.env.PATH, HOME: cacheDir, XETKIT_CACHE: `${cacheDir}/x` } },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test.runIf(isRoot).each([
  ['a repository', () => ''],
  ['its content', () => 'blobs'],
  ['its snapshots', () => 'snapshots'],
  ['one snapshot', (commit: string) => `snapshots/${commit}`],
  ['a folder of a snapshot', (commit: string) => `snapshots/${commit}/sub`],
  ['its refs', () => 'refs'],
  ['one file', (_commit: string, blob: string) => `blobs/${blob}`],
])('%s that cannot be read is no success, and nothing of it is removed', async (_what, placeOf) => {
  const { cacheDir, repo, commit } = await cacheFolder();
  const [blob = ''] = await readdir(join(repo, 'blobs'));
  const before = await filesUnder(cacheDir);
  expect(await verify(cacheDir)).toMatchObject({ code: 0, stderr: expect.stringContaining('all as they should be') });
  const place = join(repo, placeOf(commit, blob));
  await chmod(place, 0);
  const { code, stdout, stderr } = await verify(cacheDir);
  expect(code, stderr).toBe(1);
  // Files go by their names in snapshots.
  expect(stdout + stderr).toContain(place.endsWith(blob) ? join(repo, 'snapshots', commit) : place);
  expect(stderr).toMatch(/could not be read/);
  expect(stderr).not.toContain('all as they should be');
  const json = await verify(cacheDir, '--json', '--repair');
  expect(json.code).toBe(1);
  const summary = jsonLines(json.stdout).find((line) => line.summary);
  expect(summary).toMatchObject({ wrong: 0, removed: 0 });
  expect(summary?.unreadable).toBeGreaterThan(0);
  await chmod(place, 0o755);
  expect((await filesUnder(cacheDir)).filter((path) => !path.startsWith('x/'))).toEqual(
    before.filter((path) => !path.startsWith('x/')),
  );
  expect((await verify(cacheDir)).code).toBe(0);
});

test.runIf(isRoot)('a cache folder that cannot be read is named', async () => {
  const { cacheDir } = await cacheFolder();
  await chmod(cacheDir, 0);
  const { code, stderr } = await verify(cacheDir);
  expect(code).toBe(1);
  expect(stderr).toContain(`${cacheDir} cannot be read by this user`);
  await chmod(cacheDir, 0o755);
});
