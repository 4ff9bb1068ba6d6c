import type { ByteSource } from '../../src/formats/source.ts';

/** Bytes in memory as something to read from, that notes what was asked and refuses what is not there. */
export class MemorySource implements ByteSource {
  readonly reads: [start: number, end: number][] = [];
  readonly #bytes: Uint8Array;
  readonly size: number;

  /** @param size where the source is said to be longer than the bytes that are there; the rest is zeros. */
  constructor(bytes: Uint8Array, size = bytes.length) {
    this.#bytes = bytes;
    this.size = size;
  }

  async read(start: number, end: number, { signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    signal?.throwIfAborted();
    if (!(0 <= start && start <= end && end <= this.size)) throw new Error(`No range ${start}–${end} of ${this.size}`);
    this.reads.push([start, end]);
    const found = new Uint8Array(end - start);
    found.set(this.#bytes.subarray(start, end));
    return found;
  }

  get bytesRead(): number {
    return this.reads.reduce((sum, [start, end]) => sum + end - start, 0);
  }
}
