import { Codec } from '../codec/codec.ts';
import { openWebCacheControl } from '../manage/cache-control.ts';
import { openWebCaches } from './local-caches.web.ts';
import type { Platform } from './platform.ts';
import { webDownloads } from './reader-platform.web.ts';

/** Browsers: pages and workers of all kinds. Nothing here touches a global before it is called. */
export const webPlatform: Platform = {
  ...webDownloads,
  loadCodec: () => Codec.load(),
  names: 'other',
  files: undefined,
  uploads: undefined,
  openCaches: openWebCaches,
  openCacheControl: openWebCacheControl,
};
