import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { serialize } from 'node:v8';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import { platform } from '../../src/client/platform.node.ts';
import { createReaderContext } from '../../src/client/reader-context.ts';
import type { ByteRange } from '../../src/core/ranges.ts';
import { fillFile } from '../../src/download/fill-file.ts';
import type { TransferNews } from '../../src/download/transfer/messages.ts';
import { TransferPool } from '../../src/download/transfer/pool.ts';
import type { FaultRule, LocalHub } from '../../src/entries/local-hub.ts';
import { PartialFile } from '../../src/files/disk/partial-file.node.ts';
import { DEFAULT_TIMEOUTS } from '../../src/http/http.ts';
import { spawnTransferWorker } from '../../workers/spawn.node.ts';
import type { SpawnedWorker } from '../../workers/spawn.ts';
import { draw, engineFor, hubWith, repo, requests, sent } from '../support/engines.ts';
import { clientOf, scratch, sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes, text } from '../support/samples.ts';

const MB = 1_000_000;
const SCRIPT = new URL('../../dist/transfer.worker.node.js', import.meta.url);
const noSignal = new AbortController().signal;

/** A download to a file on the disk by transfer workers, and all that crosses to this thread. */
async function transferTo(hub: LocalHub, size = 2) {
  const crossed: TransferNews[] = [];
  const workers: SpawnedWorker[] = [];
  const warnings: string[] = [];
  const transfers = new TransferPool({
    spawn: () => {
      const worker = spawnTransferWorker(SCRIPT);
      workers.push(worker);
      return worker;
    },
    size,
    settings: {
      timeouts: DEFAULT_TIMEOUTS,
      retry: { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 },
      encrypted: false,
    },
    isAllowed: () => true,
    onWarning: (warning) => warnings.push(warning),
    onMessage: (news) => crossed.push(news),
  });
  onTestFinished(() => transfers.close());
  const parts = engineFor(hub, {}, transfers);
  const stem = join(await scratch(), 'file');
  const path = `${stem}.xetkit.incomplete`;
  const file = await parts.hubClient.resolve(repo, 'main', 'a');
  const open = () =>
    PartialFile.open(
      stem,
      { etag: file.etag, size: file.size, xetHash: file.xetHash },
      { signal: noSignal, onWait: () => undefined, resume: true },
      async (finished) => finished,
    );
  return { ...parts, transfers, crossed, workers, warnings, file, path, open };
}

const bytesOf = (news: readonly TransferNews[]) => news.reduce((sum, one) => sum + serialize(one).length, 0);

/** Descriptors of this process, threads included, that are open on a path. */
async function descriptorsOn(path: string): Promise<number> {
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return links.filter((link) => link.startsWith(path)).length;
}

describe('a download to a file by transfer workers', () => {
  test('lets records and counts cross to the calling thread, and no content', async () => {
    const bytes = randomBytes(24 * MB, 1);
    const hub = await hubWith({ a: bytes }, {}, 40);
    const { engine, file, open, path, crossed, transfers, http, pool, budget, lanes } = await transferTo(hub);
    const sink = await open();
    const counted = { network: 0 };
    const report = {
      network: (received: number) => {
        counted.network += received;
      },
    };
    expect(await fillFile(engine, file, sink, { signal: noSignal, report })).toBe('xet');
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
    expect(transfers.workers).toBe(2);
    const jobs = requests(hub, 'xorb').length;
    // 36 bytes for each chunk of some 64 KiB, and a little for each message.
    expect(bytesOf(crossed)).toBeLessThan(bytes.length / 200);
    expect(bytesOf(crossed)).toBeGreaterThan(36 * Math.floor(bytes.length / 131_072));
    expect(crossed.length).toBeGreaterThanOrEqual(jobs);
    expect(Math.max(...crossed.map((one) => serialize(one).length))).toBeLessThan(64 * 1024);
    // What was counted there is what the server has sent.
    expect(counted.network).toBe(sent(hub, 'xorb'));
    expect(http.log.requests.xorb).toBe(jobs);
    expect(http.log.bytes).toMatchObject({ content: bytes.length });
    expect(pool.counts.sent).toBeGreaterThan(0);
    expect([budget.usedBytes, lanes.used, http.log.awaited]).toEqual([0, 0, 0]);
    await sink.close();
    expect(await descriptorsOn(path)).toBe(0);
  });

  const mishaps: ((random: (below: number) => number) => FaultRule)[] = [
    (random) => ({ kind: 'xorb', action: 'reset', afterBytes: random(300_000) }),
    (random) => ({ kind: 'xorb', action: 'truncate', afterBytes: random(300_000) }),
    (random) => ({ kind: 'xorb', action: 'shorten', toBytes: random(200_000) }),
    (random) => ({ kind: 'xorb', action: 'status', status: [500, 503, 429, 403, 502][random(5)] ?? 500 }),
    () => ({ kind: 'xorb', action: 'refuse' }),
    (random) => ({ kind: 'xorb', action: 'wrongRange', shiftBytes: 1 + random(9) }),
    () => ({ kind: 'xorb', action: 'fullInsteadOfPartial' }),
    (random) => ({ kind: 'xorb', action: 'corrupt', offset: [0, 4, 5, 7][random(4)] ?? 0, mask: 0x40 }),
    () => ({ kind: 'reconstruction', action: 'garbageJson' }),
  ];
  test.each(Array.from({ length: 10 }, (_, seed) => seed))('survives what goes wrong on the way (%i)', async (seed) => {
    const random = draw(seed);
    const bytes = seed % 2 === 0 ? randomBytes(10 * MB, seed) : text(10 * MB, seed);
    const hub = await hubWith({ a: bytes }, {}, 10 + random(40));
    const { engine, file, open, path, budget, lanes, transfers } = await transferTo(hub);
    for (let count = 0; count < 3; count++) {
      const rule = mishaps[(seed + count * 4) % mishaps.length]?.(random);
      if (rule) hub.faults.add({ ...rule, after: random(4) });
    }
    const sink = await open();
    expect(await fillFile(engine, file, sink, { signal: noSignal })).toBe('xet');
    await sink.close();
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
    expect([budget.usedBytes, lanes.used, transfers.lost]).toEqual([0, 0, 0]);
    expect(await descriptorsOn(path)).toBe(0);
  });

  test('asks the calling thread for new addresses when those it was given have expired', async () => {
    const bytes = randomBytes(12 * MB, 3);
    const hub = await hubWith({ a: bytes }, {}, 30);
    const { engine, file, open, path, crossed } = await transferTo(hub);
    hub.faults.add({ kind: 'xorb', action: 'status', status: 403 });
    const sink = await open();
    await fillFile(engine, file, sink, { signal: noSignal });
    await sink.close();
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
    expect(crossed.some((news) => 'renew' in news)).toBe(true);
  });

  test('loses one try of its jobs with a worker that dies', async () => {
    const bytes = randomBytes(24 * MB, 4);
    const hub = await hubWith({ a: bytes }, {}, 60);
    hub.faults.bytesPerSecond = 4 * MB;
    const { engine, file, open, path, workers, transfers, warnings, budget, lanes } = await transferTo(hub, 1);
    const sink = await open();
    // Notes that take longer than the next plan: it must know of them.
    const slow = {
      held: sink.held,
      unchecked: sink.unchecked,
      read: (range: ByteRange) => sink.read(range),
      write: sink.write.bind(sink),
      destination: () => sink.destination(),
      note: async (...part: Parameters<typeof sink.note>) => {
        await delay(300);
        await sink.note(...part);
      },
    };
    const filling = fillFile(engine, file, slow, { signal: noSignal });
    await vi.waitFor(() => expect(sent(hub, 'xorb')).toBeGreaterThan(6 * MB), { timeout: 10_000, interval: 5 });
    workers[0]?.terminate();
    expect(await filling).toBe('xet');
    await sink.close();
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
    expect([transfers.lost, warnings]).toEqual([1, []]);
    expect([budget.usedBytes, lanes.used]).toEqual([0, 0]);
  });

  test('goes on without workers if they cannot be started', async () => {
    const bytes = randomBytes(10 * MB, 5);
    const hub = await hubWith({ a: bytes });
    const warnings: string[] = [];
    const transfers = new TransferPool({
      spawn: () => {
        throw new Error('no threads here');
      },
      size: 2,
      settings: { timeouts: DEFAULT_TIMEOUTS, retry: { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 }, encrypted: false },
      isAllowed: () => true,
      onWarning: (warning) => warnings.push(warning),
    });
    const { file, open, path } = await transferTo(hub);
    const { engine } = engineFor(hub, {}, transfers);
    const sink = await open();
    expect(await fillFile(engine, file, sink, { signal: noSignal })).toBe('xet');
    await sink.close();
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
    expect(warnings).toEqual([expect.stringContaining('no threads here')]);
  });

  test('stops at an abort with nothing open and nothing written any more, and goes on from there', async () => {
    const bytes = randomBytes(24 * MB, 6);
    const hub = await hubWith({ a: bytes }, {}, 60);
    hub.faults.bytesPerSecond = 4 * MB;
    const { engine, file, open, path, budget, lanes } = await transferTo(hub);
    const sink = await open();
    const abort = new AbortController();
    const filling = rejectionOf(fillFile(engine, file, sink, { signal: abort.signal }));
    await vi.waitFor(() => expect(sent(hub, 'xorb')).toBeGreaterThan(8 * MB), { timeout: 10_000, interval: 5 });
    abort.abort(new Error('enough'));
    expect(await filling).toMatchObject({ message: 'enough' });
    // The client's own, and no other.
    expect(await descriptorsOn(path)).toBe(1);
    expect([budget.usedBytes, lanes.used]).toEqual([0, 0]);
    await sink.close();
    const left = sha256(await readFile(path));
    hub.faults.bytesPerSecond = 0;
    const again = await open();
    expect(again.held.reduce((sum, { start, end }) => sum + end - start, 0)).toBeGreaterThan(4 * MB);
    expect(sha256(await readFile(path))).toBe(left);
    expect(await fillFile(engine, file, again, { signal: noSignal })).toBe('xet');
    await again.close();
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
  });
});

describe('a client with transfer workers', () => {
  const contextOf = (options: XetClientOptions) => {
    const context = createReaderContext(
      { endpoint: 'http://127.0.0.1:9', transferWorkers: 2, ...options },
      platform,
      () => undefined,
    );
    onTestFinished(() => context.pool.close());
    return context.engine.transfers;
  };

  test.each([
    ['rewriteUrl', { rewriteUrl: (url: string) => url }],
    ['a fetch of its own', { fetch }],
    ['workers: 0', { workers: 0 }],
    ['no number of them', { transferWorkers: 0 }],
  ])('has none with %s', (_, options) => {
    expect(contextOf(options)).toBeUndefined();
  });

  test('uses none while requests go through the platform, or through what the program put in its place', () => {
    expect(contextOf({})?.isAvailable).toBe(true);
    expect(contextOf({ transport: 'platform' })?.isAvailable).toBe(false);
    const own = globalThis.fetch;
    onTestFinished(() => {
      globalThis.fetch = own;
    });
    const pool = contextOf({});
    globalThis.fetch = (...args) => own(...args);
    expect(pool?.isAvailable).toBe(false);
  });

  test('reports progress and metrics as one without them does', async () => {
    const bytes = randomBytes(20 * MB, 9);
    const hub = await hubWith({ a: bytes }, {}, 64);
    const counted = [];
    for (const transferWorkers of [0, 2]) {
      const client = clientOf(hub, { transferWorkers, chunkCache: false, recipes: false });
      let last: unknown;
      const result = await client.downloadFile({
        repo,
        path: 'a',
        localDir: await scratch(),
        onProgress: ({ bytes: content, files }) => {
          last = { content, files };
        },
      });
      const { requests: asked, bytes: moved } = client.metrics();
      counted.push({ last, bytes: result.bytes, requests: result.requests, asked, moved: moved.content });
    }
    expect(counted[1]).toEqual(counted[0]);
  });
});
