import { ChunkRecordList, type ChunkRecords } from '../core/chunks.ts';
import { type ByteRange, without } from '../core/ranges.ts';

interface Covered extends ByteRange {
  chunks: ChunkRecords;
}

/** Bytes of a file that are held, and their chunks. Takes them in any order. */
export class Coverage {
  #parts: Covered[] = [];
  #sorted = true;

  /** `chunks` are exactly the bytes from `at` on, or none where that is not known. */
  add(at: number, length: number, chunks: ChunkRecords): void {
    if (length === 0) return;
    const part = { start: at, end: at + length, chunks };
    if (at < (this.#parts.at(-1)?.end ?? 0)) this.#sorted = false;
    this.#parts.push(part);
  }

  /** Ascending. */
  get parts(): readonly ByteRange[] {
    if (!this.#sorted) this.#parts.sort((a, b) => a.start - b.start);
    this.#sorted = true;
    return this.#parts;
  }

  holes(range: ByteRange): ByteRange[] {
    return without(range, this.parts);
  }

  /** The chunks of all parts in file order. */
  records(): ChunkRecords {
    const list = new ChunkRecordList();
    for (const part of this.parts as readonly Covered[]) list.push(part.chunks);
    return list.records.slice();
  }
}
