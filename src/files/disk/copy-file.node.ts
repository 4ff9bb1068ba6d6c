import { constants } from 'node:fs';
import type { Verified } from '../../core/content-hash.ts';
import { chmod, copyFile, open } from '../../fs/disk.node.ts';
import { writeAll } from '../../fs/write-all.node.ts';
import type { VerifiedFiles } from '../verified-files.ts';
import { hashMatches, type WantedContent } from './content-check.node.ts';

/** Copies content to a file that is not there yet. It gets the permissions of a new file, not those of the source. */
export async function copyContent(source: string, target: string): Promise<void> {
  const mode = await makeEmpty(target);
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  await chmod(target, mode);
}

/**
 * Copies a file that may be the wanted one to a file that is not there yet, and says how the copy was found to be
 * right. Undefined if it is not; then the target is of no use. Takes no time and no space where the file system
 * shares content among files.
 */
export async function copyIfRight(
  source: string,
  target: string,
  wanted: WantedContent,
  known: VerifiedFiles,
  signal: AbortSignal,
): Promise<Verified | undefined> {
  const mode = await makeEmpty(target);
  const remembered = await known.check(source, wanted.etag);
  const shares = await copyFile(source, target, constants.COPYFILE_FICLONE_FORCE).then(
    () => true,
    () => false,
  );
  if (shares) {
    await chmod(target, mode);
    return remembered ?? hashMatches(target, wanted.etag, wanted.size, signal);
  }
  // Hashed on the way, whatever is known: these bytes are read and written again, and any of that can go wrong.
  // It is empty, or gone with the failure; cut to nothing it would be written to the disk at once, as partial files say.
  const output = await open(target, constants.O_WRONLY | constants.O_CREAT);
  try {
    let end = 0;
    return await hashMatches(source, wanted.etag, wanted.size, signal, (bytes) => {
      const at = end;
      end += bytes.length;
      return writeAll(output, bytes, at);
    });
  } finally {
    await output.close();
  }
}

/** Only the system knows which permissions a new file gets. */
async function makeEmpty(path: string): Promise<number> {
  const handle = await open(path, 'wx');
  try {
    return (await handle.stat()).mode & 0o7777;
  } finally {
    await handle.close();
  }
}
