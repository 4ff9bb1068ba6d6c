import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteRange } from '../../ranges.ts';
import { isMissing, readIfExists, type StagingArea, shardedPath } from './atomic-file.ts';
import { readPieces } from './read-pieces.ts';
import { RecentMap } from './recent-map.ts';
import { XorbIndex } from './xorb-index.ts';

/** Xorbs on disk: the frames without a footer, and beside them an index that is written last and so vouches for them. */
export class XorbStore {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #indexes = new RecentMap<string, XorbIndex>(512);
  readonly #adding = new Map<string, Promise<boolean>>();

  constructor(dir: string, staging: StagingArea) {
    this.#root = join(dir, 'xorbs');
    this.#staging = staging;
  }

  async index(hash: string): Promise<XorbIndex | undefined> {
    const known = this.#indexes.get(hash);
    if (known) return known;
    const bytes = await readIfExists(shardedPath(this.#root, hash, '.index'));
    if (!bytes) return undefined;
    const index = XorbIndex.decode(hash, bytes);
    this.#indexes.set(hash, index);
    return index;
  }

  async has(hash: string): Promise<boolean> {
    if (this.#indexes.get(hash)) return true;
    try {
      await stat(shardedPath(this.#root, hash, '.index'));
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /**
   * Takes over a staged file of checked frames. A xorb that is there already stays: its ranges may be in use.
   * Two senders of one xorb take turns, as each may have compressed it in his own way and body and index belong together.
   */
  async add(index: XorbIndex, staged: string): Promise<boolean> {
    for (let other = this.#adding.get(index.hash); other; other = this.#adding.get(index.hash)) {
      await other.catch(() => undefined);
    }
    const turn = this.#store(index, staged).finally(() => this.#adding.delete(index.hash));
    this.#adding.set(index.hash, turn);
    return turn;
  }

  async #store(index: XorbIndex, staged: string): Promise<boolean> {
    if (await this.has(index.hash)) return false;
    await this.#staging.publish(staged, shardedPath(this.#root, index.hash, '.xorb'));
    await this.#staging.write(shardedPath(this.#root, index.hash, '.index'), index.encode());
    this.#indexes.set(index.hash, index);
    return true;
  }

  read(hash: string, range: ByteRange): AsyncGenerator<Uint8Array, void, undefined> {
    return readPieces(this.path(hash), range);
  }

  path(hash: string): string {
    return shardedPath(this.#root, hash, '.xorb');
  }
}
