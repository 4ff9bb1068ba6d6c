import { EventLoopYielder } from '../core/event-loop.ts';
import { type UploadBackend, uploadBackend } from './upload-backend.ts';
import { workerSha256 } from './upload-hash.ts';
import type { MakeBody } from './xorb-upload.ts';

/** Bytes copied between yields to the event loop. */
const YIELD_BYTES = 2 * 1024 * 1024;

/**
 * Copies bytes into Blobs piece by piece. If `fetch` were given the bytes themselves, the page would freeze while it copies
 * a whole xorb, on each attempt. The browser sends a Blob without the page's thread.
 */
const blobBody: MakeBody = async (pieces) => {
  const turns = new EventLoopYielder(YIELD_BYTES);
  const blobs: Blob[] = [];
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += YIELD_BYTES) {
      const part = piece.subarray(at, at + YIELD_BYTES) as Uint8Array<ArrayBuffer>;
      blobs.push(new Blob([part]));
      await turns.after(part.length);
    }
  }
  return new Blob(blobs);
};

/**
 * Uploads from pages: `new XetClient({ uploads: webUploads })`. It is passed in so that pages that only read do not bundle
 * its code.
 */
export const webUploads: UploadBackend = /* @__PURE__ */ uploadBackend({
  makeUploadHash: workerSha256,
  makeBody: blobBody,
});
