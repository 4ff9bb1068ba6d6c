import { randomBytes } from 'node:crypto';
import { delay } from '../core/delay.ts';
import { lstat, open, rename, rm, utimes } from './disk.node.ts';
import { ifPresent } from './if-present.ts';
import { hasEnded, markIn, ownMark } from './process-mark.node.ts';
import { readBounded } from './small-files.node.ts';

/** Intervals of locks, in milliseconds. */
export interface LockTiming {
  pollMs: number;
  heartbeatMs: number;
  /** A holder whose lock has not changed for so long, while it was watched, is gone. */
  silentMs: number;
}

const TIMING: LockTiming = { pollMs: 100, heartbeatMs: 5_000, silentMs: 60_000 };
const MAX_LOCK_BYTES = 4096;

export interface LockOptions {
  signal: AbortSignal;
  /** Called once if somebody else has the lock. */
  onWait: () => void;
  timing?: LockTiming | undefined;
}

export interface HeldLock {
  /** Unique among all holders. */
  readonly nonce: string;
  /** True if the lock still names this holder. */
  isOurs(): Promise<boolean>;
  /** Leaves the lock of somebody else alone. */
  release(): Promise<void>;
}

/**
 * One holder at a time among processes, by a file that only one can create. It names its holder and is touched while
 * it is held. The lock of a process that has ended is taken over at once, and any other when it has not changed for a
 * minute of watching: clocks of machines differ, so times in files are compared only with each other.
 *
 * A process that was suspended may find that it has lost its lock. So a lock keeps others from doing the same work; what
 * must not go wrong takes {@link HeldLock.isOurs} as well.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<HeldLock> {
  const { signal, onWait, timing = TIMING } = options;
  const nonce = randomBytes(8).toString('hex');
  const content = JSON.stringify({ ...(await ownMark()), nonce });
  const silence = new Silence(10 * timing.pollMs);
  for (let waited = false; ; ) {
    signal.throwIfAborted();
    if (await create(path, content)) return hold(path, nonce, content, timing);
    const found = await lookAt(path);
    if (found === undefined) continue;
    const isAbandoned = (await isLeft(found.content)) || silence.of(found.sign, performance.now()) >= timing.silentMs;
    if (isAbandoned) {
      await removeLock(path, found.content);
      continue;
    }
    if (!waited) onWait();
    waited = true;
    await delay(timing.pollMs, signal);
  }
}

/** True if somebody has the lock at this path; undefined where only watching it would tell. */
export async function isLockHeld(path: string): Promise<boolean | undefined> {
  const found = await lookAt(path);
  if (found === undefined) return false;
  if (await isLeft(found.content)) return false;
  const holder = holderIn(found.content);
  return holder?.machine !== undefined && holder.machine === (await ownMark()).machine ? true : undefined;
}

/** For how long something has stayed as it is, as far as it was watched. */
export class Silence {
  readonly #mostCountedMs: number;
  #sign: string | undefined;
  #lastLook = 0;
  #ms = 0;

  /** @param mostCountedMs of the time between two looks: in a longer one the watcher itself did not run. */
  constructor(mostCountedMs: number) {
    this.#mostCountedMs = mostCountedMs;
  }

  /** @param now milliseconds of a clock that is never set. */
  of(sign: string, now: number): number {
    this.#ms = sign === this.#sign ? this.#ms + Math.min(now - this.#lastLook, this.#mostCountedMs) : 0;
    this.#sign = sign;
    this.#lastLook = now;
    return this.#ms;
  }
}

async function create(path: string, content: string): Promise<boolean> {
  const handle = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    throw error;
  });
  if (!handle) return false;
  try {
    await handle.writeFile(content);
  } catch (error) {
    // It says nothing, so nobody else could tell whose it is.
    await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  return true;
}

function hold(path: string, nonce: string, content: string, timing: LockTiming): HeldLock {
  const isOurs = async () => (await lookAt(path))?.content === content;
  const beat = async () => {
    if (!(await isOurs())) return;
    const now = new Date();
    await utimes(path, now, now);
  };
  // One that fails says nothing about the next.
  const heartbeat = setInterval(() => void beat().catch(() => undefined), timing.heartbeatMs);
  heartbeat.unref();
  return {
    nonce,
    isOurs,
    release: async () => {
      clearInterval(heartbeat);
      await removeLock(path, content);
    },
  };
}

/**
 * Removes a lock that says this, and no other. Whoever renames it has it; one that was taken anew in the meantime is put
 * back. Who holds that one may have missed it for a moment, and starts again then.
 */
async function removeLock(path: string, content: string | undefined): Promise<void> {
  if ((await lookAt(path))?.content !== content) return;
  const aside = `${path.replace(/\.incomplete$/, '')}.${randomBytes(8).toString('hex')}.incomplete`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await lookAt(aside))?.content === content) await rm(aside, { force: true });
  else await rename(aside, path);
}

interface LockLook {
  /** Undefined for anything but a small file. */
  content: string | undefined;
  /** Differs after each change. Not only the holder's clock counts, but the disk's as well. */
  sign: string;
}

/** Undefined if nothing is there. The file is opened each time: over a network only then its times are fresh. */
async function lookAt(path: string): Promise<LockLook | undefined> {
  const read = await readBounded(path, MAX_LOCK_BYTES);
  const found = read?.stats ?? (await ifPresent(() => lstat(path)));
  if (!found) return undefined;
  const content = read && new TextDecoder().decode(read.bytes);
  if (!read && found.isDirectory()) {
    throw Object.assign(new Error(`EISDIR: ${path}`), { code: 'EISDIR', syscall: 'open', path });
  }
  return { content, sign: `${found.ino} ${found.mtimeMs} ${found.ctimeMs} ${content}` };
}

/** True if a lock is left from a process that has ended. */
async function isLeft(content: string | undefined): Promise<boolean> {
  const holder = holderIn(content);
  return holder !== undefined && hasEnded(holder);
}

function holderIn(content: string | undefined) {
  try {
    return markIn(JSON.parse(content ?? ''));
  } catch {
    return undefined;
  }
}
