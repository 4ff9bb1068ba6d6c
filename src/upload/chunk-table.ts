import {
  CHUNK_RECORD_BYTES,
  ChunkRecordList,
  type ChunkRecords,
  chunkCount,
  chunkLength,
  chunkSlice,
} from '../core/chunks.ts';
import { HASH_BYTES } from '../core/hash.ts';
import type { ChunkPlace, XorbName } from './file-terms.ts';
import { XORB_LIMITS } from './xorb-packer.ts';

/** Chunks that lie one behind the other in a xorb. */
interface Run {
  xorb: XorbName;
  first: number;
  chunks: ChunkRecordList;
}

/** A chunk to look for: its hash, in the form that the table has them in, and its length in bytes. */
export interface WantedChunk {
  /** Raw hashes, back to back. */
  hashes: Uint8Array;
  position: number;
  length: number;
}

/**
 * Where chunks are stored, by their hashes. A million of them take some 80 MB: the records themselves, and a map from
 * 48 bits of each hash. The whole hash is compared before an answer is given.
 */
export class ChunkTable {
  readonly #runs: Run[] = [];
  readonly #byXorb = new Map<XorbName, Run[]>();
  /** Of a hash that occurs more than once, the first place. */
  readonly #byHash = new Map<number, number>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Notes chunks of a xorb from an index on. Those that are there already, and more than a xorb can have, are left out. */
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

  /** The place of a chunk right behind another place, if it is there. */
  behind(before: ChunkPlace, wanted: WantedChunk): ChunkPlace | undefined {
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

  #at(xorb: XorbName, index: number): { run: Run; offset: number } | undefined {
    for (const run of this.#byXorb.get(xorb) ?? []) {
      const offset = index - run.first;
      if (offset >= 0 && offset < run.chunks.count) return { run, offset };
    }
    return undefined;
  }

  /** The last run, if it ends there: a xorb that is being filled is one run, however many chunks come at a time. */
  #runFor(xorb: XorbName, first: number): { run: Run; number: number } {
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

function isChunk(run: Run, offset: number, { hashes, position, length }: WantedChunk): boolean {
  const records = run.chunks.records;
  const at = offset * CHUNK_RECORD_BYTES;
  for (let byte = 0; byte < HASH_BYTES; byte++) {
    if (records[at + byte] !== hashes[position * HASH_BYTES + byte]) return false;
  }
  return chunkLength(records, offset) === length;
}
