import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XetError } from '../../core/errors.ts';
import { ifPresent, isAbsent, isSystemError } from '../../fs/if-present.ts';
import { makeFolder, replaceFile, STAGING } from './atomic-file.ts';
import { type FolderLock, lockFolder } from './folder-lock.ts';

/** Says that a folder is a Hub's. */
const MARKER = 'xetkit-hub.json';
const KIND = 'xetkit local Hub';
const FORMAT = 1;
const LOCKS = '.xetkit-locks';
/** Names that may be in a folder that counts as empty. */
const IGNORED = [LOCKS, STAGING, 'lost+found', '.DS_Store'];

/** Folders of a Hub from before there was a marker. */
const STORES = ['blobs', 'files', 'objects', 'shards', 'xorbs'];

/** Makes a folder ready for a Hub, marks it and locks it. A folder that holds anything but a Hub is refused and left as it is. */
export async function openHubFolder(dir: string): Promise<FolderLock> {
  await makeFolder(dir, true).catch((cause: unknown) => {
    throw new XetError('INVALID_ARGUMENT', `${dir} cannot be made a folder: ${reason(cause)}. Use another --dir.`, {
      cause,
    });
  });
  const refuse = (error: unknown): never => {
    throw isSystemError(error) ? unusable(dir, error) : error;
  };
  await requireHubFolder(dir).catch(refuse);
  const lock = await lockFolder(dir, join(dir, LOCKS)).catch(refuse);
  try {
    // Checked again, as another process may have written to the folder since.
    if (!(await requireHubFolder(dir))) await writeMarker(dir);
    return lock;
  } catch (error) {
    await lock.release();
    return refuse(error);
  }
}

/** True if the folder has its marker. Rejects where it is neither a Hub's nor empty. */
async function requireHubFolder(dir: string): Promise<boolean> {
  const names = await readdir(dir);
  if (names.includes(MARKER)) {
    await checkMarker(dir);
    return true;
  }
  const found = names.filter((name) => !IGNORED.includes(name));
  if (found.length === 0 || (await isEarlierHub(dir, found))) return false;
  throw new XetError(
    'INVALID_ARGUMENT',
    `${dir} holds other files and is not the folder of a local Hub. Use an empty or a new folder for --dir.`,
  );
}

async function checkMarker(dir: string): Promise<void> {
  const path = join(dir, MARKER);
  const marker = (await lstat(path)).isFile() ? parseMarker(await readFile(path, 'utf8')) : undefined;
  if (marker?.kind !== KIND || typeof marker.format !== 'number') {
    throw new XetError('INVALID_ARGUMENT', `${path} is damaged. Restore it, or use another --dir.`);
  }
  if (marker.format > FORMAT) {
    throw new XetError('INVALID_ARGUMENT', `${dir} was written by a newer version of xetkit. Use that version.`);
  }
}

function parseMarker(text: string): { kind?: unknown; format?: unknown } | undefined {
  try {
    return JSON.parse(text) as { kind?: unknown; format?: unknown } | undefined;
  } catch {
    return undefined;
  }
}

async function writeMarker(dir: string): Promise<void> {
  const about = 'This folder belongs to a local Hub of xetkit, which changes and removes files in it.';
  const text = `${JSON.stringify({ kind: KIND, format: FORMAT, about }, null, 2)}\n`;
  // Staged among the locks: a name of its own would make the folder look like one of other files after a crash.
  await replaceFile(join(dir, MARKER), text, join(dir, LOCKS, MARKER));
}

/** True if a folder without a marker holds what earlier versions put there, and nothing else. */
async function isEarlierHub(dir: string, names: string[]): Promise<boolean> {
  const known = ['repos', 'tmp', ...STORES];
  if (!names.every((name) => known.includes(name))) return false;
  const inside = async (below: string, fits: (name: string) => boolean) => {
    const entries = await ifPresent(() => readdir(join(dir, below), { withFileTypes: true }));
    return entries?.every((entry) => entry.isDirectory() && fits(entry.name)) === true ? entries : undefined;
  };
  if (names.includes('tmp')) {
    // Not emptied: only what this version wrote is removed.
    const left = (await ifPresent(() => readdir(join(dir, 'tmp')))) ?? ['?'];
    if (!left.every((name) => /^[0-9a-f]{24}$/.test(name))) return false;
  }
  for (const store of STORES.filter((name) => names.includes(name))) {
    if (!(await inside(store, (name) => /^[0-9a-f]{2}$/.test(name)))) return false;
  }
  if (!names.includes('repos')) return names.length === 1 && (await inside('tmp', () => false)) !== undefined;
  const types = await inside('repos', (name) => ['models', 'datasets', 'spaces'].includes(name));
  for (const type of types ?? []) {
    for (const owner of (await inside(join('repos', type.name), () => true)) ?? []) {
      const home = join('repos', type.name, owner.name);
      for (const repo of (await inside(home, () => true)) ?? []) {
        const parts = (await ifPresent(() => readdir(join(dir, home, repo.name)))) ?? ['?'];
        if (!parts.every((part) => ['repo.json', 'refs.json', 'commits', 'trees'].includes(part))) return false;
      }
    }
  }
  return types !== undefined;
}

function unusable(dir: string, cause: unknown): XetError {
  const code = isAbsent(cause) ? 'INVALID_ARGUMENT' : 'PERMISSION';
  return new XetError(code, `${dir} cannot be used as the folder of a Hub: ${reason(cause)}. Use another --dir.`, {
    cause,
  });
}

function reason(error: unknown): string {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case 'EEXIST':
    case 'ENOTDIR':
      return 'a file is in its place';
    case 'EACCES':
    case 'EPERM':
      return 'permission is denied';
    case 'EROFS':
      return 'its file system is read-only';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
