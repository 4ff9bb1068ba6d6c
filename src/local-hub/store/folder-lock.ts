import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { XetError } from '../../core/errors.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { hasEnded, ownMark } from '../../fs/process-mark.node.ts';

const POLL_MS = 50;
const HEARTBEAT_MS = 2_000;
/** A holder whose process cannot be looked at is gone when its lock has not been touched for so long. */
const SILENT_MS = 30_000;
const UNKNOWN_START = '0';

/** A process, as far as others can tell it from any other. */
interface Holder {
  /** Two processes with equal values see each other's process ids. */
  machine: string;
  pid: number;
  /** Start time of the process, in the system's own units; `0` where it does not say. It tells a reused id. */
  started: string;
  nonce: string;
}

export interface FolderLock {
  /** Rejects once another process has taken the folder over, as it may from a process that was stopped for long. */
  confirm(): Promise<void>;
  /** Lets others name the address in their refusal. */
  announce(url: string): Promise<void>;
  release(): Promise<void>;
}

/** Locks held by this process, which needs no look at the process table for them. */
const ours = new Set<string>();

/**
 * One process at a time uses a folder. Each writes a file under a name of its own first, and looks for the files of others then:
 * of two that come together at least one sees the other, and no file is ever removed that could belong to a live process.
 */
export async function lockFolder(dir: string, locks: string, silentMs = SILENT_MS): Promise<FolderLock> {
  await mkdir(locks, { recursive: true });
  if (!(await lstat(locks)).isDirectory()) {
    throw new XetError('INVALID_ARGUMENT', `${locks} is not a folder. Remove it, or use another --dir.`);
  }
  const me: Holder = { ...(await thisProcess()), nonce: randomBytes(8).toString('hex') };
  const name = fileName(me);
  const path = join(locks, name);
  await writeFile(path, '', { flag: 'wx' });
  ours.add(name);
  const heartbeat = setInterval(() => {
    const now = new Date();
    // A failure may pass; whether the lock still exists is asked before anything is published.
    utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  const release = async () => {
    clearInterval(heartbeat);
    await rm(path, { force: true });
    ours.delete(name);
  };
  try {
    await waitForOthers(dir, locks, me, silentMs);
  } catch (error) {
    await release();
    throw error;
  }
  return {
    confirm: async () => {
      if (ours.has(name) && (await ifPresent(() => lstat(path)))) return;
      throw new XetError('CONFLICT', `${dir} has been taken over by another process. Restart this Hub.`);
    },
    announce: (url) => writeFile(path, JSON.stringify({ url })),
    release,
  };
}

async function waitForOthers(dir: string, locks: string, me: Holder, silentMs: number): Promise<void> {
  const since = performance.now();
  for (;;) {
    const others = (await readdir(locks)).filter((name) => name !== fileName(me));
    let waiting = false;
    for (const name of others) {
      const other = parseName(name);
      if (!other) continue;
      const path = join(locks, name);
      if (!(await isAlive(other, me, path, silentMs))) {
        await rm(path, { force: true });
        continue;
      }
      const url = await servedAt(path);
      // Of two that start together the one with the greater number leaves; the other waits for it to do so.
      if (url !== undefined || other.nonce < me.nonce || performance.now() - since > silentMs) {
        throw inUse(dir, other, me, url);
      }
      waiting = true;
    }
    if (!waiting) return;
    await sleep(POLL_MS);
  }
}

function inUse(dir: string, other: Holder, me: Holder, url: string | undefined): XetError {
  const who =
    other.machine !== me.machine
      ? `process ${other.pid} of another machine or container`
      : other.pid === me.pid
        ? 'this process'
        : `process ${other.pid}`;
  const where = url === undefined ? '' : ` at ${url}`;
  return new XetError('CONFLICT', `${dir} is served by ${who}${where}. Use another --dir, or end that one first.`);
}

async function isAlive(other: Holder, me: Holder, path: string, silentMs: number): Promise<boolean> {
  if (ours.has(fileName(other))) return true;
  if (other.machine === me.machine) {
    const isKnown = other.started !== UNKNOWN_START;
    const mark = { ...(await ownMark()), pid: other.pid, started: isKnown ? other.started : undefined };
    if (await hasEnded(mark)) return false;
    if (isKnown) return true;
  }
  return isTouched(path, silentMs);
}

/** Watches a lock by this process's own monotonic clock: clocks of other machines may be wrong. */
async function isTouched(path: string, silentMs: number): Promise<boolean> {
  const first = await lastTouch(path);
  for (const since = performance.now(); performance.now() - since < silentMs; ) {
    await sleep(POLL_MS);
    const touch = await lastTouch(path);
    if (touch === undefined) return false;
    if (touch !== first) return true;
  }
  return false;
}

/** State that each heartbeat changes. Opens the file, as network file systems ask the server only then. */
function lastTouch(path: string): Promise<string | undefined> {
  return ifPresent(async () => {
    const file = await open(path, 'r');
    try {
      const { mtimeMs, size } = await file.stat();
      return `${mtimeMs} ${size}`;
    } finally {
      await file.close();
    }
  });
}

async function servedAt(path: string): Promise<string | undefined> {
  const text = await ifPresent(() => readFile(path, 'utf8'));
  try {
    const { url } = JSON.parse(text ?? '{}') as { url?: unknown };
    return typeof url === 'string' && /^http:\/\/[\w.:[\]-]{1,200}$/.test(url) ? url : undefined;
  } catch {
    // Empty until the other process has announced its address.
    return undefined;
  }
}

function fileName({ machine, pid, started, nonce }: Holder): string {
  return `${machine}.${pid}.${started}.${nonce}`;
}

function parseName(name: string): Holder | undefined {
  const match = /^([0-9a-f]{16})\.(\d{1,10})\.(\d{1,20})\.([0-9a-f]{16})$/.exec(name);
  if (!match) return undefined;
  const [, machine = '', pid, started = '', nonce = ''] = match;
  return { machine, pid: Number(pid), started, nonce };
}

async function thisProcess(): Promise<Omit<Holder, 'nonce'>> {
  const { machine, host, pid, started } = await ownMark();
  const name = createHash('sha256')
    .update(machine ?? host)
    .digest('hex')
    .slice(0, 16);
  return { machine: name, pid, started: started ?? UNKNOWN_START };
}
