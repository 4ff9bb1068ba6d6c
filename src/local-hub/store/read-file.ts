import type { Codec } from '../../codec/codec.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { collect } from './collect.ts';
import type { FileRecord } from './file-store.ts';
import type { Store } from './store.ts';

/** Unpacked bytes that are decoded at a time. */
const BATCH_BYTES = 1024 * 1024;

/** A range of a file, decoded a megabyte at a time from its xorbs. */
export async function* readFileBytes(
  store: Store,
  codec: Codec,
  file: FileRecord,
  range: ByteRange = { start: 0, end: file.size },
): AsyncGenerator<Uint8Array, void, undefined> {
  let termStart = 0;
  for (const term of file.terms) {
    const start = termStart;
    termStart += term.unpackedLength;
    if (termStart <= range.start) continue;
    if (start >= range.end) return;
    const index = await store.xorbs.index(term.xorb);
    if (!index) throw new Error(`Xorb ${term.xorb} is not stored`);
    // Offset of the xorb's first byte, had the file begun with all of it.
    const origin = start - (index.unpacked[term.chunks.start] ?? 0);
    for (let first = term.chunks.start; first < term.chunks.end; ) {
      let end = first + 1;
      while (end < term.chunks.end && index.unpackedLength({ start: first, end: end + 1 }) <= BATCH_BYTES) end++;
      const batch = { start: first, end };
      const batchStart = origin + (index.unpacked[first] ?? 0);
      const batchEnd = origin + (index.unpacked[end] ?? 0);
      first = end;
      if (batchEnd <= range.start) continue;
      if (batchStart >= range.end) return;
      const { data } = codec.decodeRun(await collect(store.xorbs.read(term.xorb, index.bytes(batch))));
      yield data.subarray(Math.max(0, range.start - batchStart), Math.min(data.length, range.end - batchStart));
    }
  }
}
