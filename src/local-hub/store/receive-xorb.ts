import { open, rm } from 'node:fs/promises';
import type { Codec } from '../../codec/codec.ts';
import { ChunkRecordList, type ChunkRecords } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import { hashToHex } from '../../core/hash.ts';
import { RunBuffers } from '../../xorb/buffers.ts';
import { FrameCutter, type FrameRun, runBufferBytes } from '../../xorb/frames.ts';
import { type StagingArea, writeAll } from './atomic-file.ts';
import { frameEnds, StoredXorbIndex } from './xorb-index.ts';
import type { XorbStore } from './xorb-store.ts';

export const MAX_XORB_CHUNKS = 8192;
/** 64 MiB of frames; a footer and the frame headers of stored chunks may come on top. */
export const MAX_XORB_BODY_BYTES = 64 * 1024 * 1024 + MAX_XORB_CHUNKS * 64;

const RUN_BYTES = 1024 * 1024;

/**
 * Takes a xorb as it arrives: decodes and hashes every chunk, writes the frames and drops a footer. Throws
 * where the frames are malformed or do not give the hash that the sender named. Says whether it was new.
 */
export async function receiveXorb(
  codec: Codec,
  xorbs: XorbStore,
  staging: StagingArea,
  hash: string,
  body: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const staged = staging.path();
  const file = await open(staged, 'wx');
  try {
    const chunks = new ChunkRecordList();
    const ends: number[] = [];
    const buffers = new RunBuffers(runBufferBytes(RUN_BYTES));
    const length = MAX_XORB_BODY_BYTES;
    const cutter = new FrameCutter({ firstChunk: 0, start: 0, length, runBytes: RUN_BYTES, buffers });
    const take = async (run: FrameRun) => {
      const records: ChunkRecords = codec.recordsOf(run.frames);
      chunks.push(records);
      ends.push(...frameEnds(run.frames, records, run.start));
      if (chunks.count > MAX_XORB_CHUNKS) throw refused(`it holds more than ${MAX_XORB_CHUNKS} chunks`);
      await writeAll(file, run.frames);
      buffers.give(run.frames.buffer);
    };
    let received = 0;
    for await (const piece of body) {
      received += piece.length;
      if (received > MAX_XORB_BODY_BYTES) throw refused(`it is larger than ${MAX_XORB_BODY_BYTES} bytes`);
      for (const run of cutter.push(piece)) await take(run);
    }
    for (const run of cutter.finish()) await take(run);
    if (chunks.count === 0) throw refused('it holds no chunk');
    const found = hashToHex(codec.xorbHash(chunks.records));
    if (found !== hash) throw refused(`its chunks give the hash ${found}`);
    await file.close();
    return await xorbs.add(new StoredXorbIndex(hash, chunks.records.slice(), Uint32Array.from(ends)), staged);
  } finally {
    await file.close().catch(() => undefined);
    await rm(staged, { force: true });
  }
}

function refused(why: string): XetError {
  return new XetError('INVALID_ARGUMENT', `The xorb was refused: ${why}.`);
}
