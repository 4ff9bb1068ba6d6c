import type { FaultAction } from '../faults.ts';
import { pause } from './pause.ts';

export type BodyPieces = AsyncIterable<Uint8Array>;

/** Ending of a body with an injected fault. */
export type Ending = 'whole' | 'cut' | 'reset';

/** A body as a fault leaves it: what to announce, what to send, and how the connection ends. */
export interface TamperedBody {
  length: number | undefined;
  pieces: BodyPieces;
  ending: Ending;
}

/** Applies a fault that concerns the bytes of a body; others leave it as it is. */
export function tamper(
  fault: FaultAction,
  length: number | undefined,
  pieces: BodyPieces,
  signal: AbortSignal,
): TamperedBody {
  switch (fault.action) {
    case 'reset':
      return { length, pieces: firstBytes(pieces, fault.afterBytes), ending: 'reset' };
    case 'truncate':
      return { length, pieces: firstBytes(pieces, fault.afterBytes), ending: 'cut' };
    case 'shorten': {
      const shorter = Math.min(fault.toBytes, length ?? fault.toBytes);
      return { length: shorter, pieces: firstBytes(pieces, shorter), ending: 'whole' };
    }
    case 'stall':
      return { length, pieces: stalled(pieces, fault.afterBytes, fault.ms, signal), ending: 'whole' };
    case 'corrupt':
      return { length, pieces: corrupted(pieces, fault.offset, fault.mask ?? 0xff), ending: 'whole' };
    case 'trickle':
      return { length, pieces: paced(pieces, fault.bytesPerSecond, { freeAt: 0 }, signal), ending: 'whole' };
    case 'garbageJson': {
      const garbage = Buffer.from('{"terms": [{"hash": <html>');
      return { length: garbage.length, pieces: only(garbage), ending: 'whole' };
    }
    case 'oversizeJson':
      return {
        length: length === undefined ? undefined : length + fault.bytes,
        pieces: padded(pieces, fault.bytes),
        ending: 'whole',
      };
    default:
      return { length, pieces, ending: 'whole' };
  }
}

export async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.length > 0) yield bytes;
}

async function* firstBytes(pieces: BodyPieces, count: number): BodyPieces {
  let left = count;
  if (left <= 0) return;
  for await (const piece of pieces) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
}

async function* stalled(
  pieces: BodyPieces,
  afterBytes: number,
  ms: number | undefined,
  signal: AbortSignal,
): BodyPieces {
  let left = afterBytes;
  let waited = false;
  for await (const piece of pieces) {
    if (!waited && piece.length > left) {
      if (left > 0) yield piece.subarray(0, left);
      await pause(ms ?? Number.POSITIVE_INFINITY, signal);
      if (signal.aborted) return;
      waited = true;
      yield piece.subarray(Math.max(0, left));
    } else {
      yield piece;
    }
    left -= piece.length;
  }
}

async function* corrupted(pieces: BodyPieces, offset: number, mask: number): BodyPieces {
  let at = 0;
  for await (const piece of pieces) {
    const index = offset - at;
    at += piece.length;
    if (index < 0 || index >= piece.length) {
      yield piece;
      continue;
    }
    const damaged = Uint8Array.from(piece);
    damaged[index] = (damaged[index] ?? 0) ^ mask;
    yield damaged;
  }
}

async function* padded(pieces: BodyPieces, bytes: number): BodyPieces {
  const spaces = Buffer.alloc(64 * 1024, ' ');
  for (let left = bytes; left > 0; left -= spaces.length) yield spaces.subarray(0, left);
  yield* pieces;
}

/** The moment from which a connection may send again, in milliseconds of the monotonic clock. */
export interface SendRate {
  freeAt: number;
}

/** Slows a body down; one `pace` shared by the bodies of a connection makes them share its speed. */
export async function* paced(
  pieces: BodyPieces,
  bytesPerSecond: number,
  pace: SendRate,
  signal: AbortSignal,
): BodyPieces {
  const step = Math.max(1, Math.min(256 * 1024, Math.floor(bytesPerSecond / 50)));
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length && !signal.aborted; at += step) {
      const part = piece.subarray(at, at + step);
      const now = performance.now();
      pace.freeAt = Math.max(pace.freeAt, now) + (part.length / bytesPerSecond) * 1000;
      yield part;
      if (pace.freeAt > now) await pause(pace.freeAt - now, signal);
    }
  }
}
