import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type DownloadResult, isXetError, type RetryNotice, XetClient, type XetClientOptions } from 'xetkit';
import { type LocalHub, type LocalHubOptions, startLocalHub } from 'xetkit/local-hub';
import { contentUnder, seen, sha256 } from '../support/hub.ts';
import type { Verdict } from './expectations.ts';
import { expectNoSecrets, expectNoSecretsIn, HUB_TOKEN } from './hygiene.ts';

/** What a call came to, and everything that was said on the way. */
export interface Outcome<T> {
  value: T | undefined;
  error: unknown;
  warnings: string[];
  notices: RetryNotice[];
}

export const QUICK_RETRIES = { attempts: 3, baseDelayMs: 1, maxDelayMs: 4 };

/** A Hub with a private repository that only {@link HUB_TOKEN} opens. The caller closes it. */
export async function privateHub(
  repo: string,
  files: Record<string, Uint8Array | { file: string }>,
  options: LocalHubOptions & { chunksPerXorb?: number; compression?: 'none' | 'lz4' | 'bg4-lz4' | 'auto' } = {},
): Promise<LocalHub> {
  const { chunksPerXorb, compression, ...hubOptions } = options;
  const hub = await startLocalHub({ tokens: { [HUB_TOKEN]: { name: 'tester' } }, openWrites: false, ...hubOptions });
  await hub.commitFiles(repo, files, { chunksPerXorb, compression });
  await hub.setRepo(repo, { private: true });
  return hub;
}

/** Makes a client, lets it do one thing and closes it. */
export async function attempt<T>(
  hub: LocalHub,
  options: XetClientOptions,
  call: (client: XetClient) => Promise<T>,
): Promise<Outcome<T>> {
  const outcome: Outcome<T> = { value: undefined, error: undefined, warnings: [], notices: [] };
  // Each attempt is that of a machine which has seen nothing yet.
  const dir = join(process.env.XETKIT_CACHE ?? tmpdir(), randomUUID());
  const client = new XetClient({
    chunkCache: { dir },
    endpoint: hub.url,
    accessToken: HUB_TOKEN,
    workers: 0,
    onWarning: (message) => outcome.warnings.push(message),
    onRetry: (notice) => outcome.notices.push(notice),
    ...options,
    retry: { ...QUICK_RETRIES, ...options.retry },
  });
  try {
    outcome.value = await call(client);
  } catch (error) {
    outcome.error = error;
  } finally {
    await client.close();
  }
  expectNoSecrets(outcome.error, outcome.warnings, outcome.notices);
  return outcome;
}

/** In short, for messages of failed expectations. */
export function told({ error, warnings, notices }: Outcome<unknown>): string {
  const code = isXetError(error) ? error.code : error === undefined ? 'success' : String(error);
  const message = error instanceof Error ? error.message : '';
  return [code, message, ...warnings, ...notices.map((notice) => notice.error.message)].join('\n  ');
}

/** The verdict that an outcome amounts to, once the content was compared with what it must be. */
export function verdictOf(hub: LocalHub, outcome: Outcome<unknown>): Verdict {
  const { error, warnings } = outcome;
  if (error !== undefined) {
    if (!isXetError(error)) throw new Error(`Not a typed error: ${told(outcome)}`, { cause: error });
    return error.code;
  }
  const overHttp = seen(hub, 'bridge').some(({ bytesSent }) => bytesSent > 0);
  if (overHttp) expect(warnings, 'one warning tells of the fallback').toHaveLength(1);
  return overHttp ? 'http' : 'ok';
}

/** The file is there, right and nothing else; or, after an error, it is not there at all. */
export async function expectFile(
  localDir: string,
  path: string,
  content: Uint8Array,
  outcome: Outcome<DownloadResult>,
): Promise<void> {
  await expectNoSecretsIn(localDir);
  const files = await contentUnder(localDir);
  const visible = files.filter((name) => !name.startsWith('.cache/'));
  if (outcome.error !== undefined) {
    expect(visible, `nothing has its name yet: ${told(outcome)}`).toEqual([]);
    return;
  }
  expect(visible).toEqual([path]);
  expect(files.filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  expect(sha256(await readFile(join(localDir, path))), 'content').toBe(sha256(content));
  expect(outcome.value?.size).toBe(content.length);
}

/**
 * A fetch that keeps the Hub's headers for files outside of the CAS to itself, as a redirect to another host
 * does for a page: the client has to ask for the entry and the revision.
 */
export async function blindFetch(input: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init);
  const type = response.headers.get('content-type') ?? '';
  const about = new URL(input).pathname.includes('/resolve/') && !type.startsWith('application/vnd.xet');
  if (!response.ok || !about) return response;
  const headers = new Headers();
  for (const name of ['content-type', 'content-length', 'content-range']) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const { status, body, url } = response;
  return Object.defineProperty(new Response(body, { status, headers }), 'url', { value: url });
}
