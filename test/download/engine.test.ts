import { expect, onTestFinished, test } from 'vitest';
import { loadCodec } from '../../src/codec.node.ts';
import { MemoryBudget } from '../../src/download/budget.ts';
import { DownloadEngine, type EngineParts } from '../../src/download/engine.ts';
import { Lanes } from '../../src/download/lanes.ts';
import { DEFAULT_TIMEOUTS, Http } from '../../src/http/http.ts';
import { HubClient } from '../../src/hub/client.ts';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub.ts';
import { nodeContentHash } from '../../src/repo/place.node.ts';
import { CodecPool } from '../../workers/pool.ts';
import { sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';

const repo = { type: 'model', name: 'owner/model' } as const;

async function hubWith(
  files: Record<string, Uint8Array>,
  options: LocalHubOptions = {},
  chunksPerXorb = 8192,
): Promise<LocalHub> {
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  await hub.commitFiles(repo, files, { xet: 'always', chunksPerXorb });
  return hub;
}

function engineFor(hub: LocalHub, parts: Partial<EngineParts> = {}) {
  const http = new Http({ fetch, timeouts: DEFAULT_TIMEOUTS, retry: { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 } });
  const hubClient = new HubClient(http, { endpoint: hub.url, accessToken: async () => undefined });
  const engine = new DownloadEngine({
    http,
    hub: hubClient,
    pool: new CodecPool({ size: 0, load: loadCodec }),
    budget: new MemoryBudget(64 << 20, 16 << 20),
    lanes: new Lanes(4),
    makeHash: nodeContentHash,
    attempts: 4,
    groupRanges: true,
    xet: true,
    fallback: false,
    onWarning: () => undefined,
    ...parts,
  });
  return { engine, hubClient, http };
}

async function readAll(hub: LocalHub, path: string, parts: Partial<EngineParts> = {}): Promise<Uint8Array> {
  const { engine, hubClient } = engineFor(hub, parts);
  const file = await hubClient.resolve(repo, 'main', path);
  const runs: Uint8Array[] = [];
  let verified = '';
  const content = engine.read(
    file,
    { start: 0, end: file.size },
    {
      signal: new AbortController().signal,
      onVerified: (how) => {
        verified = how;
      },
    },
  );
  for await (const { bytes } of content) runs.push(bytes);
  expect(verified).toBe('xet');
  return Buffer.concat(runs);
}

const requests = (hub: LocalHub, kind: string) => hub.requests.filter((request) => request.kind === kind);

test('a file of several reconstruction windows is verified as one', async () => {
  const bytes = randomBytes(9_000_000, 1);
  const hub = await hubWith({ a: bytes }, {}, 30);
  for (const windowBytes of [1_000_000, 2_500_001, 8_999_999, 9_000_000]) {
    hub.resetRequests();
    expect(sha256(await readAll(hub, 'a', { windowBytes }))).toBe(sha256(bytes));
    // A window may reach past its end, up to a chunk border, so there may be one less than the division says.
    const windows = Math.ceil(bytes.length / windowBytes);
    expect(requests(hub, 'reconstruction').length).toBeLessThanOrEqual(windows);
    expect(requests(hub, 'reconstruction').length).toBeGreaterThanOrEqual(Math.max(1, windows - 1));
  }
});

// A file made of every second chunk of another one: many small ranges of one xorb that do not touch.
async function fragmented(options: LocalHubOptions = {}): Promise<{ hub: LocalHub; bytes: Uint8Array }> {
  const codec = await loadCodec();
  const source = text(6_000_000, 2);
  const chunker = codec.chunker();
  const records = chunker.push(source, true);
  chunker.free();
  const { chunkCount, chunkLength } = await import('../../src/chunks.ts');
  const kept: Uint8Array[] = [];
  let at = 0;
  for (let index = 0; index < chunkCount(records); index++) {
    const length = chunkLength(records, index);
    if (index % 2 === 0) kept.push(source.subarray(at, at + length));
    at += length;
  }
  const bytes = Buffer.concat(kept);
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  await hub.commitFiles(repo, { source }, { xet: 'always' });
  await hub.commitFiles(repo, { fragmented: bytes }, { xet: 'always' });
  return { hub, bytes };
}

test('small ranges of one address are asked for together', async () => {
  const { hub, bytes } = await fragmented();
  hub.resetRequests();
  expect(sha256(await readAll(hub, 'fragmented'))).toBe(sha256(bytes));
  const together = requests(hub, 'xorb').length;
  expect(requests(hub, 'xorb').some(({ range }) => range?.includes(','))).toBe(true);
  hub.resetRequests();
  expect(sha256(await readAll(hub, 'fragmented', { groupRanges: false }))).toBe(sha256(bytes));
  const apart = requests(hub, 'xorb').length;
  expect(requests(hub, 'xorb').every(({ range }) => !range?.includes(','))).toBe(true);
  expect(together * 5).toBeLessThan(apart);
});

test.each([
  ['a missing part', { action: 'dropPart', part: 3 }],
  ['parts in another order', { action: 'reorderParts' }],
  ['an end in the middle', { action: 'truncate', afterBytes: 20_000 }],
  ['a refusal', { action: 'status', status: 403 }],
  ['a broken server', { action: 'status', status: 500 }],
  ['everything in place of parts', { action: 'fullInsteadOfPartial' }],
] as const)('ranges asked for together survive %s', async (_what, fault) => {
  const { hub, bytes } = await fragmented();
  const hit = hub.faults.add({ kind: 'xorb', times: 2, ...fault });
  expect(sha256(await readAll(hub, 'fragmented'))).toBe(sha256(bytes));
  expect(hit.hits).toBeGreaterThan(0);
});

test('a request that crawls while others fly is asked for a second time', async () => {
  const bytes = randomBytes(6_000_000, 4);
  const hub = await hubWith({ a: bytes }, {}, 20);
  const crawl = hub.faults.add({ kind: 'xorb', action: 'trickle', bytesPerSecond: 3000, times: 1, after: 2 });
  expect(sha256(await readAll(hub, 'a'))).toBe(sha256(bytes));
  expect(crawl.hits).toBe(1);
  const asked = requests(hub, 'xorb').map(({ path }) => path);
  // That one was asked for twice, and all the others once.
  expect(asked.length).toBe(new Set(asked).size + 1);
});
