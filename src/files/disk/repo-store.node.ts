import { resolve } from 'node:path';
import { findHubCacheDir, hubCacheDir, NOWHERE } from '../../fs/env-folders.node.ts';
import { OffloadedStore } from '../offloaded-store.node.ts';
import type { OpenRepoStore } from '../place.ts';
import { SnapshotIndexStore } from '../snapshot-index-store.node.ts';
import { HubCache } from './hub-cache.node.ts';
import { LocalDir } from './local-dir.node.ts';

/** The folder that was asked for, or the Hub cache folder. */
export const openRepoStore: OpenRepoStore = ({ localDir, cacheDir: named, known, help }) => {
  // A folder of the user's own does without.
  const cacheDir = named ?? (localDir === undefined ? hubCacheDir() : (findHubCacheDir() ?? NOWHERE));
  const store =
    localDir === undefined ? new HubCache(cacheDir, known) : new LocalDir({ folder: localDir, cacheDir, known });
  // Where a path begins may change before it is used elsewhere.
  const folders = { localDir: localDir === undefined ? undefined : resolve(localDir), cacheDir: resolve(cacheDir) };
  const helped = help ? new OffloadedStore(store, folders, help) : store;
  return known.snapshots ? new SnapshotIndexStore(helped, known.snapshots, help) : helped;
};
