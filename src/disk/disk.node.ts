import * as later from 'node:fs/promises';
import { isMainThread, workerData } from 'node:worker_threads';
import { type Disk, quickDisk } from './quick-disk.node.ts';

/** What the thread that takes steps on the disk is told to be. */
export const DISK_THREAD = 'xetkit-disk';

/** The file system, as this thread uses it: where programs run nobody waits for a disk, in the thread for it all do. */
const disk: Disk = !isMainThread && workerData === DISK_THREAD ? quickDisk() : later;

export const {
  access,
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  utimes,
  writeFile,
} = disk;
export type { DiskFile } from './quick-disk.node.ts';
