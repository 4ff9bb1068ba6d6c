import { workerSha256 } from './upload-hash.ts';
import { type UploadWork, uploadWork } from './upload-work.ts';
import { blobBody } from './web-body.ts';

/**
 * Uploading from pages: `new XetClient({ uploads: webUploads })`. Handed in rather than found, so that a page that only
 * reads carries none of it.
 */
export const webUploads: UploadWork = /* @__PURE__ */ uploadWork({ makeUploadHash: workerSha256, makeBody: blobBody });
