import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteRange } from '../../core/ranges.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { readIfExists, type StagingArea, shardedPath } from './atomic-file.ts';
import { readPieces } from './read-pieces.ts';
import { RecentMap } from './recent-map.ts';
import { StoredXorbIndex } from './xorb-index.ts';

/** Xorbs on disk: the frames without a footer, and beside them an index that is written last and so vouches for them. */
export class XorbStore {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #indexes = new RecentMap<string, StoredXorbIndex>(512);
  readonly #adding = new Map<string, Promise<boolean>>();

  constructor(dir: string, staging: StagingArea) {
    this.#root = join(dir, 'xorbs');
    this.#staging = staging;
  }

  /** The index of a xorb whose body is as long as it says. */
  async index(hash: string): Promise<StoredXorbIndex | undefined> {
    const known = this.#indexes.get(hash);
    if (known) return known;
    const bytes = await readIfExists(shardedPath(this.#root, hash, '.index'));
    const index = bytes && StoredXorbIndex.read(hash, bytes);
    if (!index || (await this.#bodyBytes(hash)) !== index.storedBytes) return undefined;
    this.#indexes.set(hash, index);
    return index;
  }

  /**
   * The index of a xorb that is stored and whole. Looks at the disk each time: on this answer a client may leave out data,
   * and a body that was cut off is then never mended.
   */
  async whole(hash: string): Promise<StoredXorbIndex | undefined> {
    const index = await this.index(hash);
    if (!index || (await this.#bodyBytes(hash)) === index.storedBytes) return index;
    this.#indexes.delete(hash);
    return undefined;
  }

  async #bodyBytes(hash: string): Promise<number | undefined> {
    return (await ifPresent(() => stat(this.path(hash))))?.size;
  }

  /**
   * Takes over a staged file of checked frames. A whole xorb that is there already stays: its ranges may be in use.
   * Two senders of one xorb take turns, as each may have compressed it in his own way and body and index belong together.
   */
  async add(index: StoredXorbIndex, staged: string): Promise<boolean> {
    for (let other = this.#adding.get(index.hash); other; other = this.#adding.get(index.hash)) {
      await other.catch(() => undefined);
    }
    const turn = this.#store(index, staged).finally(() => this.#adding.delete(index.hash));
    this.#adding.set(index.hash, turn);
    return turn;
  }

  async #store(index: StoredXorbIndex, staged: string): Promise<boolean> {
    if (await this.whole(index.hash)) return false;
    // The index of a damaged body must not vouch for a new one, whose frames may lie elsewhere.
    await rm(shardedPath(this.#root, index.hash, '.index'), { force: true });
    await this.#staging.publish(staged, this.path(index.hash), index.storedBytes);
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
