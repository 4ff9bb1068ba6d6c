import { MAX_CHUNK_BYTES } from '../core/chunks.ts';
import type { ChunkRange } from '../core/ranges.ts';

interface HeldRun extends ChunkRange {
  /** About. */
  bytes: number;
  /** The last piece that wants them. */
  until: number;
}

/** Chunks of a xorb that one job has read and keeps for later pieces. However many pieces want a chunk, it is kept once. */
export class HeldChunks {
  /** Ascending, apart from each other. */
  readonly #runs: HeldRun[] = [];
  #bytes = 0;

  /** All that is ever kept, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that keeping these chunks as well would take, at most. */
  costOf(chunks: ChunkRange, termBytes: number): number {
    let missing = Math.max(0, chunks.end - chunks.start);
    for (let index = this.#firstAfter(chunks.start); index < this.#runs.length; index++) {
      const run = this.#runs[index];
      if (!run || run.start >= chunks.end) break;
      missing -= overlap(run, chunks);
    }
    return Math.min(missing * MAX_CHUNK_BYTES, termBytes);
  }

  /** Keeps these chunks until a piece has had them; pieces come in file order. */
  keep(chunks: ChunkRange, termBytes: number, until: number): void {
    if (chunks.start >= chunks.end) return;
    const first = this.#firstAfter(chunks.start);
    const same = this.#runs[first];
    if (same?.start === chunks.start && same.end === chunks.end) {
      same.until = until;
      return;
    }
    const cost = this.costOf(chunks, termBytes);
    this.#bytes += cost;
    const kept: HeldRun = { ...chunks, bytes: cost, until };
    const around: HeldRun[] = [kept];
    let end = first;
    for (let run = this.#runs[end]; run && run.start < chunks.end; run = this.#runs[++end]) {
      const perChunk = run.bytes / (run.end - run.start);
      kept.bytes += perChunk * overlap(run, chunks);
      const before = { ...run, end: chunks.start, bytes: perChunk * (chunks.start - run.start) };
      const behind = { ...run, start: chunks.end, bytes: perChunk * (run.end - chunks.end) };
      if (before.start < before.end) around.unshift(before);
      if (behind.start < behind.end) around.push(behind);
    }
    this.#runs.splice(first, end - first, ...around);
  }

  /** Chunks to release, by the piece after which they are released. */
  get runs(): Iterable<Readonly<HeldRun>> {
    return this.#runs;
  }

  /** Index of the first run that ends behind a chunk. */
  #firstAfter(chunk: number): number {
    let low = 0;
    for (let high = this.#runs.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.#runs[middle]?.end ?? 0) <= chunk) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function overlap(a: ChunkRange, b: ChunkRange): number {
  return Math.max(0, Math.min(a.end, b.end) - Math.max(a.start, b.start));
}
