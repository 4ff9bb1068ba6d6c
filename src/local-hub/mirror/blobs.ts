import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteRange } from '../../core/ranges.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { HubError } from '../hub-error.ts';
import { type StagingArea, shardedPath, writeAll } from '../store/atomic-file.ts';
import { readExactly, readPieces } from '../store/read-pieces.ts';
import type { Asker } from './askers.ts';
import type { MirrorMetrics } from './metrics.ts';
import type { OpenAnswer, Upstream } from './upstream.ts';

/** A file without Xet. */
export interface Blob {
  /** Git's id of the content (40 digits), or its sha256 (64 digits). */
  id: string;
  size: number;
}

interface Receiving {
  /** Bytes that are in the staged file. */
  received: number;
  staged: string;
  /** Readers of the staged file: it is removed after the last. */
  file: FileHandle | undefined;
  progress: Promise<void>;
  notify: () => void;
  ended: boolean;
  failure?: { error: unknown };
}

const PIECE_BYTES = 1024 * 1024;

/** Files without Xet by their hash. Each is fetched once and checked; clients stream along while it arrives. */
export class Blobs {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #upstream: Upstream;
  readonly #metrics: MirrorMetrics;
  readonly #log: (line: string) => void;
  readonly #receiving = new Map<string, Receiving>();

  constructor(parts: {
    dir: string;
    staging: StagingArea;
    upstream: Upstream;
    metrics: MirrorMetrics;
    log: (line: string) => void;
  }) {
    this.#root = join(parts.dir, 'plain');
    this.#staging = parts.staging;
    this.#upstream = parts.upstream;
    this.#metrics = parts.metrics;
    this.#log = parts.log;
  }

  /** Gets a blob ready to be read: stored, or on its way. Rejects where the upstream cannot be asked. */
  async prepare(blob: Blob, asker: Asker, target: string): Promise<(range: ByteRange) => AsyncIterable<Uint8Array>> {
    const path = this.#path(blob.id);
    const stored = await ifPresent(() => stat(path));
    if (stored?.size === blob.size) return (range) => readPieces(path, range);
    const receiving = this.#receiving.get(blob.id) ?? (await this.#begin(blob, asker, target));
    const passed = (range: ByteRange) => this.#passThrough(blob, asker, target, range);
    return (range) => this.#along(blob, receiving, range, passed);
  }

  /** Drops a blob, so that it is fetched again. */
  forget(id: string): Promise<void> {
    return rm(this.#path(id), { force: true });
  }

  async #begin(blob: Blob, asker: Asker, target: string): Promise<Receiving> {
    const receiving: Receiving = {
      received: 0,
      staged: this.#staging.path(),
      file: undefined,
      progress: Promise.resolve(),
      notify: () => undefined,
      ended: false,
    };
    renew(receiving);
    this.#receiving.set(blob.id, receiving);
    try {
      const answer = await this.#open(asker, target, undefined);
      this.#receive(blob, receiving, answer.pieces)
        .catch((error: unknown) => {
          receiving.failure = { error };
        })
        .finally(() => this.#end(blob.id, receiving))
        .catch((error: unknown) => this.#log(`A staged file is left behind: ${String(error)}`));
      return receiving;
    } catch (error) {
      receiving.failure = { error };
      await this.#end(blob.id, receiving);
      throw error;
    }
  }

  async #end(id: string, receiving: Receiving): Promise<void> {
    receiving.ended = true;
    this.#receiving.delete(id);
    renew(receiving);
    // Those who read along have opened it themselves.
    await receiving.file?.close().catch(() => undefined);
    await rm(receiving.staged, { force: true });
  }

  async #receive(blob: Blob, receiving: Receiving, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await open(receiving.staged, 'wx+');
    receiving.file = file;
    renew(receiving);
    const hash = hasherOf(blob);
    let length = 0;
    for await (const piece of pieces) {
      length += piece.length;
      this.#metrics.add('file_bytes_fetched', piece.length);
      if (length > blob.size) throw wrong(blob);
      hash.update(piece);
      await writeAll(file, piece);
      // The last byte is handed on only when the hash is right.
      receiving.received = Math.min(length, blob.size - 1);
      renew(receiving);
    }
    if (length !== blob.size || hash.digest('hex') !== blob.id) throw wrong(blob);
    // Before the last byte is handed on: who has all of it finds it stored.
    await this.#staging.publish(receiving.staged, this.#path(blob.id), blob.size);
    receiving.received = length;
    renew(receiving);
  }

  async *#along(
    blob: Blob,
    receiving: Receiving,
    range: ByteRange,
    passed: (range: ByteRange) => AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const path = this.#path(blob.id);
    while (!receiving.file && !receiving.ended) await receiving.progress;
    const file = await open(receiving.staged, 'r').catch(() => undefined);
    if (!file) {
      // It was published, or given up, in the meantime.
      if (isDiskFull(receiving)) return yield* passed(range);
      if (receiving.failure) throw receiving.failure.error;
      return yield* readPieces(path, range);
    }
    try {
      for (let at = range.start; at < range.end; ) {
        const { progress } = receiving;
        const ready = Math.min(receiving.received, range.end) - at;
        if (ready > 0) {
          const piece = await readExactly(file, at, Math.min(PIECE_BYTES, ready));
          at += piece.length;
          yield piece;
          continue;
        }
        if (isDiskFull(receiving)) return yield* passed({ start: at, end: range.end });
        if (receiving.failure) throw receiving.failure.error;
        if (receiving.ended) throw wrong(blob);
        await progress;
      }
    } finally {
      await file.close();
    }
  }

  /** A range straight from the upstream, without being stored: the hash of a whole file is still checked. */
  async *#passThrough(
    blob: Blob,
    asker: Asker,
    target: string,
    range: ByteRange,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#log('The disk is full. A file is passed through without being stored.');
    this.#metrics.add('passed_through', 1);
    const answer = await this.#open(asker, target, undefined);
    const hash = hasherOf(blob);
    try {
      let at = 0;
      for await (const piece of answer.pieces) {
        hash.update(piece);
        const end = at + piece.length;
        if (end >= blob.size && (end > blob.size || hash.digest('hex') !== blob.id)) throw wrong(blob);
        const wanted = piece.subarray(Math.max(0, range.start - at), Math.max(0, range.end - at));
        if (wanted.length > 0) yield wanted;
        at = end;
        if (at >= range.end) return;
      }
      throw wrong(blob);
    } finally {
      answer.drop();
    }
  }

  async #open(asker: Asker, target: string, signal: AbortSignal | undefined): Promise<OpenAnswer> {
    const answer = await this.#upstream.open(this.#upstream.url + target, {
      authorization: asker.authorization,
      follow: true,
      signal,
    });
    if (answer.status === 200) return answer;
    answer.drop();
    throw new HubError(502, `The upstream answered ${answer.status} to a file that it had announced.`);
  }

  #path(id: string): string {
    return shardedPath(this.#root, id);
  }
}

function hasherOf({ id, size }: Blob): Hash {
  return id.length === 40 ? createHash('sha1').update(`blob ${size}\0`) : createHash('sha256');
}

function isDiskFull({ failure }: Receiving): boolean {
  const code = (failure?.error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function renew(receiving: Receiving): void {
  const { notify } = receiving;
  receiving.progress = new Promise((resolve) => {
    receiving.notify = resolve;
  });
  notify();
}

function wrong({ id }: Blob): HubError {
  return new HubError(502, `The upstream sent a file that does not have the hash ${id}.`);
}
