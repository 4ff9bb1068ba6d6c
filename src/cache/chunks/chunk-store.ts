import type { ChunkRecords } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';

/** A run of chunks of one xorb: which, their hashes and lengths, and their bytes one after the other. */
export interface ChunkRun {
  chunks: ChunkRange;
  records: ChunkRecords;
  bytes: Uint8Array;
}

export interface ChunkStoreUsage {
  /** Bytes that the store takes, counted as it counts them against its limit. */
  bytes: number;
  entries: number;
}

/**
 * Chunks of reads that leave no file, by xorb and chunk index. Bounded: what was not used for the longest time
 * goes first. What it gives was hashed again and is what was put in, or it gives nothing and forgets the entry.
 *
 * It is a cache: a put that cannot be done (full disk, quota, private window) is no error, and whatever is in it
 * may be deleted at any time by anyone.
 */
export interface ChunkStore {
  /** The parts of a chunk range that are likely here: ascending, apart from each other, within `chunks`. */
  find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]>;
  /**
   * What chunks from `chunks.start` on are said to be, up to the first that is not here: none if that is the first of
   * all. Unchecked, and without reading their bytes.
   */
  records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords>;
  /**
   * Chunks from `chunks.start` on, to `chunks.end` at most, checked; undefined if the first is not here after all. May give fewer
   * than asked for. The caller owns the bytes.
   */
  read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined>;
  /**
   * Keeps a run, and makes room for it. The bytes are copied or written before this resolves; a run that is `given` is
   * the store's from the call on. If that took its memory away, it may be given back.
   */
  put(xorb: string, run: ChunkRun, given?: boolean): Promise<ArrayBuffer | undefined>;
  /** Forgets all chunks of a xorb: they turned out to be others than they should be. What cannot be removed stays. */
  drop(xorb: string): Promise<void>;
  usage(): Promise<ChunkStoreUsage>;
  /** Removes what was not used for the longest time until at most so many bytes are left; gives the bytes freed. */
  prune(maxBytes: number): Promise<number>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

const METHODS = ['find', 'records', 'read', 'put', 'drop', 'usage', 'prune', 'clear', 'close'] as const;

/** A store whose methods are one function, which gets their names and arguments. */
export function dispatching(call: (method: keyof ChunkStore, args: unknown[]) => Promise<unknown>): ChunkStore {
  const methods = METHODS.map((name) => [name, (...args: unknown[]) => call(name, args)]);
  return Object.fromEntries(methods) as ChunkStore;
}

/** Calls a method of a store by its name. */
export function callByName(store: ChunkStore, method: keyof ChunkStore, args: unknown[]): Promise<unknown> {
  return (store[method] as (...args: unknown[]) => Promise<unknown>).apply(store, args);
}

/** A store that passes each call on to another one, which may change or be opened first. */
export function forwarding(store: () => ChunkStore | Promise<ChunkStore>): ChunkStore {
  return dispatching(async (method, args) => callByName(await store(), method, args));
}
