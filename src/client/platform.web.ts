import { Codec } from '../codec/codec.ts';
import { openWebCacheControl } from '../manage/cache-control.web.ts';
import { openCaches } from './local-caches.web.ts';
import type { Platform } from './platform.ts';
import { readerPlatform } from './reader-platform.web.ts';

/** Browsers: pages and workers of all kinds. Nothing here touches a global before it is called. */
export const platform: Platform = {
  ...readerPlatform,
  loadCodec: () => Codec.load(),
  names: 'other',
  files: undefined,
  uploads: undefined,
  openCaches: openCaches,
  openCacheControl: openWebCacheControl,
};
