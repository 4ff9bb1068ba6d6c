import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteRange } from '../../core/ranges.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { readIfExists, type StagingArea, shardedPath } from './atomic-file.ts';
import { readPieces } from './read-pieces.ts';

/** Small files by the id that git gives their content. */
export class BlobStore {
  readonly #root: string;
  readonly #staging: StagingArea;

  constructor(dir: string, staging: StagingArea) {
    this.#root = join(dir, 'blobs');
    this.#staging = staging;
  }

  async add(content: Uint8Array): Promise<string> {
    const id = gitBlobId(content);
    const path = shardedPath(this.#root, id);
    const present = await ifPresent(() => stat(path));
    // A truncated file is written again.
    if (present?.size !== content.length) await this.#staging.write(path, content);
    return id;
  }

  content(id: string): Promise<Buffer | undefined> {
    return readIfExists(shardedPath(this.#root, id));
  }

  read(id: string, range: ByteRange): AsyncGenerator<Uint8Array, void, undefined> {
    return readPieces(shardedPath(this.#root, id), range);
  }
}

export function gitBlobId(content: Uint8Array): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}
