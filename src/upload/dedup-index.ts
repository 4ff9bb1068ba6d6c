import type { Shard } from '../codec/shard.ts';
import { type ChunkRecords, chunkCount, chunkHashes, chunkLength } from '../core/chunks.ts';
import { HASH_BYTES } from '../core/hash.ts';
import type { KnownPlaces } from './choose-places.ts';
import { ChunkTable, type WantedChunk } from './chunk-table.ts';
import type { ChunkPlace, XorbName } from './file-terms.ts';

/** Gives hashes as shards with a key show them. */
export type KeyHashes = (hashes: Uint8Array, key: Uint8Array) => Promise<Uint8Array>;

/** Chunks of servers' answers that are remembered in one upload: some 80 MB. */
const MOST_ANSWERED = 1_000_000;
/** One chunk in so many may be asked about by everybody, chosen by its hash. A power of two. */
const ELIGIBLE_MODULUS = 1024;

/** What an upload knows of chunks: those that it stores itself, and those that the CAS said it has. */
export class DedupIndex {
  readonly #plain = new ChunkTable();
  readonly #keyed = new Map<string, { key: Uint8Array; table: ChunkTable; expirySeconds: number }>();
  #answered = 0;

  /** Whether answers of the CAS are still taken in; past a million chunks they are not. */
  get hasRoom(): boolean {
    return this.#answered < MOST_ANSWERED;
  }

  /** Notes chunks of a xorb, from an index on, that this upload stores or that are known to be stored. */
  add(xorb: XorbName, first: number, records: ChunkRecords): void {
    this.#plain.add(xorb, first, records);
  }

  /** Takes in an answer of the CAS, as long as its key is good. */
  learn(shard: Shard, nowSeconds: number): void {
    if (shard.keyExpirySeconds <= nowSeconds) return;
    const table = shard.key ? this.#tableOf(shard.key, shard.keyExpirySeconds) : this.#plain;
    const before = table.count;
    for (const { hash, chunks } of shard.xorbs) {
      if (this.#answered + table.count - before + chunkCount(chunks) > MOST_ANSWERED) break;
      table.add(hash, 0, chunks);
    }
    this.#answered += table.count - before;
  }

  #tableOf(key: Uint8Array, expirySeconds: number): ChunkTable {
    const name = key.join(' ');
    const kept = this.#keyed.get(name) ?? { key: key.slice(), table: new ChunkTable(), expirySeconds };
    kept.expirySeconds = Math.max(kept.expirySeconds, expirySeconds);
    this.#keyed.set(name, kept);
    return kept.table;
  }

  /** What is known of some chunks, including what is added while it is looked at; answers that come later are not seen. */
  async look(records: ChunkRecords, keyHashes: KeyHashes, nowSeconds: number): Promise<KnownPlaces> {
    const plain = chunkHashes(records);
    const views = [{ table: this.#plain, hashes: plain }];
    for (const { key, table, expirySeconds } of [...this.#keyed.values()]) {
      if (expirySeconds > nowSeconds) views.push({ table, hashes: await keyHashes(plain.slice(), key) });
    }
    return {
      find: (position, before) => {
        const wanted = ({ hashes }: { hashes: Uint8Array }): WantedChunk => ({
          hashes,
          position,
          length: chunkLength(records, position),
        });
        if (before) {
          for (const view of views) {
            const next = view.table.behind(before, wanted(view));
            if (next) return next;
          }
        }
        for (const view of views) {
          const place: ChunkPlace | undefined = view.table.find(wanted(view));
          if (place) return place;
        }
        return undefined;
      },
    };
  }
}

/** Positions of the chunks that the CAS may be asked about: a file's first one, and those whose hash says so. */
export function eligibleChunks(records: ChunkRecords, startsFile: boolean): number[] {
  const hashes = chunkHashes(records);
  const eligible: number[] = [];
  for (let position = 0; position < chunkCount(records); position++) {
    // The last of the four words of the hash, modulo 1024: its low ten bits.
    const word = position * HASH_BYTES + 24;
    const remainder = ((hashes[word] ?? 0) | ((hashes[word + 1] ?? 0) << 8)) % ELIGIBLE_MODULUS;
    if (remainder === 0 || (startsFile && position === 0)) eligible.push(position);
  }
  return eligible;
}
