import { readFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { spawnNodeWorker } from '../workers/spawn.node.ts';
import { loadCodec } from './codec.node.ts';
import type { Platform } from './platform.ts';
import { hubHome, nodeContentHash, nodePlace } from './repo/place.node.ts';

const MIB = 1024 * 1024;

/** Node, and Deno and Bun, which speak its modules. */
export const nodePlatform: Platform = {
  fetch: (input, init) => fetch(input, init),
  multiRange: true,
  loadCodec,
  spawnWorker: () => spawnNodeWorker(),
  processors: availableParallelism(),
  memoryBudgetBytes: Math.min(256 * MIB, Math.max(32 * MIB, totalmem() / 8)),
  makeContentHash: nodeContentHash,
  defaultEndpoint: () => process.env.HF_ENDPOINT || undefined,
  xetDisabled: () => /^(1|on|yes|true)$/i.test(process.env.HF_HUB_DISABLE_XET ?? ''),
  defaultToken: async () => {
    const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = process.env;
    const given = HF_TOKEN ?? HUGGING_FACE_HUB_TOKEN;
    if (given) return given.trim();
    const path = HF_TOKEN_PATH ?? join(hubHome(), 'token');
    return (await readFile(path, 'utf8').catch(() => '')).trim() || undefined;
  },
  places: nodePlace,
};
