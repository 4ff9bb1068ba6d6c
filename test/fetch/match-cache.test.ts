import { describe, expect, onTestFinished, test } from 'vitest';
import { createXetCache } from '../../src/entries/fetch.ts';
import type { MatchCache } from '../../src/fetch/match-cache.ts';
import { clientOptions, hubFor, otherServer, seen } from '../support/fetch.ts';
import { randomBytes } from '../support/samples.ts';

const content = randomBytes(300_000, 1);

async function cacheOfHub(rest?: MatchCache) {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', { 'onnx/model.onnx': content });
  const cache = createXetCache({ client: clientOptions(hub), ...(rest && { rest }) });
  onTestFinished(() => cache.close());
  return { hub, cache, url: `${hub.url}/owner/model/resolve/main/onnx/model.onnx` };
}

/** A cache in memory that says what was asked of it. */
function restOf() {
  const kept = new Map<string, Response>();
  const rest: MatchCache = {
    match: async (request) => kept.get(String(request)),
    put: async (request, response) => void kept.set(String(request), response),
    delete: async (request) => kept.delete(String(request)),
  };
  return { kept, rest };
}

/** Gets a file like transformers.js: from the cache, else from the network and into the cache. */
async function asLibrariesDo(cache: MatchCache, names: string[]): Promise<Uint8Array | undefined> {
  for (const name of names) {
    const hit = await cache.match(name).catch(() => undefined);
    if (hit) return new Uint8Array(await hit.arrayBuffer());
  }
  const response = await fetch(names.at(-1) ?? '');
  if (response.status !== 200) return undefined;
  await cache.put(names.at(-1) ?? '', response.clone());
  return new Uint8Array(await response.arrayBuffer());
}

describe('createXetCache', () => {
  test('Hub files are found over Xet', async () => {
    const { hub, cache, url } = await cacheOfHub();
    const found = await asLibrariesDo(cache, ['/models/owner/model/onnx/model.onnx', url]);
    expect(found).toEqual(content);
    expect([seen(hub, 'bridge').length, seen(hub, 'xorb').length > 0]).toEqual([0, true]);
    const response = await cache.match(new Request(url));
    expect([response?.url, response?.headers.get('content-length')]).toEqual([url, String(content.length)]);
    await response?.body?.cancel();
  });

  test("missing and private files are misses, so that libraries meet the Hub's error", async () => {
    const { hub, cache, url } = await cacheOfHub();
    await hub.setRepo('owner/model', { private: true });
    expect(await cache.match(url)).toBeUndefined();
    expect(await cache.match(`${url}.missing`)).toBeUndefined();
    expect(await asLibrariesDo(cache, [`${url}.missing`])).toBeUndefined();
  });

  test('other URLs are misses without a request', async () => {
    const { cache } = await cacheOfHub();
    const other = await otherServer();
    expect(await cache.match(`${other.url}/file.bin`)).toBeUndefined();
    expect(await cache.match('/models/owner/model/config.json')).toBeUndefined();
    await cache.put(`${other.url}/file.bin`, new Response('x'));
    expect(await cache.delete(`${other.url}/file.bin`)).toBe(false);
    expect(other.seen).toEqual([]);
  });

  test('other URLs are left to the rest cache, and Hub files are not stored twice', async () => {
    const { kept, rest } = restOf();
    const { cache, url } = await cacheOfHub(rest);
    const other = await otherServer();
    const file = `${other.url}/file.bin`;
    expect(new TextDecoder().decode(await asLibrariesDo(cache, [file]))).toBe('GET /file.bin');
    await asLibrariesDo(cache, [file]);
    expect(other.seen.length).toBe(1);
    const response = new Response('not kept');
    await cache.put(url, response);
    expect(response.bodyUsed).toBe(true);
    expect([...kept.keys()]).toEqual([file]);
    expect([await cache.delete(file), await cache.delete(file), await cache.delete(url)]).toEqual([true, false, false]);
    expect(await cache.match(file)).toBeUndefined();
  });

  test('put() of a clone does not wait for the original to be read', async () => {
    const { cache, url } = await cacheOfHub();
    const other = await otherServer();
    for (const [name, length] of [
      [url, content.length],
      [`${other.url}/file.bin`, 'GET /file.bin'.length],
    ] as const) {
      const response = await fetch(name);
      const copy = response.clone();
      await cache.put(name, copy);
      expect((await response.arrayBuffer()).byteLength).toBe(length);
      // An unread clone would buffer everything that is read from the original.
      expect(copy.bodyUsed).toBe(true);
    }
  });
});
