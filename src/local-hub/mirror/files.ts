import { findRange, type Term } from '../../cas/reconstruction.ts';
import type { Codec } from '../../codec/codec.ts';
import { ChunkRecordList, chunkSlice } from '../../core/chunks.ts';
import { hashToHex } from '../../core/hash.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { HubError } from '../hub-error.ts';
import type { MirrorMetrics } from './metrics.ts';
import type { MirroredFile, Reconstructions } from './reconstructions.ts';
import { unpackedSpan } from './wire.ts';
import type { XorbCache } from './xorb-cache.ts';
import type { XorbFetches } from './xorb-fetches.ts';
import { findRun, runEnd, type StoredRun } from './xorb-runs.ts';

/** Content of files, put together from chunks. */
export class MirrorFiles {
  readonly #cache: XorbCache;
  readonly #fetches: XorbFetches;
  readonly #reconstructions: Reconstructions;
  readonly #codec: Codec;
  readonly #metrics: MirrorMetrics;
  readonly #log: (line: string) => void;

  constructor(parts: {
    cache: XorbCache;
    fetches: XorbFetches;
    reconstructions: Reconstructions;
    codec: Codec;
    metrics: MirrorMetrics;
    log: (line: string) => void;
  }) {
    this.#cache = parts.cache;
    this.#fetches = parts.fetches;
    this.#reconstructions = parts.reconstructions;
    this.#codec = parts.codec;
    this.#metrics = parts.metrics;
    this.#log = parts.log;
  }

  /** The bytes of a range. Of a whole file the last piece comes only after all chunks gave the file's hash. */
  async *read(file: MirroredFile, range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const isWhole = range.start === 0 && range.end === file.size;
    const records = isWhole ? new ChunkRecordList() : undefined;
    let last: Uint8Array | undefined;
    let start = 0;
    for (const term of file.found.terms) {
      const part = {
        start: Math.max(0, range.start - start),
        end: Math.min(term.unpackedLength, range.end - start),
      };
      start += term.unpackedLength;
      if (part.start >= part.end) continue;
      for await (const piece of this.#readTerm(file, term, part, records, signal)) {
        if (last) yield last;
        last = piece;
      }
    }
    if (records && hashToHex(this.#codec.fileHash(records.records)) !== file.hash) {
      await this.#forget(file);
      throw new HubError(502, 'The upstream sent content that does not have the hash of the file.');
    }
    if (last) yield last;
  }

  async *#readTerm(
    file: MirroredFile,
    term: Term,
    part: ByteRange,
    records: ChunkRecordList | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const outer = findRange(file.found, term)?.range;
    if (!outer) throw new Error(`Xorb ${term.xorb} has no range for a term`);
    const source = this.#reconstructions.source(file, term.xorb);
    const { start, end } = term.chunks;
    let at = 0;
    const runs = await this.#cache.runs(term.xorb);
    let first = start;
    // Chunks before the part are not read where their lengths are known.
    for (let run = findRun(runs, 'chunks', first); run; run = findRun(runs, 'chunks', first)) {
      const span = unpackedSpan(run, { start: first, end });
      if (records || at + span.end - span.start > part.start || runEnd(run, 'chunks') >= end) break;
      at += span.end - span.start;
      first = runEnd(run, 'chunks');
    }
    for await (const { run, frames } of this.#fetches.read(
      { source, outer, unit: 'chunks', start: first, end },
      signal,
    )) {
      const span = unpackedSpan(run, { start: first, end });
      const length = span.end - span.start;
      const from = Math.max(0, part.start - at);
      const to = Math.min(length, part.end - at);
      if (from < to) {
        const { data } = this.#codec.decodeRun(frames);
        yield data.subarray(span.start + from, span.start + to);
      }
      records?.push(
        chunkSlice(
          run.chunks,
          Math.max(start, run.firstChunk) - run.firstChunk,
          Math.min(end, runEnd(run, 'chunks')) - run.firstChunk,
        ),
      );
      at += length;
      first = runEnd(run, 'chunks');
      if (at >= part.end && !records) return;
    }
    if (at !== term.unpackedLength) {
      throw new HubError(502, 'The upstream sent chunks of another length than it announced.');
    }
  }

  /**
   * Checks a file whose chunks are all stored against its hash; true if they give it. Chunks that do not are dropped, as
   * the upstream sent something else.
   */
  async check(file: MirroredFile): Promise<boolean> {
    const records = new ChunkRecordList();
    for (const { xorb, chunks } of file.found.terms) {
      const runs = await this.#cache.runs(xorb);
      for (let chunk = chunks.start; chunk < chunks.end; ) {
        const run: StoredRun | undefined = findRun(runs, 'chunks', chunk);
        if (!run) return false;
        const end = Math.min(chunks.end, runEnd(run, 'chunks'));
        records.push(chunkSlice(run.chunks, chunk - run.firstChunk, end - run.firstChunk));
        chunk = end;
      }
    }
    if (hashToHex(this.#codec.fileHash(records.records)) === file.hash) return true;
    await this.#forget(file);
    return false;
  }

  async #forget(file: MirroredFile): Promise<void> {
    this.#metrics.add('wrong_files', 1);
    this.#log(
      `The chunks of file ${file.hash} do not give its hash. They are dropped, and fetched again when asked for.`,
    );
    for (const { xorb, chunks } of file.found.terms) {
      const runs = await this.#cache.runs(xorb);
      const wrong = runs.filter((run) => run.firstChunk < chunks.end && runEnd(run, 'chunks') > chunks.start);
      if (wrong.length > 0) await this.#cache.forget(xorb, wrong);
    }
  }
}
