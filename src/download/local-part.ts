import type { FileSpan, LocalPart, LocalReading } from '../core/content.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { Piece } from './plan.ts';

/** The bytes of a local part, and what it cannot give from where it can be had. */
export async function* readLocal(
  part: LocalPart,
  wanted: ByteRange,
  { elsewhere, onLocal, signal, lent }: RunOptions & LocalReading,
): AsyncGenerator<FileSpan, void, undefined> {
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
function* clip(content: FileSpan, wanted: ByteRange): Generator<FileSpan> {
  const { at, bytes } = content;
  const start = Math.max(wanted.start, at);
  const end = Math.min(wanted.end, at + bytes.length);
  if (start >= end) return;
  const whole = start === at && end === at + bytes.length;
  yield whole ? content : { at: start, bytes: bytes.subarray(start - at, end - at), chunks: NONE };
}

const NONE = new Uint8Array();

export interface RunOptions {
  signal: AbortSignal;
  /** Called with the bytes of content that came from this machine. */
  onLocal: (bytes: number) => void;
  /** Fetches bytes that a local part could not deliver. */
  elsewhere: (rest: ByteRange) => AsyncIterable<FileSpan>;
  /** Finds chunks on this machine that were fetched earlier in this read, if they were kept. */
  kept?: ((piece: Piece) => Promise<LocalPart[]>) | undefined;
}
