import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';

const run = promisify(execFile);

const HELP =
  'This test mounts a small tmpfs, to have a disk that is really full and a file system that is really read-only. ' +
  'Run it on Linux as root, or in a user and mount namespace: unshare --user --map-root-user --mount npm run test:faults';

export interface SmallDisk {
  path: string;
  /** Changes options of the mount, such as `size=8m` or `ro`. */
  remount(options: string): Promise<void>;
}

/** A file system of its own with so many bytes, gone when the test is. Root ignores permissions, but not this. */
export async function smallDisk(bytes: number): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), 'xetkit-test-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'xetkit-test', path]);
  } catch (cause) {
    await rm(path, { recursive: true });
    throw new Error(HELP, { cause });
  }
  onTestFinished(async () => {
    await run('umount', [path]);
    await rm(path, { recursive: true });
  });
  return {
    path,
    remount: async (options) => {
      await run('mount', ['-o', `remount,${options}`, path]);
    },
  };
}
