import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import { XetClient } from '../../src/client/xet-client.ts';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub/start.ts';
import { filesIn } from './folder.ts';

/** A Hub for one test, from the sources: what was not built yet is tested as well. */
export async function sourceHub(options: LocalHubOptions = {}): Promise<LocalHub> {
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  return hub;
}

/** A folder for what a client remembers, that no other test knows of. */
export const freshCacheDir = (): string => join(process.env.XETKIT_CACHE ?? tmpdir(), randomUUID());

/** A client from the sources, where there is no worker to be found: it decodes on the calling thread. */
export function sourceClient(hub: LocalHub, options: XetClientOptions = {}): XetClient {
  const client = new XetClient({
    chunkCache: { dir: freshCacheDir() },
    endpoint: hub.url,
    accessToken: '',
    workers: 0,
    ...options,
    retry: { baseDelayMs: 1, maxDelayMs: 5, ...options.retry },
  });
  onTestFinished(() => client.close());
  return client;
}

/** Changes all stored xorbs of a Hub so that every chunk decodes to something else of the same length. */
export async function spoilXorbs(hub: LocalHub): Promise<void> {
  for (const path of (await filesIn(join(hub.dir, 'xorbs'))).filter((name) => name.endsWith('.xorb'))) {
    const body = await readFile(path);
    for (let at = 0; at + 8 < body.length; ) {
      const stored = (body[at + 1] ?? 0) | ((body[at + 2] ?? 0) << 8) | ((body[at + 3] ?? 0) << 16);
      // Only chunks that are stored as they are stay well-formed.
      expect(body[at + 4]).toBe(0);
      body[at + 8] = (body[at + 8] ?? 0) ^ 0xff;
      at += 8 + stored;
    }
    await writeFile(path, body);
  }
}
