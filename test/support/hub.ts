import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { XetClient, type XetClientOptions } from 'xetkit';
import { type LocalHub, type LocalHubOptions, startLocalHub } from 'xetkit/local-hub';

export const sha256 = (bytes: Uint8Array | ArrayBuffer) =>
  createHash('sha256')
    .update(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes))
    .digest('hex');

/** A folder that goes when the test does. */
export async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

export async function hubFor(options: LocalHubOptions = {}): Promise<LocalHub> {
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  return hub;
}

/** A client of that Hub whose retries take no time. */
export function clientOf(hub: LocalHub, options: XetClientOptions = {}): XetClient {
  // No two clients of a test know what the other one did, unless the test says so.
  const dir = join(process.env.XETKIT_CACHE ?? tmpdir(), randomUUID());
  const client = new XetClient({
    chunkCache: { dir },
    endpoint: hub.url,
    accessToken: '',
    ...options,
    retry: { baseDelayMs: 1, maxDelayMs: 5, ...options.retry },
  });
  onTestFinished(() => client.close());
  return client;
}

/** What Hub clients note about the files in a folder, and their locks. */
const NOTES = /(^|\/)(CACHEDIR\.TAG|\.cache\/huggingface\/.*(?<!\.incomplete)|\.locks\/.*)$/;

/** All files under a folder, as paths from it. */
export async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Requests of a kind that the Hub has seen. */
export const seen = (hub: LocalHub, kind: string) => hub.requests.filter((request) => request.kind === kind);

/** All files under a folder but notes and locks of Hub clients. */
export const contentUnder = async (folder: string) => (await filesUnder(folder)).filter((path) => !NOTES.test(path));
