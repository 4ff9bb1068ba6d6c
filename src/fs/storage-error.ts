import { XetError, type XetErrorCode } from '../core/errors.ts';
import { nameOf } from './opfs.ts';

/** An error of the browser's, as it comes from a worker: its class is lost on the way. */
export interface StorageFailure {
  name: string;
  message: string;
}

export class WorkerStorageError extends Error {
  constructor({ name, message }: StorageFailure) {
    super(message);
    this.name = name;
  }
}

const CODES: readonly [name: RegExp, code: XetErrorCode, advice: string][] = [
  // Firefox has two of its own for it.
  [/^QuotaExceeded|NO_DEVICE_SPACE|QUOTA/, 'QUOTA', ''],
  [/^NoModificationAllowed|^InvalidState/, 'CONFLICT', 'It is in use: close it elsewhere and try again.'],
  [/^TypeMismatch/, 'CONFLICT', 'There is a folder in place of the file, or the reverse.'],
  [/^NotAllowed|^Security/, 'PERMISSION', 'In a click, ask with handle.requestPermission({ mode: "readwrite" }).'],
  [/^NotFound/, 'CACHE', "Somebody removed what was written, as when a site's data is cleared; try again."],
];

/** Runs what touches a file and gives its failures as typed errors that say what to do. Aborts go through. */
export async function storageErrors<T>(path: string, bytes: number, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw await explained(path, bytes, error);
  }
}

async function explained(path: string, bytes: number, error: unknown): Promise<unknown> {
  const name = nameOf(error);
  if (!isOfBrowser(error) || name === 'AbortError' || name === 'TimeoutError') return error;
  const message = error.message || name;
  const [, code = 'CACHE', advice = ''] = CODES.find(([pattern]) => pattern.test(name)) ?? [];
  if (code === 'QUOTA') return new XetError('QUOTA', await noRoom(path, bytes), { cause: error });
  return new XetError(code, `'${path}' cannot be written: ${message}. ${advice}`.trim(), { cause: error });
}

/** Anything else may be somebody's reason for an abort. */
function isOfBrowser(error: unknown): error is StorageFailure {
  const isDomException = typeof DOMException !== 'undefined' && error instanceof DOMException;
  return isDomException || error instanceof WorkerStorageError || nameOf(error).startsWith('NS_ERROR');
}

async function noRoom(path: string, bytes: number): Promise<string> {
  const estimate = await navigator.storage?.estimate?.().catch(() => undefined);
  const left = estimate?.quota === undefined ? undefined : Math.max(0, estimate.quota - (estimate.usage ?? 0));
  // Chromium says that there are 10 GiB more than what is used, whatever there is.
  const about = left === undefined || left >= bytes ? '' : `, and about ${megabytes(left)} MB are left for this site`;
  return (
    `There is no room for '${path}': it has ${megabytes(bytes)} MB${about}. Remove files that were saved here, free disk ` +
    'space, or ask for more with navigator.storage.persist(). What was fetched is kept; the next try goes on from there.'
  );
}

const megabytes = (bytes: number) => Math.ceil(bytes / 1e6).toLocaleString('en-US');
