import type { SpawnWorker } from '../../workers/spawn.ts';
import type { FileSpan } from '../core/content.ts';
import { isXetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { DownloadEngine } from '../download/engine.ts';
import type { ReadPolicy } from '../download/read.ts';
import type { ResolvedFile } from '../hub/client.ts';

export interface FileReadsParts {
  engine: DownloadEngine;
  file: ResolvedFile;
  /** Ends all reads. */
  signal: AbortSignal;
  /** Dependencies of saving the file. */
  spawnWorker?: SpawnWorker | undefined;
  onWarning?: ((message: string) => void) | undefined;
}

/** All reads of one opened file. */
export interface FileReads {
  readonly parts: FileReadsParts;
  /** The bytes of a range, in memory of the caller's own. A whole file is verified; corrupt data is fetched once more. */
  read(range: ByteRange, signal?: AbortSignal): Promise<Uint8Array>;
  /** The bytes of a range as they come, for one reader at his own pace; `cautious` as in {@link StreamOptions}. */
  stream(range: ByteRange, signal: AbortSignal, cautious?: boolean): AsyncGenerator<FileSpan, void, undefined>;
}

/** So many bytes, filled by `fill`; once more, past all caches, if what came was corrupt. */
export async function filled(
  length: number,
  fill: (bytes: Uint8Array, policy: ReadPolicy) => Promise<void>,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  try {
    await fill(bytes, 'any');
  } catch (error) {
    if (!isXetError(error, 'INTEGRITY')) throw error;
    await fill(bytes, 'refetch');
  }
  return bytes;
}
