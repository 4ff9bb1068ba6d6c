import { webUploads } from '../upload/web-uploads.ts';
import type { CompatPlatform } from './platform.ts';
import { webCompat } from './platform.web.ts';

/**
 * For the calls that upload: a page that only reads carries nothing of it. Written out, as a bundler must take it that
 * spreading an object does something.
 */
export const webUploading: CompatPlatform = {
  switches: () => webCompat.switches(),
  loadOriginal: () => webCompat.loadOriginal(),
  makeClient: (options) => webCompat.makeClient({ ...options, uploads: webUploads }),
};
