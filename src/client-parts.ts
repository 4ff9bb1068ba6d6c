import type { CacheControl } from './cache/cache-control.ts';
import { checkedControl } from './cache/checked-control.ts';
import type { Tiers } from './cache/tiers.ts';
import { ReadMemory } from './download/read-memory.ts';
import { type DownloadParts, downloadParts } from './download-parts.ts';
import type { XetClientOptions } from './options.ts';
import type { Platform } from './platform.ts';

/** What all calls of a client share. */
export interface ClientParts extends DownloadParts<Tiers> {
  memory: ReadMemory;
  cache: CacheControl;
}

/** Makes the parts of a client. Nothing is started, opened or asked before it is needed. */
export function partsOf(options: XetClientOptions, platform: Platform, closing: AbortSignal): ClientParts {
  const parts = downloadParts(options, platform, platform.openTiers);
  const { tiers, budget } = parts;
  return {
    ...parts,
    memory: new ReadMemory(budget),
    cache: checkedControl(platform.openCacheControl({ tiers: tiers.parts, cacheDir: options.cacheDir, closing })),
  };
}
