import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Caller, encodeCaller } from '../caller.ts';
import { readIfExists, type StagingArea, shardedPath } from './atomic-file.ts';
import { RecentMap } from './recent-map.ts';

/** Xorbs that are remembered as sent. One that is forgotten is only sent again. */
const RECENT_XORBS = 100_000;

/** Records which caller uploaded which content for which repository. Until a commit names it, nobody else can read it. */
export class UploadStore {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #xorbs = new RecentMap<string, true>(RECENT_XORBS);

  constructor(dir: string, staging: StagingArea) {
    this.#root = join(dir, 'uploads');
    this.#staging = staging;
  }

  async addFile(caller: Caller, xetHash: string): Promise<void> {
    if (!(await this.#has(caller, xetHash))) await this.#staging.write(this.#path(caller, xetHash), '');
  }

  /** True if the caller sent it, or somebody without a token: what anybody may have, every caller may. */
  async hasFile(caller: Caller, xetHash: string): Promise<boolean> {
    const anybody = { ...caller, name: undefined, known: false };
    return (await this.#has(caller, xetHash)) || (await this.#has(anybody, xetHash));
  }

  async #has(caller: Caller, xetHash: string): Promise<boolean> {
    return (await readIfExists(this.#path(caller, xetHash))) !== undefined;
  }

  addXorb(caller: Caller, xorb: string): void {
    this.#xorbs.set(keyOf(caller, xorb), true);
  }

  hasXorb(caller: Caller, xorb: string): boolean {
    return this.#xorbs.get(keyOf(caller, xorb)) === true;
  }

  #path(caller: Caller, xetHash: string): string {
    return shardedPath(this.#root, keyOf(caller, xetHash));
  }
}

function keyOf(caller: Caller, hash: string): string {
  return createHash('sha256')
    .update(`${encodeCaller(caller)}\n${hash}`)
    .digest('hex');
}
