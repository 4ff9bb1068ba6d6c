import type { Shard } from '../codec/shard.ts';
import {
  CHUNK_RECORD_BYTES,
  ChunkRecordList,
  type ChunkRecords,
  chunkCount,
  chunkHashes,
  chunkLength,
  chunkSlice,
} from '../core/chunks.ts';
import { HASH_BYTES } from '../core/hash.ts';
import type { KnownPlaces } from './choose-sources.ts';
import type { ChunkPlace, XorbName } from './file-terms.ts';
import { XORB_LIMITS } from './xorb-packer.ts';

/** Converts hashes to those that a shard with this key lists. */
type KeyHashes = (hashes: Uint8Array, key: Uint8Array) => Promise<Uint8Array>;

/** Maximum number of chunks from the CAS that one upload remembers: about 80 MB. */
const MAX_CAS_CHUNKS = 1_000_000;
/** Xet protocol, deduplication: one chunk in 1,024, chosen by its hash, may be queried globally. A power of two. */
const ELIGIBLE_MODULUS = 1024;

/** Places of chunks that an upload knows: those that it stores itself, and those that the CAS has. */
export class ChunkIndex {
  readonly #plain = new ChunkTable();
  readonly #keyed = new Map<string, { key: Uint8Array; table: ChunkTable; expirySeconds: number }>();
  #casChunks = 0;

  /** True while chunks from the CAS are accepted. */
  get hasRoom(): boolean {
    return this.#casChunks < MAX_CAS_CHUNKS;
  }

  /** Adds chunks of a xorb, from index `first` on, that this upload stores or that are known to be stored. */
  add(xorb: XorbName, first: number, records: ChunkRecords): void {
    this.#plain.add(xorb, first, records);
  }

  /** Adds the xorbs of a shard from the CAS, unless its key has expired. */
  learn(shard: Shard, nowSeconds: number): void {
    if (shard.keyExpirySeconds <= nowSeconds) return;
    const table = shard.key ? this.#tableOf(shard.key, shard.keyExpirySeconds) : this.#plain;
    const before = table.count;
    for (const { hash, chunks } of shard.xorbs) {
      if (this.#casChunks + table.count - before + chunkCount(chunks) > MAX_CAS_CHUNKS) break;
      table.add(hash, 0, chunks);
    }
    this.#casChunks += table.count - before;
  }

  #tableOf(key: Uint8Array, expirySeconds: number): ChunkTable {
    const name = key.join(' ');
    const kept = this.#keyed.get(name) ?? { key: key.slice(), table: new ChunkTable(), expirySeconds };
    kept.expirySeconds = Math.max(kept.expirySeconds, expirySeconds);
    this.#keyed.set(name, kept);
    return kept.table;
  }

  /** Known places of these chunks. Chunks added later are found, shards with a new key are not. */
  async lookup(records: ChunkRecords, keyHashes: KeyHashes, nowSeconds: number): Promise<KnownPlaces> {
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
            const next = view.table.findAfter(before, wanted(view));
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

/** Positions of the chunks that may be queried at the CAS: a file's first chunk, and those chosen by their hash. */
export function eligibleChunks(records: ChunkRecords, startsFile: boolean): number[] {
  const hashes = chunkHashes(records);
  const eligible: number[] = [];
  for (let position = 0; position < chunkCount(records); position++) {
    // The last of the hash's four words modulo 1024: its low ten bits.
    const word = position * HASH_BYTES + 24;
    const remainder = ((hashes[word] ?? 0) | ((hashes[word + 1] ?? 0) << 8)) % ELIGIBLE_MODULUS;
    if (remainder === 0 || (startsFile && position === 0)) eligible.push(position);
  }
  return eligible;
}

/** Consecutive chunks of a xorb. */
interface IndexedRun {
  xorb: XorbName;
  first: number;
  chunks: ChunkRecordList;
}

/** A chunk to find: its hash in the form that the table contains, and its length in bytes. */
interface WantedChunk {
  /** Raw hashes, back to back; `position` selects one. */
  hashes: Uint8Array;
  position: number;
  length: number;
}

/**
 * Places of chunks by hash. A million chunks take about 80 MB: their records, and a map keyed by 48 bits of each hash.
 * The complete hash is compared on lookup.
 */
export class ChunkTable {
  readonly #runs: IndexedRun[] = [];
  readonly #byXorb = new Map<XorbName, IndexedRun[]>();
  /** The first place of each hash. */
  readonly #byHash = new Map<number, number>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds chunks of a xorb from index `first` on. Known ones, and more than a xorb can have, are ignored. */
  add(xorb: XorbName, first: number, records: ChunkRecords): void {
    if (first < 0 || first + chunkCount(records) > XORB_LIMITS.maxChunks) return;
    let at = first;
    while (at < first + chunkCount(records) && this.#at(xorb, at)) at++;
    const rest = chunkSlice(records, at - first, chunkCount(records));
    if (rest.length === 0) return;
    const { run, number } = this.#runFor(xorb, at);
    for (let index = 0; index < chunkCount(rest); index++) {
      const key = keyOf(rest, index * CHUNK_RECORD_BYTES);
      if (!this.#byHash.has(key)) this.#byHash.set(key, number * XORB_LIMITS.maxChunks + run.chunks.count + index);
    }
    run.chunks.push(rest);
    this.#count += chunkCount(rest);
  }

  /** The place right after another one, if the chunk is there. */
  findAfter(before: ChunkPlace, wanted: WantedChunk): ChunkPlace | undefined {
    const index = before.index + 1;
    const found = this.#at(before.xorb, index);
    return found && isChunk(found.run, found.offset, wanted) ? { xorb: before.xorb, index } : undefined;
  }

  find(wanted: WantedChunk): ChunkPlace | undefined {
    const number = this.#byHash.get(keyOf(wanted.hashes, wanted.position * HASH_BYTES));
    if (number === undefined) return undefined;
    const run = this.#runs[Math.floor(number / XORB_LIMITS.maxChunks)];
    const offset = number % XORB_LIMITS.maxChunks;
    return run && isChunk(run, offset, wanted) ? { xorb: run.xorb, index: run.first + offset } : undefined;
  }

  #at(xorb: XorbName, index: number): { run: IndexedRun; offset: number } | undefined {
    for (const run of this.#byXorb.get(xorb) ?? []) {
      const offset = index - run.first;
      if (offset >= 0 && offset < run.chunks.count) return { run, offset };
    }
    return undefined;
  }

  /** The last run if it ends at this place, else a new one: a xorb that is being filled is one run. */
  #runFor(xorb: XorbName, first: number): { run: IndexedRun; number: number } {
    const last = this.#runs.at(-1);
    if (last && last.xorb === xorb && last.first + last.chunks.count === first) {
      return { run: last, number: this.#runs.length - 1 };
    }
    const run = { xorb, first, chunks: new ChunkRecordList() };
    this.#runs.push(run);
    const others = this.#byXorb.get(xorb);
    if (others) others.push(run);
    else this.#byXorb.set(xorb, [run]);
    return { run, number: this.#runs.length - 1 };
  }
}

/** The first 48 bits of a hash, which a number holds exactly. */
function keyOf(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  const high = (bytes[at + 3] ?? 0) | ((bytes[at + 4] ?? 0) << 8) | ((bytes[at + 5] ?? 0) << 16);
  return high * 2 ** 24 + low;
}

function isChunk(run: IndexedRun, offset: number, { hashes, position, length }: WantedChunk): boolean {
  const records = run.chunks.records;
  const at = offset * CHUNK_RECORD_BYTES;
  for (let byte = 0; byte < HASH_BYTES; byte++) {
    if (records[at + byte] !== hashes[position * HASH_BYTES + byte]) return false;
  }
  return chunkLength(records, offset) === length;
}
