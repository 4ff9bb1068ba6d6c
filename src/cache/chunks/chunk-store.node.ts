import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { ChunkRecords } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { SerialQueue } from '../../core/serial-queue.ts';
import { ifDiskAllows } from '../../fs/cache-folder.node.ts';
import { diskErrors } from '../../fs/disk-errors.node.ts';
import { onDisk } from '../../fs/small-files.node.ts';
import { NegativeCache } from '../negative-cache.ts';
import { coalesceRuns, missingRuns, type NewEntry, type XorbRun } from './batches.ts';
import {
  type EntryFile,
  entriesOf,
  entryPath,
  isFull,
  isOnlyWriter,
  loadEntry,
  loadRecords,
  remove,
  removeUnused,
  type StoredFile,
  scanEntries,
  tidyUp,
  writeEntry,
} from './chunk-files.node.ts';
import {
  assertRun,
  assertXorb,
  type ChunkStoreOptions,
  checkRun,
  contiguousRecords,
  entriesWith,
  type HashChunk,
  PUT_PAUSE_MS,
  rangesWithin,
} from './chunk-runs.ts';
import type { ChunkRun, ChunkStore, ChunkStoreUsage } from './chunk-store.ts';
import { ENTRY_VERSION, encodeEntryHead, entryBytes } from './entry-format.ts';

/** After adding this share of the limit, the store checks for other writers, and rescans the folder if there are any. */
const RESCAN_SHARE = 0.01;
/** Share of the limit that eviction leaves free, for further puts and for other writers. */
const SPARE_SHARE = 0.02;
/** Share of the entries that is evicted when the disk is full. */
const FULL_DISK_SHARE = 0.05;
/** Number of eviction candidates in memory. */
const MAX_REMEMBERED = 8192;
/** Consecutive failed puts before a pause, and failed removals before eviction gives up. */
const MAX_FAILED_PUTS = 3;
const MAX_FAILED_REMOVALS = 8;
/** Limit for entries of coalesced runs: one read may return a whole entry. */
const MAX_ENTRY_BYTES = 2 * 1024 * 1024;

/**
 * Opens a chunk store in subfolder `v1` of a folder, for any number of processes at once. The first put creates the
 * folder. Reading only updates times of use and removes damaged entries.
 */
export function openFolderChunkStore(folder: string, options: ChunkStoreOptions): ChunkStore {
  return new FolderChunkStore(join(folder, `v${ENTRY_VERSION}`), options);
}

class FolderChunkStore implements ChunkStore {
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #hash: HashChunk;
  readonly #writer = randomUUID();
  /** Entries at the last scan, least recently used first, without those removed since. */
  #oldest: StoredFile[] | undefined;
  /** Estimated size: that of the last scan, and own changes since. */
  #bytes = 0;
  #putSinceScan = 0;
  #failedPuts = 0;
  #pausedUntil = 0;
  readonly #turns = new SerialQueue();
  /** Runs that wait to be written. */
  readonly #waiting: XorbRun[] = [];
  /** Many small files share a few xorbs, and each looks them up. */
  readonly #missing = new NegativeCache();
  #closed = false;

  constructor(folder: string, { maxBytes, hash }: ChunkStoreOptions) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    this.#hash = hash;
  }

  async find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]> {
    return rangesWithin(await this.#entriesOf(xorb), chunks);
  }

  async records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords> {
    return contiguousRecords(await this.#entriesOf(xorb), chunks, (entry) => loadRecords(entry, xorb));
  }

  async read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (chunks.start >= chunks.end) return undefined;
    for (const entry of entriesWith(await this.#entriesOf(xorb), chunks.start)) {
      const wanted = { start: chunks.start, end: Math.min(chunks.end, entry.end) };
      const loaded = await loadEntry(entry, xorb, wanted);
      if (loaded === 'unreadable') continue;
      const { good, damaged } =
        loaded === 'damaged' ? { good: undefined, damaged: true } : await checkRun(loaded, this.#hash);
      if (damaged) await remove(entry.path);
      if (good) return good;
    }
    return undefined;
  }

  async put(xorb: string, run: ChunkRun): Promise<undefined> {
    assertRun(xorb, run);
    if (this.#closed) return;
    this.#waiting.push({ xorb, run });
    // A run that was written together with earlier ones leaves nothing to do for its turn.
    await this.#turns.run(() => this.#writeWaiting());
  }

  async drop(xorb: string): Promise<void> {
    await this.#turns.run(async () => {
      for (const entry of await this.#entriesOf(xorb)) await remove(entry.path);
    });
  }

  async usage(): Promise<ChunkStoreUsage> {
    this.#assertOpen();
    const { bytes, entries } = await diskErrors(this.#folder, () => scanEntries(this.#folder));
    return { bytes, entries: entries.length };
  }

  prune(maxBytes: number): Promise<number> {
    return this.#turns.run(async () => {
      this.#assertOpen();
      return diskErrors(this.#folder, () => this.#scanAndEvict(maxBytes));
    });
  }

  clear(): Promise<void> {
    return this.#turns.run(async () => {
      this.#assertOpen();
      await diskErrors(this.#folder, async () => {
        await this.#scanAndEvict(0);
        await tidyUp(this.#folder);
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turns.idle();
  }

  async #entriesOf(xorb: string): Promise<EntryFile[]> {
    assertXorb(xorb);
    if (this.#closed) return [];
    if (this.#missing.has(xorb)) return [];
    // A folder that cannot be listed now has nothing to read, but is not remembered as empty.
    const entries = await ifDiskAllows(() => entriesOf(this.#folder, xorb));
    if (entries?.length === 0) this.#missing.add(xorb);
    return entries ?? [];
  }

  async #writeWaiting(): Promise<void> {
    const waiting = this.#waiting.splice(0);
    for (const xorb of new Set(waiting.map((one) => one.xorb))) {
      try {
        const runs = waiting.filter((one) => one.xorb === xorb);
        const missing = missingRuns(runs, new Map([[xorb, await entriesOf(this.#folder, xorb)]]));
        for (const entry of coalesceRuns(missing, MAX_ENTRY_BYTES)) {
          if (performance.now() < this.#pausedUntil) return;
          await this.#write(entry);
        }
        this.#failedPuts = 0;
      } catch {
        // No permission, a full disk, a file in place of the folder: a cache may fail to store. Trying each time would
        // only slow down what it is meant to speed up.
        if (++this.#failedPuts >= MAX_FAILED_PUTS) this.#pause();
      }
    }
  }

  async #write(entry: NewEntry): Promise<void> {
    const { xorb, chunks, pieces } = entry;
    const bytes = onDisk(entryBytes(entry));
    if (!(await this.#makeRoom(bytes))) return;
    const path = entryPath(this.#folder, xorb, chunks);
    this.#missing.delete(xorb);
    const parts = [encodeEntryHead(xorb, entry), ...pieces];
    try {
      await writeEntry(this.#folder, path, parts);
    } catch (error) {
      if (!isFull(error)) throw error;
      // Evicts once, and not again for a while: if others fill the disk, evicting more would be in vain.
      this.#pause();
      await this.#scan();
      await this.#evict(this.#bytes - Math.max(4 * bytes, this.#bytes * FULL_DISK_SHARE));
      await writeEntry(this.#folder, path, parts);
    }
    this.#bytes += bytes;
    this.#putSinceScan += bytes;
  }

  #pause(): void {
    this.#pausedUntil = performance.now() + PUT_PAUSE_MS;
  }

  /** Evicts entries for new bytes. Returns false if they still do not fit. */
  async #makeRoom(bytes: number): Promise<boolean> {
    if (bytes > this.#maxBytes) return false;
    if (!this.#oldest || this.#putSinceScan >= this.#maxBytes * RESCAN_SHARE) {
      const alone = await isOnlyWriter(this.#folder, this.#writer);
      if (!alone || !this.#oldest) await this.#scan();
      this.#putSinceScan = 0;
    }
    if (this.#bytes + bytes > this.#maxBytes) await this.#evictFor(bytes);
    this.#oldest?.splice(MAX_REMEMBERED);
    return this.#bytes + bytes <= this.#maxBytes;
  }

  async #evictFor(bytes: number): Promise<void> {
    const target = Math.max(0, this.#maxBytes * (1 - SPARE_SHARE) - bytes);
    await this.#evict(target);
    // The candidates may be used up, or all in use since.
    if (this.#bytes > target) await this.#scanAndEvict(target);
  }

  async #scan(): Promise<void> {
    const { entries, bytes } = await scanEntries(this.#folder);
    this.#oldest = entries;
    this.#bytes = bytes;
  }

  /** Rescans and evicts until at most `maxBytes` remain; returns the freed bytes. Throws if entries cannot be removed. */
  async #scanAndEvict(maxBytes: number): Promise<number> {
    let sum = 0;
    // The second round covers concurrent reads and puts, unless other processes are very busy.
    for (let round = 0; round < 2; round++) {
      await this.#scan();
      const { freed, failure } = await this.#evict(maxBytes);
      sum += freed;
      if (this.#bytes <= maxBytes) break;
      if (failure) throw failure;
    }
    return sum;
  }

  /** Removes candidates until the estimated size is at most `maxBytes`. */
  async #evict(maxBytes: number): Promise<{ freed: number; failure: unknown }> {
    const list = this.#oldest ?? [];
    let freed = 0;
    let tried = 0;
    let failure: unknown;
    for (let failures = 0; tried < list.length && this.#bytes > maxBytes && failures < MAX_FAILED_REMOVALS; ) {
      const file = list[tried++] as StoredFile;
      try {
        const outcome = await removeUnused(file);
        if (outcome !== 'used') this.#bytes -= file.bytes;
        if (outcome === 'removed') freed += file.bytes;
      } catch (error) {
        failures++;
        failure = error;
      }
    }
    list.splice(0, tried);
    return { freed, failure };
  }

  #assertOpen(): void {
    if (this.#closed) throw new XetError('CLOSED', 'The chunk cache was closed.');
  }
}
