import { availableParallelism, totalmem } from 'node:os';
import { spawnNodeWorker, spawnTransferWorker } from '../../workers/spawn.node.ts';
import { loadCodec } from '../codec/load.node.ts';
import { descriptorShares } from '../core/descriptors.node.ts';
import { environment } from '../core/env.node.ts';
import { fetchTogether } from '../download/fetch-together.ts';
import { TransferPool } from '../download/transfer/pool.ts';
import { nodeContentHash } from '../files/disk/content-check.node.ts';
import { openRepoStore } from '../files/disk/repo-store.node.ts';
import { isTrue } from '../fs/env-folders.node.ts';
import { isNotNode, nodeFetchOf, transportOf, usesOwnClient } from '../http/network-fetch.node.ts';
import { openNodeCacheControl } from '../manage/cache-control.node.ts';
import { nodeLocalFiles } from '../upload/local-files.node.ts';
import { uploadBackend } from '../upload/upload-backend.ts';
import { endpointOf, isOffline, timeoutsOf, tokenOf } from './environment.node.ts';
import { fileBackend } from './file-backend.ts';
import { openCaches } from './local-caches.node.ts';
import type { Platform } from './platform.ts';

const MIB = 1024 * 1024;

/** Deno tells the size of the machine only to those who may know it. */
function machineBytes(): number {
  try {
    return totalmem();
  } catch {
    return 2 * 1024 * MIB;
  }
}

/** Node, and Deno and Bun, which speak its modules. */
export const platform: Platform = {
  fetchOf: nodeFetchOf,
  takesPieces: !isNotNode,
  fetchTogether,
  // The first run of a download is not longer: its reader need not wait for a worker to start.
  decodeHereBytes: 260 * 1024,
  loadCodec,
  spawnWorker: () => spawnNodeWorker(),
  makeTransfers: (options, transport) => {
    const name = transport ?? transportOf(environment);
    return new TransferPool({ ...options, spawn: () => spawnTransferWorker(), isAllowed: () => usesOwnClient(name) });
  },
  processors: availableParallelism(),
  memoryBudgetBytes: Math.min(256 * MIB, Math.max(32 * MIB, machineBytes() / 8)),
  makeContentHash: nodeContentHash,
  defaultEndpoint: () => endpointOf(environment),
  xetDisabled: () => isTrue(environment.HF_HUB_DISABLE_XET),
  defaultToken: () => tokenOf(environment),
  defaultTimeouts: () => timeoutsOf(environment),
  shares: descriptorShares,
  offline: () => isOffline(environment),
  names: process.platform === 'win32' ? 'windows' : process.platform === 'darwin' ? 'darwin' : 'other',
  files: fileBackend(openRepoStore),
  uploads: uploadBackend({ makeUploadHash: () => nodeContentHash('sha256'), local: nodeLocalFiles }),
  openCaches: openCaches,
  openCacheControl: openNodeCacheControl,
};
