import { stat } from '../../fs/disk.node.ts';
import { requireSpace } from '../../fs/free-space.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import type { ResolvedFile } from '../../hub/client.ts';
import { unfinishedBytes } from './partial-file.node.ts';

/** Paths at which a file, or the part of it that an earlier try left, may be on the disk. */
export interface KnownPaths {
  finished: readonly (string | undefined)[];
  /** Without its endings. */
  unfinished: string;
}

/**
 * Rejects with `DISK_FULL` if a folder has certainly too little space for all these files. Equal files count once. Files that
 * are there already, and parts of them, need no more; they are looked for only if space is short.
 */
export function requireSpaceFor(
  folder: string,
  files: readonly ResolvedFile[],
  pathsOf: (file: ResolvedFile) => Promise<KnownPaths>,
): Promise<void> {
  const distinct = [...new Map(files.map((file) => [file.etag, file])).values()];
  const bytes = distinct.reduce((sum, { size }) => sum + size, 0);
  return requireSpace(folder, bytes, async () => {
    let there = 0;
    for (const file of distinct) there += await presentBytes(file, await pathsOf(file));
    return there;
  });
}

/** A file of the right size counts as the right one: this must not refuse what fits. */
async function presentBytes({ size }: ResolvedFile, { finished, unfinished }: KnownPaths): Promise<number> {
  for (const path of finished) {
    const found = path === undefined ? undefined : await ifPresent(() => stat(path));
    if (found?.size === size) return size;
  }
  return unfinishedBytes(unfinished);
}
