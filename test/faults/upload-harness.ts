import { onTestFinished } from 'vitest';
import { XetClient } from 'xetkit';
import { type LocalHub, type LocalHubOptions, startLocalHub } from 'xetkit/local-hub';
import { sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';
import { HUB_TOKEN } from './hygiene.ts';

export const REPO = 'owner/model';
export const MIB = 1024 * 1024;
/**
 * A xorb worth asking for before it is sent, and a small file: every kind of request is made, most of them once. No longer
 * than that, as a request waits by the length of what it sends.
 */
export const FILES = { 'weights.bin': randomBytes(280_000, 201), 'notes.txt': text(400, 202) };

export async function uploadHub(options: LocalHubOptions = {}): Promise<LocalHub> {
  const tokens = { [HUB_TOKEN]: { name: 'tester', write: true } };
  const hub = await startLocalHub({ tokens, openWrites: false, ...options });
  onTestFinished(() => hub.close());
  await hub.createRepo(REPO, { private: true });
  // An earlier version, by which one is asked for.
  await hub.commitFiles(REPO, { 'weights.bin': randomBytes(300_000, 203) });
  return hub;
}

export const filesOf = (contents: Record<string, Uint8Array>) =>
  Object.entries(contents).map(([path, content]) => ({ path, content }));

/** Everything that the branch holds but its attributes, and how many commits made it. */
export async function stateOf(hub: LocalHub): Promise<{ commits: number; files: Record<string, string> }> {
  const client = new XetClient({ endpoint: hub.url, accessToken: HUB_TOKEN, workers: 0, chunkCache: false });
  const files: Record<string, string> = {};
  for await (const { path } of client.listFiles({ repo: REPO })) {
    if (path === '.gitattributes') continue;
    files[path] = sha256(await (await client.open({ repo: REPO, path })).arrayBuffer());
  }
  await client.close();
  const headers = { authorization: `Bearer ${HUB_TOKEN}` };
  const commits = await (await fetch(`${hub.url}/api/models/${REPO}/commits/main?limit=1000`, { headers })).json();
  return { commits: (commits as unknown[]).length, files };
}

export const hashesOf = (contents: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(contents).map(([path, bytes]) => [path, sha256(bytes)]));
