import { dirname } from 'node:path';
import { TOO_MANY_OPEN } from '../core/descriptors.ts';
import { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';
import { mkdir, stat } from './disk.node.ts';

const DISK_CODES: Record<string, { code: XetErrorCode; advice: string }> = {
  ENOSPC: { code: 'DISK_FULL', advice: 'The disk is full: free some space and run the same again to go on' },
  EDQUOT: { code: 'DISK_FULL', advice: 'The disk quota is used up: free some space and run the same again to go on' },
  EACCES: { code: 'PERMISSION', advice: 'No permission to write there: choose another folder' },
  EPERM: { code: 'PERMISSION', advice: 'No permission to write there: choose another folder' },
  EROFS: { code: 'PERMISSION', advice: 'The file system is read-only: choose another folder' },
  ENOENT: { code: 'CACHE', advice: 'The folder went away while it was being written to' },
  ENOTDIR: { code: 'CACHE', advice: 'A file is where a folder should be: move it away and run the same again' },
  EISDIR: { code: 'CACHE', advice: 'A folder is where a file should be: move it away and run the same again' },
  ERR_FS_EISDIR: { code: 'CACHE', advice: 'A folder is where a file should be: move it away and run the same again' },
  EEXIST: { code: 'CACHE', advice: 'A file is where a folder should be: move it away and run the same again' },
  ENOTEMPTY: { code: 'CACHE', advice: 'A folder is where a file should be: move it away and run the same again' },
  EMFILE: { code: 'CACHE', advice: TOO_MANY_OPEN },
  ENFILE: { code: 'CACHE', advice: TOO_MANY_OPEN },
};

/** True if it takes a permission that a program does not have in Deno. */
export function isNotAllowed(error: unknown): boolean {
  return error instanceof Error && error.name === 'NotCapable';
}

/** Runs a step on the file system and tells its failures in our own terms. */
export async function diskErrors<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (isNotAllowed(cause)) {
      throw new XetError(
        'PERMISSION',
        `Deno does not let xetkit use ${path}: run it with --allow-read and --allow-write.`,
        {
          cause,
        },
      );
    }
    if (!(cause instanceof Error) || isXetError(cause) || !('syscall' in cause)) throw cause;
    const system = 'code' in cause ? String(cause.code) : '';
    const { code, advice } = DISK_CODES[system] ?? { code: 'CACHE' as const, advice: cause.message };
    throw new XetError(code, `${advice} (${await placeOf(cause, path)}).`, { cause });
  }
}

/** The path that is in the way: not our temporary file, but its target, or a file where a folder should be. */
async function placeOf(cause: object, path: string): Promise<string> {
  const { code, path: source, dest } = cause as Record<string, unknown>;
  const place = [dest, source].find((each) => typeof each === 'string') ?? path;
  if (code === 'EISDIR' || code === 'ERR_FS_EISDIR' || code === 'ENOTEMPTY') return place;
  if (code !== 'ENOTDIR' && code !== 'EEXIST') return path;
  for (let at = place; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found) return found.isDirectory() ? place : at;
    if (dirname(at) === at) return place;
  }
}

export function isOutOfSpace(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Makes a folder and those above it, with the true reason where that fails. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    // On a read-only file system the recursive form says that the parent is missing; the plain one says why.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    let missing = path;
    while (!(await exists(dirname(missing))) && dirname(missing) !== missing) missing = dirname(missing);
    await mkdir(missing);
    await mkdir(path, { recursive: true });
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
