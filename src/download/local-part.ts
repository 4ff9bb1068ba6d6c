import type { ChunkRecords } from '../chunks.ts';
import type { ByteRange } from '../ranges.ts';
import type { RunOptions } from './assemble.ts';
import type { Content } from './shares.ts';

export interface LocalReading {
  signal: AbortSignal;
  /** What comes is only looked at until the next is asked for, so its memory may be used again. */
  lent?: boolean | undefined;
}

/** A part of a file that need not be fetched: its chunks are on this machine. */
export interface LocalPart extends ByteRange {
  /** What the part is: whole chunks. */
  chunks: ChunkRecords;
  /**
   * The part's bytes in order, each chunk hashed again. Ends early where they turn out not to be here any more;
   * the rest is to be had elsewhere.
   */
  read(reading: LocalReading): AsyncGenerator<Content, void, undefined>;
}

/** The bytes of a local part, and what it cannot give from where it can be had. */
export async function* readLocal(
  part: LocalPart,
  wanted: ByteRange,
  { elsewhere, onLocal, signal, lent }: RunOptions & LocalReading,
): AsyncGenerator<Content, void, undefined> {
  let at = part.start;
  for await (const content of part.read({ signal, lent })) {
    at = content.at + content.bytes.length;
    for (const share of clip(content, wanted)) {
      onLocal(share.bytes.length);
      yield share;
    }
  }
  const rest = { start: Math.max(at, wanted.start), end: Math.min(part.end, wanted.end) };
  if (rest.start < rest.end) yield* elsewhere(rest);
}

/** Chunks are whole; what is wanted of them may not be. */
function* clip(content: Content, wanted: ByteRange): Generator<Content> {
  const { at, bytes } = content;
  const start = Math.max(wanted.start, at);
  const end = Math.min(wanted.end, at + bytes.length);
  if (start >= end) return;
  const whole = start === at && end === at + bytes.length;
  yield whole ? content : { at: start, bytes: bytes.subarray(start - at, end - at), chunks: NONE };
}

const NONE = new Uint8Array();
