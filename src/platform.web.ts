import { openTiersControl } from './cache/cache-control.ts';
import { openWebTiers } from './cache/tiers.web.ts';
import { Codec } from './codec/codec.ts';
import { webDownloads } from './download-platform.web.ts';
import type { Platform } from './platform.ts';

/** Browsers: pages and workers of all kinds. Nothing here touches a global before it is called. */
export const webPlatform: Platform = {
  ...webDownloads,
  loadCodec: () => Codec.load(),
  names: 'other',
  files: undefined,
  uploads: undefined,
  openTiers: openWebTiers,
  openCacheControl: openTiersControl,
};
