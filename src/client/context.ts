import type { LocalCaches } from '../cache/local-caches.ts';
import { checkedControl } from '../manage/checked-control.ts';
import type { CacheControl } from '../manage/types.ts';
import { ReadMemory } from '../read/read-cache.ts';
import type { XetClientOptions } from './options.ts';
import type { Platform } from './platform.ts';
import { type ReaderParts, readerParts } from './reader-context.ts';

/** Objects shared by all calls of a client. */
export interface ClientParts extends ReaderParts<LocalCaches> {
  memory: ReadMemory;
  cache: CacheControl;
}

/** Makes the parts of a client. Nothing is started, opened or asked before it is needed. */
export function partsOf(options: XetClientOptions, platform: Platform, closing: AbortSignal): ClientParts {
  const parts = readerParts(options, platform, platform.openCaches);
  const { caches, budget } = parts;
  return {
    ...parts,
    memory: new ReadMemory(budget),
    cache: checkedControl(platform.openCacheControl({ stores: caches.stores, cacheDir: options.cacheDir, closing })),
  };
}
