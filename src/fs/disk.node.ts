import * as later from 'node:fs/promises';
import { isMainThread, workerData } from 'node:worker_threads';
import { withDescriptor } from '../core/descriptors.node.ts';
import { type AdaptiveFs, adaptiveFs } from './adaptive-fs.node.ts';

/** Worker data that marks the disk thread. */
export const DISK_THREAD = 'xetkit-disk';

/** The file system, as this thread uses it: where programs run nobody waits for a disk, in the thread for it all do. */
const isDiskThread = !isMainThread && workerData === DISK_THREAD;
const disk: AdaptiveFs = isDiskThread ? adaptiveFs() : later;

export const { access, chmod, chown, lstat, mkdir, readlink, realpath, rename, rmdir, stat, symlink, unlink, utimes } =
  disk;

/** The same call, which waits for a descriptor where there is none. The thread for the disk has whoever asked wait. */
const patient = <F extends (...args: never[]) => Promise<unknown>>(call: F): F =>
  isDiskThread ? call : (((...args: never[]) => withDescriptor(() => call(...args))) as unknown as F);

export const open = patient(disk.open);
export const copyFile = patient(disk.copyFile);
export const readdir = patient(disk.readdir);
export const readFile = patient(disk.readFile);
export const rm = patient(disk.rm);
export const writeFile = patient(disk.writeFile);
export type { DiskFile } from './adaptive-fs.node.ts';
