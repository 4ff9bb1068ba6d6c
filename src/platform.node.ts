import { readFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { spawnNodeWorker } from '../workers/spawn.node.ts';
import { openNodeCacheControl } from './cache/cache-control.node.ts';
import { openNodeTiers } from './cache/tiers.node.ts';
import { loadCodec } from './codec.node.ts';
import { fetchTogether } from './download/fetch-together.ts';
import { isNotNode, nodeFetch } from './http/network-fetch.node.ts';
import type { Platform } from './platform.ts';
import { nodeContentHash } from './repo/content-check.node.ts';
import { fileWork } from './repo/file-work.ts';
import { hubHome } from './repo/folders.node.ts';
import { openRepoStore } from './repo/repo-store.node.ts';
import { nodeLocalFiles } from './upload/local-files.node.ts';
import { uploadWork } from './upload/upload-work.ts';

const MIB = 1024 * 1024;

const isYes = (value: string | undefined) => /^(1|on|yes|true)$/i.test(value ?? '');

/** Node, and Deno and Bun, which speak its modules. */
export const nodePlatform: Platform = {
  fetch: nodeFetch,
  takesPieces: !isNotNode,
  fetchTogether,
  // The first run of a download is not longer: its reader need not wait for a worker to start.
  decodeHereBytes: 260 * 1024,
  loadCodec,
  spawnWorker: () => spawnNodeWorker(),
  processors: availableParallelism(),
  memoryBudgetBytes: Math.min(256 * MIB, Math.max(32 * MIB, totalmem() / 8)),
  makeContentHash: nodeContentHash,
  defaultEndpoint: () => process.env.HF_ENDPOINT || undefined,
  xetDisabled: () => isYes(process.env.HF_HUB_DISABLE_XET),
  defaultToken: async () => {
    const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = process.env;
    const given = HF_TOKEN ?? HUGGING_FACE_HUB_TOKEN;
    if (given) return given.trim();
    const path = HF_TOKEN_PATH ?? join(hubHome(), 'token');
    return (await readFile(path, 'utf8').catch(() => '')).trim() || undefined;
  },
  offline: () => isYes(process.env.HF_HUB_OFFLINE) || isYes(process.env.TRANSFORMERS_OFFLINE),
  names: process.platform === 'win32' ? 'windows' : process.platform === 'darwin' ? 'darwin' : 'other',
  files: fileWork(openRepoStore),
  uploads: uploadWork({ makeUploadHash: () => nodeContentHash('sha256'), local: nodeLocalFiles }),
  openTiers: openNodeTiers,
  openCacheControl: openNodeCacheControl,
};
