import * as now from 'node:fs';
import * as later from 'node:fs/promises';

/** Of what calls take, in milliseconds, so much counts as slow: to wait for several at once is faster then. */
const SLOW_MS = 0.3;
/** One call that took much longer says nothing of the others. */
const MAX_COUNTED_MS = 2;
/** Number of recent calls that the decision is based on. */
const JUDGED_CALLS = 32;
/** After so many calls on a slow disk it is looked at again. */
const LOOK_AGAIN_CALLS = 1000;

/** True if the disk is so fast that a synchronous call costs less than an asynchronous one. */
export class LatencyAverage {
  #averageMs = 0;
  #slowCalls = 0;

  get isSlow(): boolean {
    if (this.#averageMs <= SLOW_MS) return false;
    this.#slowCalls++;
    if (this.#slowCalls % LOOK_AGAIN_CALLS === 0) this.#averageMs = 0;
    return true;
  }

  took(ms: number): void {
    this.#averageMs += (Math.min(ms, MAX_COUNTED_MS) - this.#averageMs) / JUDGED_CALLS;
  }
}

/** A file that is open, as far as it is used where there may be such a thread. */
export interface DiskFile {
  read(
    buffer: NodeJS.ArrayBufferView,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ bytesRead: number }>;
  write(bytes: Uint8Array, offset: number, length: number, position: number | null): Promise<{ bytesWritten: number }>;
  stat(): Promise<now.Stats>;
  stat(options: { bigint: true }): Promise<now.BigIntStats>;
  truncate(length?: number): Promise<void>;
  readFile(): Promise<Buffer>;
  writeFile(content: string | Uint8Array): Promise<void>;
  chmod(mode: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export type AdaptiveFs = Omit<typeof later, 'open'> & {
  open: (path: string, flags?: string | number, mode?: number) => Promise<DiskFile>;
};

/**
 * `node:fs/promises` for a thread that has nothing else to do: what is asked of a file system takes a few microseconds,
 * and 40 to hand it to another thread and to hear of it. On a disk that turns out to be slow calls go side by side as ever.
 */
export function adaptiveFs(
  pace: { readonly isSlow: boolean; took(ms: number): void } = new LatencyAverage(),
): AdaptiveFs {
  const timed = <T>(call: () => T): T => {
    const started = performance.now();
    try {
      return call();
    } finally {
      pace.took(performance.now() - started);
    }
  };
  const quick = <F extends (...args: never[]) => Promise<unknown>>(
    atOnce: (...args: never[]) => unknown,
    slowly: F,
  ): F => (async (...args: never[]) => (pace.isSlow ? slowly(...args) : timed(() => atOnce(...args)))) as unknown as F;

  const quickFile = (fd: number): DiskFile => ({
    read: async (...args) => ({ bytesRead: timed(() => now.readSync(fd, ...args)) }),
    write: async (...args) => ({ bytesWritten: timed(() => now.writeSync(fd, ...args)) }),
    stat: (async (options?: now.StatOptions) => timed(() => now.fstatSync(fd, options))) as DiskFile['stat'],
    truncate: async (length) => timed(() => now.ftruncateSync(fd, length)),
    readFile: async () => timed(() => now.readFileSync(fd)),
    writeFile: async (content) => timed(() => now.writeFileSync(fd, content)),
    chmod: async (mode) => timed(() => now.fchmodSync(fd, mode)),
    sync: async () => timed(() => now.fsyncSync(fd)),
    close: async () => timed(() => now.closeSync(fd)),
  });

  return {
    ...later,
    open: async (path, flags, mode) =>
      pace.isSlow ? later.open(path, flags, mode) : quickFile(timed(() => now.openSync(path, flags ?? 'r', mode))),
    stat: quick(now.statSync, later.stat),
    lstat: quick(now.lstatSync, later.lstat),
    access: quick(now.accessSync, later.access),
    readFile: quick(now.readFileSync, later.readFile),
    writeFile: quick(now.writeFileSync, later.writeFile),
    readdir: quick(now.readdirSync, later.readdir),
    readlink: quick(now.readlinkSync, later.readlink),
    // The other one of the two follows each link by itself.
    realpath: quick(now.realpathSync.native, later.realpath),
    mkdir: quick(now.mkdirSync, later.mkdir),
    rename: quick(now.renameSync, later.rename),
    rm: quick(now.rmSync, later.rm),
    rmdir: quick(now.rmdirSync, later.rmdir),
    symlink: quick(now.symlinkSync, later.symlink),
    utimes: quick(now.utimesSync, later.utimes),
    chmod: quick(now.chmodSync, later.chmod),
  };
}
