import { type UploadBackend, uploadBackend } from './upload-backend.ts';
import { workerSha256 } from './upload-hash.ts';
import { blobBody } from './web-body.ts';

/**
 * Uploading from pages: `new XetClient({ uploads: webUploads })`. Handed in rather than found, so that a page that only
 * reads carries none of it.
 */
export const webUploads: UploadBackend = /* @__PURE__ */ uploadBackend({
  makeUploadHash: workerSha256,
  makeBody: blobBody,
});
