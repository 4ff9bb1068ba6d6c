import type { LocalCaches } from '../cache/local-caches.ts';
import { checkedControl } from '../manage/checked-control.ts';
import type { CacheControl } from '../manage/types.ts';
import { ReadCache } from '../read/read-cache.ts';
import type { XetClientOptions } from './options.ts';
import type { Platform } from './platform.ts';
import { createReaderContext, type ReaderContext } from './reader-context.ts';

/** Objects shared by all calls of a client. */
export interface ClientContext extends ReaderContext<LocalCaches> {
  memory: ReadCache;
  cache: CacheControl;
}

/** Makes the parts of a client. Nothing is started, opened or asked before it is needed. */
export function createContext(options: XetClientOptions, platform: Platform, closing: AbortSignal): ClientContext {
  const parts = createReaderContext(options, platform, platform.openCaches);
  const { caches, budget } = parts;
  return {
    ...parts,
    memory: new ReadCache(budget),
    cache: checkedControl(platform.openCacheControl({ stores: caches.stores, cacheDir: options.cacheDir, closing })),
  };
}
