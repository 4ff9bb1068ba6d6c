import { onTestFinished } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import { DEFAULT_TIMEOUTS, Http, type HttpOptions } from '../../src/http/http.ts';
import { CasTokenSource } from '../../src/hub/token.ts';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub/start.ts';

export const REPO = { type: 'model', name: 'owner/model' } as const;

export async function uploadHub(options: LocalHubOptions = {}): Promise<LocalHub> {
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  await hub.createRepo(REPO.name);
  return hub;
}

/** What an upload to a Hub is made with, without workers and with retries that take no time. */
export function partsFor(hub: LocalHub, options: Partial<HttpOptions> = {}) {
  const retry = { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 };
  const http = new Http({ fetch: (url, init) => fetch(url, init), timeouts: DEFAULT_TIMEOUTS, retry, ...options });
  const pool = new CodecPool({ size: 0, load: loadCodec });
  onTestFinished(() => pool.close());
  const tokenUrl = `${hub.url}/api/models/${REPO.name}/xet-write-token/main`;
  const tokens = new CasTokenSource(http, tokenUrl, async () => ({ authorization: 'Bearer hf_local' }));
  return { http, pool, tokens };
}

export const pathsOf = (hub: LocalHub, kind: string) =>
  hub.requests.filter((request) => request.kind === kind).map(({ path }) => path);
