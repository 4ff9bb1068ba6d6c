import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open as openFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { withDescriptor } from '../../core/descriptors.node.ts';
import { isOutOfDescriptors } from '../../core/descriptors.ts';
import { stat } from '../../fs/disk.node.ts';
import { makeFolder } from '../../fs/disk-errors.node.ts';

/**
 * Locks that Python's client and we respect alike: flock(2) on a file that stays. Node cannot call flock. But such a
 * lock belongs to the open file, not to the process that asked for it: a short-lived child takes it for a file that
 * it was given open, and it is held until that file is closed here, at the latest when this process ends.
 */
export interface PythonLock {
  release(): Promise<void>;
}

/** Taking a lock costs a child process, some 3 ms: for less than this a second download is cheaper. */
export const LOCK_WORTH_BYTES = 1024 * 1024;

/** Exit code of a child that found the lock taken, and waited in vain if it was to wait. */
const BUSY = 75;
/** A child that waits ends by itself after so long, so that none outlives us for ever. */
const WAIT_SECONDS = 20;

// macOS has no flock command, but Perl. Polls, since waiting within flock could not end in time.
const PERL_FLOCK = [
  'use Fcntl ":flock"; open(my $file, "+<&=", 3) or exit 1; my $tries = shift;',
  'for (;;) { exit 0 if flock($file, LOCK_EX | LOCK_NB); exit 1 unless $!{EWOULDBLOCK};',
  `exit ${BUSY} if --$tries <= 0; select(undef, undef, undef, 0.1) }`,
].join(' ');

interface Tool {
  command: string;
  arguments: (wait: boolean) => string[];
}

const TOOLS: readonly Tool[] = [
  {
    command: 'flock',
    arguments: (wait) => ['-x', ...(wait ? ['-w', `${WAIT_SECONDS}`] : ['-n']), '-E', `${BUSY}`, '3'],
  },
  { command: 'perl', arguments: (wait) => ['-e', PERL_FLOCK, wait ? `${WAIT_SECONDS * 10}` : '1'] },
];

/** Tools that are not on this machine: not looked for twice. */
const absent = new Set<Tool>();

export interface PythonLockOptions {
  signal: AbortSignal;
  /** Called once if another process has the lock. */
  onWait: () => void;
  /** Mode of the lock file if it is made; the umask does not count. Default: 0664, as Python's client has it. */
  mode?: number;
}

/** Takes a lock, waiting for it. Undefined where that cannot be done: such locks only save work. */
export async function acquirePythonLock(path: string, options: PythonLockOptions): Promise<PythonLock | undefined> {
  const { signal, mode = 0o664 } = options;
  let waited = false;
  const onBusy = () => {
    if (!waited) options.onWait();
    waited = true;
  };
  for (;;) {
    signal.throwIfAborted();
    const handle = await openLockFile(path, mode);
    if (!handle) return undefined;
    let kept = false;
    try {
      if (!(await lockOpenFile(handle.fd, signal, onBusy))) return undefined;
      // Some versions remove lock files: a lock on a file that is not there any more keeps nobody out.
      kept = await isStillAt(path, handle);
      if (kept) return { release: () => handle.close() };
    } finally {
      if (!kept) await handle.close();
    }
  }
}

/** True if the lock is held; undefined if unknown. */
export async function isPythonLockHeld(path: string): Promise<boolean | undefined> {
  const handle = await open(path, constants.O_RDWR | NO_FOLLOW).catch((error: NodeJS.ErrnoException) => error.code);
  if (handle === 'ENOENT') return false;
  if (typeof handle !== 'object') return undefined;
  try {
    const result = await runTools(handle.fd, false);
    return result === undefined ? undefined : result === 'busy';
  } finally {
    await handle.close();
  }
}

// A child is handed the descriptor, which a file of the thread for the disk does not tell.
const open: typeof openFile = (...args) => withDescriptor(() => openFile(...args));

// Undefined on Windows.
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

async function openLockFile(path: string, mode: number): Promise<FileHandle | undefined> {
  try {
    await makeFolder(dirname(path));
    const made = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW, mode).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
    // Who makes it sets the mode in full: others who share the folder must be able to wait for it.
    await made?.chmod(mode).catch(() => undefined);
    return made ?? (await open(path, constants.O_RDWR | NO_FOLLOW));
  } catch {
    return undefined;
  }
}

async function isStillAt(path: string, handle: FileHandle): Promise<boolean> {
  const [ours, there] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
  return there !== undefined && ours.ino === there.ino && ours.dev === there.dev;
}

async function lockOpenFile(fd: number, signal: AbortSignal, onBusy: () => void): Promise<boolean> {
  let result = await runTools(fd, false, signal);
  while (result === 'busy') {
    onBusy();
    result = await runTools(fd, true, signal);
  }
  return result === 'locked';
}

/** Tries the tools until one of them can tell. */
async function runTools(fd: number, wait: boolean, signal?: AbortSignal): Promise<'locked' | 'busy' | undefined> {
  for (const tool of TOOLS) {
    if (absent.has(tool) || !(await mayRun(tool.command))) continue;
    // A child takes descriptors: for pipes, and for what it is not given.
    const code = await withDescriptor(() => runTool(tool, fd, wait, signal), signal);
    signal?.throwIfAborted();
    if (code === 0) return 'locked';
    if (code === BUSY) return 'busy';
    if (code === undefined) absent.add(tool);
  }
  return undefined;
}

/** The exit code; undefined if it cannot be run at all. */
function runTool(tool: Tool, fd: number, wait: boolean, signal?: AbortSignal): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    try {
      const child = spawn(tool.command, tool.arguments(wait), { stdio: ['ignore', 'ignore', 'ignore', fd] });
      const stop = () => void child.kill('SIGKILL');
      const end = (code: number | undefined) => {
        signal?.removeEventListener('abort', stop);
        resolve(code);
      };
      signal?.addEventListener('abort', stop, { once: true });
      child.once('error', (error: NodeJS.ErrnoException) => {
        if (isOutOfDescriptors(error)) reject(error);
        end(error.code === 'ENOENT' ? undefined : -1);
      });
      child.once('exit', (code) => end(code ?? -1));
    } catch {
      resolve(undefined);
    }
  });
}

/** Deno asks its user before it runs a program, unless that was settled before: not worth a question. */
async function mayRun(command: string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  const { Deno } = globalThis as {
    Deno?: { permissions: { query(wanted: { name: 'run'; command: string }): Promise<{ state: string }> } };
  };
  return Deno === undefined || (await Deno.permissions.query({ name: 'run', command })).state === 'granted';
}
