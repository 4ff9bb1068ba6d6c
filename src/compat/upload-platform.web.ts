import { webUploads } from '../upload/web-uploads.ts';
import type { CompatPlatform } from './platform.ts';
import { compatPlatform } from './platform.web.ts';

/**
 * For the calls that upload: a page that only reads carries nothing of it. Written out, as a bundler must take it that
 * spreading an object does something.
 */
export const uploadPlatform: CompatPlatform = {
  switches: () => compatPlatform.switches(),
  loadOriginal: () => compatPlatform.loadOriginal(),
  makeClient: (options) => compatPlatform.makeClient({ ...options, uploads: webUploads }),
};
