import { isXetError } from '../core/errors.ts';
import { makeMatcher } from '../core/patterns.ts';
import type { CommitLine } from '../hub/operations.ts';
import { givenPath } from '../hub/repo.ts';
import type { ListEntry } from '../hub/types.ts';

/** Files and folders to delete. */
export interface Deletions {
  files: ReadonlySet<string>;
  /** Without a trailing slash. */
  folders: ReadonlySet<string>;
  patterns: readonly string[];
}

/** The Hub needs this file to recognise large files. As in other clients, patterns never delete it. */
const KEPT = '.gitattributes';

/** Parses paths to delete; a folder ends with `/`. Throws `INVALID_ARGUMENT` for an invalid path. */
export function readDeletions(paths: readonly string[], patterns: readonly string[]): Deletions {
  const folders = paths.filter((path) => path.endsWith('/'));
  return {
    files: new Set(paths.filter((path) => !path.endsWith('/')).map(givenPath)),
    folders: new Set(folders.map((path) => givenPath(path.replace(/\/{1,100}$/, '')))),
    patterns,
  };
}

/** True if there is anything to delete. */
export function isEmpty({ files, folders, patterns }: Deletions): boolean {
  return files.size + folders.size + patterns.length === 0;
}

/**
 * Operations that delete what was named, except for what the same commit uploads: a file at an uploaded path is replaced,
 * and of a folder that receives files, everything else is deleted. `list` yields the current files below a folder.
 */
export async function deletionsBeside(
  uploaded: ReadonlySet<string>,
  { files, folders, patterns }: Deletions,
  list: (folder: string | undefined) => AsyncIterable<Pick<ListEntry, 'path' | 'type'>>,
): Promise<CommitLine[]> {
  const shared = [...folders].filter((folder) => some(uploaded, (path) => path.startsWith(`${folder}/`)));
  const whole = [...folders].filter((folder) => !shared.includes(folder) && !isBelow(folder, folders));
  const single = new Set([...files].filter((path) => !uploaded.has(path) && !isBelow(path, folders)));
  const found = async (folder: string | undefined, wanted: (path: string) => boolean) => {
    for await (const { path, type } of list(folder)) {
      if (type === 'file' && !uploaded.has(path) && !isBelow(path, whole) && wanted(path)) single.add(path);
    }
  };
  for (const folder of shared) {
    await found(folder, () => true).catch((error: unknown) => {
      // A folder that does not exist contains nothing to delete.
      if (!isXetError(error, 'ENTRY_NOT_FOUND')) throw error;
    });
  }
  if (patterns.length > 0) {
    const matchers = patterns.map(makeMatcher);
    await found(undefined, (path) => path !== KEPT && matchers.some((matches) => matches(path)));
  }
  return [
    ...whole.map((path) => ({ kind: 'deletedFolder', path }) as const),
    ...[...single].map((path) => ({ kind: 'deletedFile', path }) as const),
  ];
}

/** True if a path is below one of some folders. */
function isBelow(path: string, folders: Iterable<string>): boolean {
  return some(folders, (folder) => path.startsWith(`${folder}/`));
}

function some<T>(items: Iterable<T>, holds: (item: T) => boolean): boolean {
  for (const item of items) if (holds(item)) return true;
  return false;
}
