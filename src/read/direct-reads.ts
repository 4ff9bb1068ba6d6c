import type { FileSpan } from '../core/content.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { ReadPolicy } from '../download/read.ts';
import { readRange } from '../download/read-range.ts';
import { type FileReads, type FileReadsParts, filled } from './file-reads.ts';

/** Reads that share nothing: each fetches its own range, in file order. */
export class DirectReads implements FileReads {
  readonly parts: FileReadsParts;

  constructor(parts: FileReadsParts) {
    this.parts = parts;
  }

  read(range: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    return filled(range.end - range.start, async (bytes, policy) => {
      for await (const run of this.#content(range, signal, { policy, lent: true })) {
        bytes.set(run.bytes, run.at - range.start);
      }
    });
  }

  stream(range: ByteRange, signal: AbortSignal, cautious = false): AsyncGenerator<FileSpan, void, undefined> {
    return this.#content(range, signal, { cautious });
  }

  #content(
    range: ByteRange,
    signal: AbortSignal | undefined,
    how: { policy?: ReadPolicy; lent?: boolean; cautious?: boolean },
  ): AsyncGenerator<FileSpan, void, undefined> {
    const { engine, file, signal: ending } = this.parts;
    return readRange(engine, file, range, { ...how, signal: signal ? AbortSignal.any([ending, signal]) : ending });
  }
}
