import {
  appendFile,
  type FileHandle,
  mkdir,
  open as openFile,
  readdir,
  rm,
  stat,
  truncate,
  utimes,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { isHashHex } from '../../core/hash.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { readIfExists, type StagingArea, shardedPath } from '../store/atomic-file.ts';
import { readExactly } from '../store/read-pieces.ts';
import { RecentMap } from '../store/recent-map.ts';
import type { MirrorMetrics } from './metrics.ts';
import { decodeRuns, encodeRun, findRun, insertRun, type RunUnit, type StoredRun } from './xorb-runs.ts';

/** Reads stored runs of one xorb. */
export interface XorbReader {
  /** The frames of a run, or `undefined` if they are damaged: the run is then forgotten. */
  read(run: StoredRun): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

interface XorbEntry {
  runs: StoredRun[];
}

/** Chunks whose indexes are kept in memory. */
const MEMORY_CHUNKS = 1_000_000;
const TOUCH_EVERY_MS = 3_600_000;

/**
 * Parts of xorbs by hash. The frames lie at their places in a sparse file; an index beside it names the runs that were
 * written and how to check them, so that a killed process leaves at most bytes that no index names. The least recently
 * used xorbs are evicted first.
 */
export class XorbCache {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #maxBytes: number;
  readonly #metrics: MirrorMetrics;
  /** Bytes of each stored xorb, the least recently used first. */
  readonly #sizes = new Map<string, number>();
  readonly #pins = new Map<string, number>();
  readonly #entries = new RecentMap<string, XorbEntry>(MEMORY_CHUNKS, ({ runs }) =>
    runs.reduce((sum, run) => sum + run.ends.length, 100),
  );
  readonly #loading = new Map<string, Promise<XorbEntry>>();
  readonly #touchedAt = new RecentMap<string, number>(100_000);
  #bytes = 0;

  private constructor(dir: string, staging: StagingArea, maxBytes: number, metrics: MirrorMetrics) {
    this.#root = join(dir, 'xorbs');
    this.#staging = staging;
    this.#maxBytes = maxBytes;
    this.#metrics = metrics;
  }

  static async open(dir: string, staging: StagingArea, maxBytes: number, metrics: MirrorMetrics): Promise<XorbCache> {
    const cache = new XorbCache(dir, staging, maxBytes, metrics);
    const names = (await ifPresent(() => readdir(cache.#root, { recursive: true }))) ?? [];
    const found: { hash: string; usedAt: number; bytes: number }[] = [];
    for (const name of names) {
      const hash = /([0-9a-f]{64})\.data$/.exec(name)?.[1];
      if (!isHashHex(hash)) continue;
      const [data, index] = await Promise.all([stat(cache.#path(hash)), ifPresent(() => stat(cache.#indexPath(hash)))]);
      if (index) found.push({ hash, usedAt: index.mtimeMs, bytes: allocated(data) + index.size });
      else await rm(cache.#path(hash), { force: true });
    }
    for (const { hash, bytes } of found.sort((a, b) => a.usedAt - b.usedAt)) {
      cache.#sizes.set(hash, bytes);
      cache.#bytes += bytes;
    }
    return cache;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#sizes.size;
  }

  /** Keeps a xorb from being evicted until the returned function is called. */
  pin(hash: string): () => void {
    this.#pins.set(hash, (this.#pins.get(hash) ?? 0) + 1);
    this.#touch(hash);
    return () => {
      const left = (this.#pins.get(hash) ?? 1) - 1;
      if (left > 0) this.#pins.set(hash, left);
      else this.#pins.delete(hash);
    };
  }

  /** The stored runs of a xorb, in order. */
  async runs(hash: string): Promise<readonly StoredRun[]> {
    return (await this.#entry(hash)).runs;
  }

  async find(hash: string, unit: RunUnit, at: number): Promise<StoredRun | undefined> {
    return findRun((await this.#entry(hash)).runs, unit, at);
  }

  /** Reader of a xorb's runs; it must be closed. */
  reader(hash: string): XorbReader {
    const path = this.#path(hash);
    let opened: Promise<FileHandle | undefined> | undefined;
    return {
      read: async (run) => {
        opened ??= ifPresent(() => openFile(path, 'r'));
        const file = await opened;
        const frames = file && (await readExactly(file, run.start, runLength(run)).catch(() => undefined));
        if (frames && crc32(frames) === run.crc) return frames;
        // The file may be another one by now.
        await file?.close();
        opened = undefined;
        this.#metrics.add('repairs', 1);
        await this.forget(hash, [run]);
        return undefined;
      },
      close: async () => {
        await (await opened)?.close();
        opened = undefined;
      },
    };
  }

  /** Makes room for so many bytes. False if what is in use leaves too little. */
  async reserve(bytes: number): Promise<boolean> {
    if (bytes > this.#maxBytes) return false;
    for (const hash of [...this.#sizes.keys()]) {
      if (this.#bytes + bytes <= this.#maxBytes) break;
      if (!this.#pins.has(hash)) await this.#evict(hash);
    }
    return this.#bytes + bytes <= this.#maxBytes;
  }

  /** Stores a run: the frames first, then the entry that vouches for them. */
  async append(hash: string, run: StoredRun, frames: Uint8Array): Promise<void> {
    const entry = await this.#entry(hash);
    const path = this.#path(hash);
    await mkdir(dirname(path), { recursive: true });
    const file = await openFile(path, (await ifPresent(() => stat(path))) ? 'r+' : 'w+');
    try {
      for (let at = 0; at < frames.length; ) {
        const { bytesWritten } = await file.write(frames, at, frames.length - at, run.start + at);
        if (bytesWritten === 0) throw Object.assign(new Error('The disk is full.'), { code: 'ENOSPC' });
        at += bytesWritten;
      }
    } finally {
      await file.close();
    }
    // Two fetches may have brought the same frames: the entry that came first holds.
    if (!insertRun(entry.runs, run)) return;
    try {
      const text = encodeRun(run);
      await appendFile(this.#indexPath(hash), text);
      this.#grow(hash, frames.length + text.length);
    } catch (error) {
      entry.runs.splice(entry.runs.indexOf(run), 1);
      throw error;
    }
    this.#entries.set(hash, entry);
  }

  /** Drops runs of a xorb, so that they are fetched again. */
  async forget(hash: string, dropped: readonly StoredRun[]): Promise<void> {
    const entry = await this.#entry(hash);
    entry.runs = entry.runs.filter((run) => !dropped.includes(run));
    await this.#staging.write(this.#indexPath(hash), Buffer.concat(entry.runs.map(encodeRun)));
    this.#entries.set(hash, entry);
  }

  async #evict(hash: string): Promise<void> {
    const bytes = this.#sizes.get(hash) ?? 0;
    this.#sizes.delete(hash);
    this.#entries.delete(hash);
    this.#bytes -= bytes;
    await rm(this.#indexPath(hash), { force: true });
    await rm(this.#path(hash), { force: true });
    this.#metrics.add('evicted_bytes', bytes);
  }

  #grow(hash: string, bytes: number): void {
    const known = this.#sizes.get(hash) ?? 0;
    this.#sizes.delete(hash);
    this.#sizes.set(hash, known + bytes);
    this.#bytes += bytes;
  }

  #touch(hash: string): void {
    const bytes = this.#sizes.get(hash);
    if (bytes === undefined) return;
    this.#sizes.delete(hash);
    this.#sizes.set(hash, bytes);
    const now = Date.now();
    if (now - (this.#touchedAt.get(hash) ?? 0) < TOUCH_EVERY_MS) return;
    this.#touchedAt.set(hash, now);
    // The order of eviction after a restart; nothing depends on it.
    utimes(this.#indexPath(hash), new Date(now), new Date(now)).catch(() => undefined);
  }

  #entry(hash: string): Promise<XorbEntry> {
    const known = this.#entries.get(hash);
    if (known) return Promise.resolve(known);
    const loading = this.#loading.get(hash) ?? this.#load(hash).finally(() => this.#loading.delete(hash));
    this.#loading.set(hash, loading);
    return loading;
  }

  async #load(hash: string): Promise<XorbEntry> {
    const path = this.#indexPath(hash);
    const bytes = await readIfExists(path);
    const { runs, length } = decodeRuns(bytes ?? Buffer.alloc(0));
    // What follows a damaged entry could not be read after the next one is appended.
    if (bytes && length < bytes.length) await truncate(path, length);
    const entry = { runs };
    this.#entries.set(hash, entry);
    return entry;
  }

  #path(hash: string): string {
    return shardedPath(this.#root, hash, '.data');
  }

  #indexPath(hash: string): string {
    return shardedPath(this.#root, hash, '.index');
  }
}

function allocated({ size, blocks }: { size: number; blocks: number }): number {
  return Math.min(size, blocks * 512);
}

function runLength(run: StoredRun): number {
  return run.ends.at(-1) ?? 0;
}
