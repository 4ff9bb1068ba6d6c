import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chunkHashHex } from '../../core/chunks.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { type Caller, decodeCaller, encodeCaller } from '../caller.ts';
import { readIfExists, type StagingArea, shardedPath } from './atomic-file.ts';
import type { FileRecord } from './file-store.ts';
import type { StoredXorbIndex } from './xorb-index.ts';

/** The xorbs that were registered together, and the chunks that lead to them. */
interface StoredShard {
  xorbs: string[];
  chunks: string[];
  /** The callers who uploaded them, as text. Shards of earlier versions name nobody and are used by the server only. */
  owner?: string;
}

/** So many shards are remembered of a chunk that many bring, the latest. */
const SHARDS_PER_CHUNK = 64;

/** One chunk in so many is offered to everybody, chosen by its hash. */
const GLOBAL_DEDUP_MODULUS = 1024n;

interface KnownShard {
  xorbs: string[];
  owner: Caller | undefined;
}

/** Answers which shard a chunk came with, for the chunks that clients may ask about. */
export class DedupIndex {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #shardsOfChunk = new Map<string, KnownShard | KnownShard[]>();
  readonly #known = new Set<string>();

  private constructor(root: string, staging: StagingArea) {
    this.#root = root;
    this.#staging = staging;
  }

  static async open(dir: string, staging: StagingArea): Promise<DedupIndex> {
    const index = new DedupIndex(join(dir, 'shards'), staging);
    const names = (await ifPresent(() => readdir(index.#root, { recursive: true }))) ?? [];
    for (const name of names.filter((entry) => entry.endsWith('.json')).sort()) {
      const text = await readIfExists(join(index.#root, name));
      if (text) index.#remember(JSON.parse(text.toString()) as StoredShard, name);
    }
    return index;
  }

  /** The xorbs of the latest shard that brought this chunk, of those whose owners `may` says yes to. */
  lookUp(chunk: string, may?: (owner: Caller) => boolean): string[] | undefined {
    const shards = [this.#shardsOfChunk.get(chunk) ?? []].flat();
    return shards.findLast(({ owner }) => may === undefined || (owner !== undefined && may(owner)))?.xorbs;
  }

  /** Makes the chunks of new xorbs findable: the first of each file, and one in 1024. */
  async add(xorbs: StoredXorbIndex[], files: FileRecord[], owner: Caller): Promise<void> {
    const chunks = new Set<string>();
    const byHash = new Map(xorbs.map((xorb) => [xorb.hash, xorb]));
    for (const xorb of xorbs) {
      for (let index = 0; index < xorb.count; index++) {
        const hash = chunkHashHex(xorb.chunks, index);
        if (isEligible(hash)) chunks.add(hash);
      }
    }
    for (const file of files) {
      const first = file.terms[0];
      const xorb = first && byHash.get(first.xorb);
      if (first && xorb) chunks.add(chunkHashHex(xorb.chunks, first.chunks.start));
    }
    if (xorbs.length === 0) return;
    const shard: StoredShard = {
      xorbs: [...byHash.keys()].sort(),
      chunks: [...chunks].sort(),
      owner: encodeCaller(owner),
    };
    const text = JSON.stringify(shard);
    const id = createHash('sha256').update(text).digest('hex');
    if (this.#known.has(id)) return;
    await this.#staging.write(shardedPath(this.#root, id, '.json'), text);
    this.#remember(shard, id);
  }

  #remember(shard: StoredShard, id: string): void {
    this.#known.add(id);
    const known: KnownShard = { xorbs: shard.xorbs, owner: shard.owner ? decodeCaller(shard.owner) : undefined };
    for (const chunk of shard.chunks) {
      const before = this.#shardsOfChunk.get(chunk);
      this.#shardsOfChunk.set(chunk, before ? [before, known].flat().slice(-SHARDS_PER_CHUNK) : known);
    }
  }
}

/**
 * True if a chunk's hash alone makes it eligible for a query: its last word modulo 1024 is 0. Xet protocol: global
 * deduplication.
 */
export function isEligible(chunk: string): boolean {
  return BigInt(`0x${chunk.slice(48)}`) % GLOBAL_DEDUP_MODULUS === 0n;
}
