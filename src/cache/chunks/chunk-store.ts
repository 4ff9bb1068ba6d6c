import type { ChunkRecords } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';

/** Consecutive chunks of one xorb: their indices, their hashes and lengths, and their concatenated bytes. */
export interface ChunkRun {
  chunks: ChunkRange;
  records: ChunkRecords;
  bytes: Uint8Array;
}

export interface ChunkStoreUsage {
  /** Size in bytes, as the store counts it against its limit. */
  bytes: number;
  entries: number;
}

/**
 * The chunk cache: chunks of reads that leave no file, by xorb and chunk index. Bounded; least recently used chunks are
 * evicted first. Every chunk is hashed before it is returned: a wrong one is dropped instead.
 *
 * Failures to store (full disk, quota, private window) are not errors, and anyone may delete the contents at any time.
 */
export interface ChunkStore {
  /** Returns the parts of a chunk range that are probably stored: ascending, disjoint, within `chunks`. */
  find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]>;
  /**
   * Returns the stored records of chunks from `chunks.start` up to the first missing one; empty if that is the first.
   * They are unchecked, and no chunk bytes are read.
   */
  records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords>;
  /**
   * Returns verified chunks from `chunks.start` up to `chunks.end` at most, possibly fewer; undefined if the first is
   * missing after all. The caller owns the bytes.
   */
  read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined>;
  /**
   * Stores a run, evicting others for it. The bytes are copied or written before this resolves. If `transferred`, the
   * store owns them from the call on, and may return their memory for reuse.
   */
  put(xorb: string, run: ChunkRun, transferred?: boolean): Promise<ArrayBuffer | undefined>;
  /** Drops all chunks of a xorb because they proved wrong. Chunks that cannot be removed stay. */
  drop(xorb: string): Promise<void>;
  usage(): Promise<ChunkStoreUsage>;
  /** Evicts least recently used chunks until at most `maxBytes` remain. Returns the number of bytes freed. */
  prune(maxBytes: number): Promise<number>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

const METHODS = ['find', 'records', 'read', 'put', 'drop', 'usage', 'prune', 'clear', 'close'] as const;

/** Creates a store from one function that receives the name and the arguments of each call. */
export function dispatching(call: (method: keyof ChunkStore, args: unknown[]) => Promise<unknown>): ChunkStore {
  return Object.fromEntries(
    METHODS.map((method) => [method, (...args: unknown[]) => call(method, args)]),
  ) as unknown as ChunkStore;
}

/** Calls a method of a store by its name. */
export function callByName(store: ChunkStore, method: keyof ChunkStore, args: unknown[]): Promise<unknown> {
  return (store[method] as (...args: unknown[]) => Promise<unknown>).apply(store, args);
}

/** Creates a store that passes each call on to another one, which may change or have to be opened first. */
export function forwarding(store: () => ChunkStore | Promise<ChunkStore>): ChunkStore {
  return dispatching(async (method, args) => callByName(await store(), method, args));
}
