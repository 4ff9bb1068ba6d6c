import { TaskTurns } from '../core/event-loop.ts';
import type { Pieces } from '../http/http.ts';

/** Bytes that are handed to the browser without a turn of the event loop. */
const TURN_BYTES = 2 * 1024 * 1024;

/** How the bytes of a xorb are handed to `fetch`. */
export type MakeBody = (pieces: Pieces) => BodyInit | Promise<BodyInit>;

/**
 * Hands bytes to the browser piece by piece. Given to `fetch` as they are, a page would stand still while a whole xorb is
 * copied, at each attempt; a Blob is where the browser sends it from, without the page.
 */
export const blobBody: MakeBody = async (pieces) => {
  const turns = new TaskTurns(TURN_BYTES);
  const blobs: Blob[] = [];
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += TURN_BYTES) {
      const part = piece.subarray(at, at + TURN_BYTES) as Uint8Array<ArrayBuffer>;
      blobs.push(new Blob([part]));
      await turns.after(part.length);
    }
  }
  return new Blob(blobs);
};
