import type { ChunkStore } from '../../src/cache/chunks/chunk-store.ts';
import type { SampleXorbs } from '../support/chunk-samples.ts';

/** Reads all chunks found of a xorb, and returns their number. A wrong chunk throws. */
export async function readAllOf(from: SampleXorbs, store: ChunkStore, xorb: number): Promise<number> {
  let chunks = 0;
  for (const { start, end } of await store.find(from.name(xorb), { start: 0, end: 1000 })) {
    for (let at = start; at < end; ) {
      const run = await store.read(from.name(xorb), { start: at, end });
      const wrong = run && from.wrongIn(xorb, run);
      if (wrong) throw new Error(wrong);
      chunks += run ? run.chunks.end - run.chunks.start : 0;
      at = run?.chunks.end ?? at + 1;
    }
  }
  return chunks;
}
