import { hubCacheDir } from './folders.node.ts';
import { HubCache } from './hub-cache.node.ts';
import { LocalDir } from './local-dir.node.ts';
import type { OpenRepoStore } from './place.ts';

/** The folder that was asked for, or the Hub cache folder. */
export const openRepoStore: OpenRepoStore = ({ localDir, cacheDir = hubCacheDir(), known }) =>
  localDir === undefined ? new HubCache(cacheDir, known) : new LocalDir({ folder: localDir, cacheDir, known });
