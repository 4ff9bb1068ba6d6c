import { join } from 'node:path';
import { ZERO_HASH } from '../../core/hash.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { readIfExists, type StagingArea, shardedPath } from './atomic-file.ts';
import { RecentMap } from './recent-map.ts';

/** A run of chunks of one stored xorb. */
export interface StoredTerm {
  xorb: string;
  chunks: ChunkRange;
  unpackedLength: number;
  verification: string;
}

/** Terms of a file. */
export interface FileRecord {
  hash: string;
  size: number;
  sha256?: string;
  terms: StoredTerm[];
}

/** Content hashes that a commit uses for a large file. */
export interface LargeObject {
  xetHash: string;
  size: number;
}

/** File hash → terms, and sha256 → file hash, which the caller has checked. A file registered again takes its new terms, as on the real server. */
export class FileStore {
  readonly #files: string;
  readonly #objects: string;
  readonly #staging: StagingArea;
  readonly #recent = new RecentMap<string, FileRecord>(256_000, ({ terms }) => 1000 + terms.length);

  constructor(dir: string, staging: StagingArea) {
    this.#files = join(dir, 'files');
    this.#objects = join(dir, 'objects');
    this.#staging = staging;
  }

  async file(hash: string): Promise<FileRecord | undefined> {
    if (hash === ZERO_HASH) return { hash, size: 0, terms: [] };
    const known = this.#recent.get(hash);
    if (known) return known;
    const text = await readIfExists(shardedPath(this.#files, hash, '.json'));
    if (!text) return undefined;
    const file = JSON.parse(text.toString()) as FileRecord;
    this.#recent.set(hash, file);
    return file;
  }

  /** The stored file with this digest. */
  async object(sha256: string): Promise<LargeObject | undefined> {
    const text = await readIfExists(shardedPath(this.#objects, sha256, '.json'));
    return text && (JSON.parse(text.toString()) as LargeObject);
  }

  async add(file: FileRecord): Promise<void> {
    if (file.hash !== ZERO_HASH) {
      await this.#staging.write(shardedPath(this.#files, file.hash, '.json'), JSON.stringify(file));
      this.#recent.set(file.hash, file);
    }
    if (file.sha256 === undefined) return;
    const object: LargeObject = { xetHash: file.hash, size: file.size };
    await this.#staging.write(shardedPath(this.#objects, file.sha256, '.json'), JSON.stringify(object));
  }
}
