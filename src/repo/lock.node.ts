import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { open, readFile, rename, rm, stat, utimes } from '../disk/disk.node.ts';
import { delay } from '../http/delay.ts';

const POLL_MS = 100;
const HEARTBEAT_MS = 5_000;
/** A holder on another machine that has not been heard of for so long is gone. */
const SILENT_MS = 60_000;

/**
 * One holder at a time among processes, by a file that only one can create. It names its holder and is touched
 * while it is held: the lock of a process that was killed is taken over.
 */
export async function acquireLock(
  path: string,
  options: { signal: AbortSignal; onWait: () => void },
): Promise<() => Promise<void>> {
  let waited = false;
  for (;;) {
    const handle = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return undefined;
      throw error;
    });
    if (handle) {
      await handle.writeFile(
        JSON.stringify({ pid: process.pid, host: hostname(), nonce: randomBytes(8).toString('hex') }),
      );
      await handle.close();
      const heartbeat = setInterval(() => {
        const now = new Date();
        utimes(path, now, now).catch(() => clearInterval(heartbeat));
      }, HEARTBEAT_MS);
      heartbeat.unref();
      return async () => {
        clearInterval(heartbeat);
        await rm(path, { force: true });
      };
    }
    if (await removeIfAbandoned(path)) continue;
    if (!waited) options.onWait();
    waited = true;
    await delay(POLL_MS, options.signal);
  }
}

/** Whether somebody who is still there has the lock at this path. */
export async function isLockHeld(path: string): Promise<boolean> {
  const content = await readFile(path, 'utf8').catch(() => undefined);
  return content !== undefined && !(await isAbandoned(path, content));
}

async function removeIfAbandoned(path: string): Promise<boolean> {
  const content = await readFile(path, 'utf8').catch(() => undefined);
  if (content === undefined) return true;
  if (!(await isAbandoned(path, content))) return false;
  // Whoever renames it has it; a lock that was taken anew in the meantime is put back.
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch {
    return true;
  }
  if ((await readFile(aside, 'utf8').catch(() => content)) !== content) await rename(aside, path);
  else await rm(aside, { force: true });
  return true;
}

async function isAbandoned(path: string, content: string): Promise<boolean> {
  const touched = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  const silentMs = Date.now() - touched;
  const holder = parseHolder(content);
  // Between its creation and its first word a lock says nothing.
  if (!holder) return silentMs > HEARTBEAT_MS;
  if (holder.host === hostname() && !isAlive(holder.pid)) return true;
  return silentMs > SILENT_MS;
}

function parseHolder(content: string): { pid: number; host: string } | undefined {
  try {
    const { pid, host } = JSON.parse(content) as { pid?: unknown; host?: unknown };
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
