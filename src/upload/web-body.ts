import { TaskTurns } from '../download/task-turns.ts';

/** Bytes that are handed to the browser without a turn of the event loop. */
const TURN_BYTES = 2 * 1024 * 1024;

/** How the bytes of a xorb are handed to `fetch`. */
export type MakeBody = (bytes: Uint8Array) => BodyInit | Promise<BodyInit>;

/**
 * Hands bytes to the browser piece by piece. Given to `fetch` as they are, a page would stand still while a whole xorb is
 * copied, at each attempt; a Blob is where the browser sends it from, without the page.
 */
export const blobBody: MakeBody = async (bytes) => {
  const turns = new TaskTurns(TURN_BYTES);
  const pieces: Blob[] = [];
  for (let at = 0; at < bytes.length; at += TURN_BYTES) {
    const piece = bytes.subarray(at, at + TURN_BYTES) as Uint8Array<ArrayBuffer>;
    pieces.push(new Blob([piece]));
    await turns.after(piece.length);
  }
  return new Blob(pieces);
};
