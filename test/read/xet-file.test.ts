import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import type { CommitOptions } from '../../src/local-hub/commit-files.ts';
import type { LocalHub, LocalHubOptions } from '../../src/local-hub/start.ts';
import type { XetFile } from '../../src/read/xet-file.ts';
import { holdsAsync, rejectionOf } from '../support/property.ts';
import { randomBytes, text } from '../support/samples.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const KIB = 1024;
const MIB = 1024 * KIB;
const noise = randomBytes(9 * MIB + 12_345, 1);

/** Requests by kind, but for those that opened the file. */
function counts(hub: LocalHub): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { kind } of hub.requests) found[kind] = (found[kind] ?? 0) + 1;
  return found;
}

const xorbBytes = (hub: LocalHub) =>
  hub.requests.filter(({ kind }) => kind === 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);

interface Setting {
  bytes?: Uint8Array;
  hub?: LocalHubOptions;
  commit?: CommitOptions;
  client?: XetClientOptions;
}

/** A file that was just opened, and a Hub that has forgotten how. What is kept of chunks is kept in memory only. */
async function opened({ bytes = noise, hub: hubOptions, commit, client: clientOptions }: Setting = {}) {
  const hub = await sourceHub(hubOptions);
  await hub.commitFiles(repo, { file: bytes }, { xet: 'always', ...commit });
  const client = sourceClient(hub, { chunkCache: false, ...clientOptions });
  const file = await client.open({ repo, path: 'file' });
  hub.resetRequests();
  return { hub, client, file, bytes };
}

const same = (found: Uint8Array, expected: Uint8Array) => expect(Buffer.compare(found, expected)).toBe(0);

describe('requests', () => {
  test('a header whose length is read first costs one of each kind', async () => {
    const hub = await sourceHub();
    await hub.commitFiles(repo, { file: noise }, { xet: 'always' });
    const file = await sourceClient(hub, { chunkCache: false }).open({ repo, path: 'file' });
    await file.read(0, 8);
    await file.read(8, 120_000);
    // Committing asks nothing over HTTP, so these are all there were.
    expect(counts(hub)).toEqual({ resolve: 1, token: 1, reconstruction: 1, xorb: 1 });
  });

  test('a footer whose length is read first costs one of each kind', async () => {
    const { hub, file, bytes } = await opened();
    const { size } = file;
    same(await file.read(size - 8, size), bytes.subarray(-8));
    same(await file.read(size - 100_000, size - 8), bytes.subarray(-100_000, -8));
    expect(counts(hub)).toEqual({ token: 1, reconstruction: 1, xorb: 1 });
  });

  test.each([
    ['the start', 0],
    ['the middle', 4_444_444],
  ])('a hundred reads of 4 KiB one after the other from %s cost three ranges at most', async (_where, from) => {
    const { hub, file, bytes } = await opened();
    for (let at = from; at < from + 100 * 4096; at += 4096) {
      same(await file.read(at, at + 4096), bytes.subarray(at, at + 4096));
    }
    expect(counts(hub).xorb).toBeLessThanOrEqual(3);
    expect(counts(hub).reconstruction).toBeLessThanOrEqual(3);
  });

  test('a reader that goes straight on fetches more each time, and no byte of the file twice', async () => {
    const { hub, file, bytes } = await opened();
    for (let at = 0; at < bytes.length; at += 50_000) {
      const end = Math.min(bytes.length, at + 50_000);
      same(await file.read(at, end), bytes.subarray(at, end));
    }
    // 256 KiB, 512 KiB, 1 MiB, 2 MiB, then as much as the budget allows.
    expect(counts(hub).reconstruction).toBeLessThanOrEqual(7);
    expect(xorbBytes(hub)).toBeLessThan(bytes.length * 1.01);
  });

  test('what was read is there for the next ones, also for other slices, clients of chunks or not', async () => {
    const { hub, file, bytes } = await opened();
    await file.read(3_000_000, 3_060_000);
    const before = counts(hub);
    const slice = file.slice(2_900_000, 4_000_000).slice(100_000);
    for (let at = 0; at < 60_000; at += 777) {
      const end = Math.min(60_000, at + 5000);
      same(await slice.read(at, end), bytes.subarray(3_000_000 + at, 3_000_000 + end));
    }
    same(new Uint8Array(await file.slice(3_000_000, 3_000_100).arrayBuffer()), bytes.subarray(3_000_000, 3_000_100));
    const streamed = await new Response(file.slice(3_050_000, 3_060_000).stream()).arrayBuffer();
    same(new Uint8Array(streamed), bytes.subarray(3_050_000, 3_060_000));
    expect(counts(hub)).toEqual(before);
  });

  test('a small read takes the chunks that it meets as a whole', async () => {
    const { hub, file, bytes } = await opened();
    await file.read(5_000_000, 5_000_010);
    const [request] = hub.requests.filter(({ kind }) => kind === 'xorb');
    const brought = request?.bytesSent ?? 0;
    expect(brought).toBeGreaterThan(64 * KIB);
    // What was fetched is all there: an aligned step, and the rest of the chunks at its ends.
    const start = Math.floor(5_000_000 / (64 * KIB)) * 64 * KIB;
    same(await file.read(start, start + 64 * KIB), bytes.subarray(start, start + 64 * KIB));
    expect(counts(hub).xorb).toBe(1);
    expect(brought).toBeLessThan(3 * 128 * KIB);
  });

  test('a second client object of the same file finds what is there', async () => {
    const { hub, client, file, bytes } = await opened();
    await file.read(1_000_000, 1_010_000);
    const again = await client.open({ repo, path: 'file' });
    hub.resetRequests();
    same(await again.read(1_000_000, 1_010_000), bytes.subarray(1_000_000, 1_010_000));
    expect(counts(hub)).toEqual({});
  });

  test('a part that was pushed out is fetched again without a question', async () => {
    const { hub, file, bytes } = await opened({ client: { memoryBudget: 16 * MIB } });
    const step = 600_000;
    for (let round = 0; round < 2; round++) {
      for (let at = step; at + 10 < bytes.length; at += step) {
        same(await file.read(at, at + 10), bytes.subarray(at, at + 10));
      }
    }
    const { xorb = 0, reconstruction = 0 } = counts(hub);
    const places = Math.floor((bytes.length - 10) / step);
    expect(reconstruction).toBe(places);
    expect(xorb).toBeGreaterThanOrEqual(places);
  });

  test('the whole of a small file is verified, kept, and costs nothing the second time', async () => {
    const bytes = text(150_000, 3);
    const { hub, file } = await opened({ bytes });
    await file.read(100, 200);
    const before = counts(hub);
    same(new Uint8Array(await file.arrayBuffer()), bytes);
    expect(await file.text()).toBe(new TextDecoder().decode(bytes));
    same(new Uint8Array(await new Response(file.stream()).arrayBuffer()), bytes);
    expect(counts(hub)).toEqual(before);
  });
});

describe('at once', () => {
  test('two reads of the same bytes fetch them once', async () => {
    const { hub, file, bytes } = await opened();
    hub.faults.latencyMs = 20;
    const ranges = [
      [0, 100],
      [0, 100],
      [2_000_000, 2_000_100],
      [2_000_000, 2_000_100],
      [2_000_050, 2_000_060],
      [3_000_000, 8_000_000],
      [3_000_000, 8_000_000],
    ] as const;
    const found = await Promise.all(ranges.map(([start, end]) => file.read(start, end)));
    found.forEach((one, index) => {
      const [start, end] = ranges[index]!;
      same(one, bytes.subarray(start, end));
    });
    expect(counts(hub)).toEqual({ token: 1, reconstruction: 3, xorb: 3 });
  });

  test('two reads of all of it fetch it once, and each has memory of its own', async () => {
    const { hub, file, bytes } = await opened();
    hub.faults.latencyMs = 20;
    const [one, two] = await Promise.all([file.arrayBuffer(), file.arrayBuffer()]);
    same(new Uint8Array(one), bytes);
    new Uint8Array(one).fill(0);
    same(new Uint8Array(two), bytes);
    expect(xorbBytes(hub)).toBeLessThan(bytes.length * 1.01);
  });

  test('many neighbours in any order fetch little more than what they cover', async () => {
    const { hub, file, bytes } = await opened();
    const starts = Array.from({ length: 64 }, (_, index) => 1_000_000 + ((index * 37) % 64) * 4096);
    const found = await Promise.all(starts.map((at) => file.read(at, at + 4096)));
    found.forEach((one, index) => {
      const at = starts[index] ?? 0;
      same(one, bytes.subarray(at, at + 4096));
    });
    expect(counts(hub).xorb).toBeLessThanOrEqual(10);
    expect(xorbBytes(hub)).toBeLessThan(2 * MIB);
  });

  test("one reader's abort fails no other", async () => {
    let asked = false;
    let answer: () => void = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    // Data comes only once the first reader is gone, so that nothing else can have ended its wait.
    const held: typeof fetch = async (input, init) => {
      if (!String(input).includes('/xorb')) return fetch(input, init);
      asked = true;
      await answered;
      return fetch(input, init);
    };
    const { hub, file, bytes } = await opened({ client: { fetch: held } });
    const stop = new AbortController();
    const reason = new Error('enough');
    const first = rejectionOf(file.read(1_000_000, 1_005_000, { signal: stop.signal }));
    const second = file.read(1_000_000, 1_005_000);
    await vi.waitFor(() => expect(asked).toBe(true));
    stop.abort(reason);
    expect(await first).toBe(reason);
    answer();
    same(await second, bytes.subarray(1_000_000, 1_005_000));
    expect(counts(hub)).toEqual({ token: 1, reconstruction: 1, xorb: 1 });
  });

  test('the abort of the last reader ends the request, and the next one begins anew', async () => {
    const { hub, file, bytes } = await opened();
    const stalled = hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 1000 });
    const stop = new AbortController();
    const reading = rejectionOf(file.read(1_000_000, 1_005_000, { signal: stop.signal }));
    await vi.waitFor(() => expect(stalled.hits).toBe(1));
    stop.abort(new Error('enough'));
    expect(await reading).toBe(stop.signal.reason);
    same(await file.read(1_000_000, 1_005_000), bytes.subarray(1_000_000, 1_005_000));
    expect(counts(hub)).toMatchObject({ xorb: 2 });
  });

  test('a read far behind another does not wait for it', async () => {
    const { hub, file, bytes } = await opened();
    hub.faults.add({ kind: 'xorb', action: 'trickle', bytesPerSecond: 10_000 });
    const stop = new AbortController();
    const slow = rejectionOf(file.arrayBuffer({ signal: stop.signal }));
    await vi.waitFor(() => expect(counts(hub).xorb).toBe(1));
    same(await file.read(9_000_000, 9_000_100), bytes.subarray(9_000_000, 9_000_100));
    stop.abort(new Error('enough'));
    await slow;
  });

  test('closing the client ends all reads, and there are no more', async () => {
    const { hub, client, file } = await opened();
    await file.read(0, 10);
    const stalled = hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 1000, times: 10 });
    const reading = [file.read(4_000_000, 4_000_010), file.arrayBuffer(), file.read(4_000_005, 9_000_000)].map(
      rejectionOf,
    );
    await vi.waitFor(() => expect(stalled.hits).toBeGreaterThanOrEqual(2));
    await client.close();
    for (const error of await Promise.all(reading)) expect(error).toMatchObject({ code: 'CLOSED' });
    // Not even what is in memory.
    expect(await rejectionOf(file.read(0, 10))).toMatchObject({ code: 'CLOSED' });
    expect(client.metrics().memory.usedNowBytes).toBe(0);
  });

  test('what was read ahead and stands still is given up when nobody waits', async () => {
    const { hub, client, file, bytes } = await opened({ client: { timeouts: { stallMs: 60_000 } } });
    // Windows grow. The first that is longer than this stops after its first run; shorter ones are not affected.
    const stallBytes = 700_000;
    hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: stallBytes, times: 1000 });
    const stalled = () => hub.requests.find(({ kind, bytesSent }) => kind === 'xorb' && bytesSent >= stallBytes);
    let at = 0;
    for (; !stalled(); at += 50_000) {
      same(await file.read(at, at + 50_000), bytes.subarray(at, at + 50_000));
      await vi.waitFor(() => expect(counts(hub).xorb).toBe(client.metrics().requests.xorb));
      // Requests for what comes next reach the Hub before the next read, or it would wait for them.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const request = stalled();
    await vi.waitFor(() => expect(client.metrics().concurrency.now).toBe(0), { timeout: 50_000 });
    // A later read has a request of its own; on a slow machine a second one may race it.
    const before = counts(hub).xorb ?? 0;
    same(await file.read(at + 900_000, at + 900_010), bytes.subarray(at + 900_000, at + 900_010));
    expect(counts(hub).xorb).toBeGreaterThan(before);
    expect(request?.bytesSent).toBeLessThan(MIB);
  });
});

test('a cautious stream gives the same bytes and fetches little more than is read', async () => {
  const bytes = Buffer.concat([noise, noise.subarray(0, 3 * MIB), randomBytes(6 * MIB, 2)]);
  for (const cautious of [true, false]) {
    const { hub, file } = await opened({ bytes, commit: { chunksPerXorb: 8 } });
    const reader = file.stream({ cautious }).getReader();
    const parts: Uint8Array[] = [];
    for (let read = 0; read < 2 * MIB; read += parts.at(-1)?.length ?? 0) parts.push((await reader.read()).value!);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const ahead = xorbBytes(hub) - parts.reduce((sum, part) => sum + part.length, 0);
    if (cautious) expect(ahead).toBeLessThan(1.6 * MIB);
    // What is not cautious makes use of several connections.
    else expect(ahead).toBeGreaterThan(2 * MIB);
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) parts.push(piece.value);
    same(Buffer.concat(parts), bytes);
  }
});

describe('what goes wrong', () => {
  test('addresses that have run out are renewed, for all who remember them', async () => {
    let shift = 0;
    const { hub, file, bytes } = await opened({
      hub: { now: () => Date.now() + shift, urlLifetimeSeconds: 60, tokenLifetimeSeconds: 100_000 },
      client: { memoryBudget: 16 * MIB },
    });
    const places = Array.from({ length: 30 }, (_, index) => 300_000 * index + 5);
    for (const at of places) await file.read(at, at + 10);
    shift = 120_000;
    hub.resetRequests();
    for (const at of places) same(await file.read(at, at + 10), bytes.subarray(at, at + 10));
    const refused = hub.requests.filter(({ status }) => status === 403).length;
    expect(refused).toBeGreaterThan(0);
    expect(counts(hub).reconstruction).toBe(refused);
  });

  test('a corrupt byte is fetched once more; one that stays is INTEGRITY, and nothing of it is kept', async () => {
    const { hub, file, bytes } = await opened({ commit: { compression: 'lz4' }, bytes: text(3_000_000, 5) });
    const once = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 2, mask: 0x80, times: 2 });
    same(await file.read(1_000_000, 1_001_000), bytes.subarray(1_000_000, 1_001_000));
    expect(once.hits).toBe(2);
    hub.faults.clear();
    const always = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 2, mask: 0x80, times: 1e9 });
    expect(await rejectionOf(file.read(2_000_000, 2_001_000))).toMatchObject({ code: 'INTEGRITY' });
    expect(await rejectionOf(file.arrayBuffer())).toMatchObject({ code: 'INTEGRITY' });
    always.remove();
    same(await file.read(2_000_000, 2_001_000), bytes.subarray(2_000_000, 2_001_000));
    same(new Uint8Array(await file.arrayBuffer()), bytes);
  });

  test('a whole file that decodes and is not the right one is fetched once more, for both who wait for it', async () => {
    // A stored chunk has no check of its own: only the file hash tells.
    const { hub, file, bytes } = await opened({ bytes: randomBytes(700_000, 9), commit: { compression: 'none' } });
    const once = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5000, times: 1 });
    const both = await Promise.all([file.arrayBuffer(), file.arrayBuffer()]);
    for (const one of both) same(new Uint8Array(one), bytes);
    expect(once.hits).toBe(1);
    expect(counts(hub).xorb).toBe(2);
  });

  test('a small file is not given in parts before all of it is right', async () => {
    const { hub, file, bytes } = await opened({ bytes: randomBytes(200_000, 9), commit: { compression: 'none' } });
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 150_000, times: 1 });
    same(await file.read(0, 100), bytes.subarray(0, 100));
    expect(counts(hub).xorb).toBe(2);
  });

  test('plain HTTP steps in where Xet cannot serve, in the middle of a window too', async () => {
    const { hub, file, bytes } = await opened({ client: { retry: { attempts: 2 } }, commit: { chunksPerXorb: 3 } });
    hub.faults.add({ kind: 'xorb', action: 'status', status: 500, times: 1e9, after: 2 });
    for (const [start, end] of [
      [1_000_000, 1_500_000],
      [2_000_000, 2_000_010],
      [0, 300_000],
    ] as const) {
      same(await file.read(start, end), bytes.subarray(start, end));
    }
    expect(counts(hub).bridge).toBeGreaterThan(0);
  });

  test('a failure is told to those who wait, and forgotten', async () => {
    const { hub, file, bytes } = await opened({ client: { retry: { attempts: 2 }, fallback: 'never' } });
    hub.faults.add({ kind: 'reconstruction', action: 'status', status: 500, times: 2 });
    const errors = await Promise.all([file.read(0, 10), file.read(5, 20)].map(rejectionOf));
    for (const error of errors) expect(error).toMatchObject({ code: 'SERVER' });
    same(await file.read(0, 10), bytes.subarray(0, 10));
  });

  test.each([
    [-1, 5],
    [5, 4],
    [0, Number.NaN],
    [0, 10 * MIB],
    [0.5, 3],
  ])('no range %d to %d', async (start, end) => {
    const { file } = await opened({ bytes: text(1000, 1) });
    expect(await rejectionOf(file.read(start, end))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('memory', () => {
  test('what is kept counts against the budget, and never goes beyond its part', async () => {
    const { client, file, bytes } = await opened({ client: { memoryBudget: 24 * MIB } });
    for (let at = 0; at + 100_000 < bytes.length; at += 90_000) {
      await file.read(at, at + 100_000);
      const { usedNowBytes, peakBytes } = client.metrics().memory;
      expect(usedNowBytes).toBeGreaterThan(0);
      expect(peakBytes).toBeLessThanOrEqual(24 * MIB);
    }
    await vi.waitFor(() => expect(client.metrics().memory.usedNowBytes).toBeLessThanOrEqual(3 * MIB));
  });

  test('of a large read nothing waits for what comes before it', async () => {
    const bytes = randomBytes(32 * MIB, 2);
    const { hub, client, file } = await opened({ bytes, commit: { chunksPerXorb: 64 } });
    hub.faults.add({ kind: 'xorb', action: 'trickle', bytesPerSecond: 4 * MIB });
    same(new Uint8Array(await file.arrayBuffer()), bytes);
    // Each xorb has 4 MiB: several of them come while the first does.
    expect(client.metrics().memory.peakBytes).toBeLessThan(8 * MIB);
  });

  test('a read that is larger than a window goes by', async () => {
    const { client, file, bytes } = await opened();
    same(await file.read(100, 8_000_000), bytes.subarray(100, 8_000_000));
    await vi.waitFor(() => expect(client.metrics().memory.usedNowBytes).toBe(0));
  });
});

describe.each<[string, Setting]>([
  ['small xorbs', { commit: { chunksPerXorb: 3 } }],
  ['addresses that insist on their ranges', { hub: { rangeRule: 'exact' } }],
  ['ranges left apart', { hub: { mergeRanges: false, maxRangesPerUrl: 1 }, commit: { chunksPerXorb: 20 } }],
  ['reconstructions of the first version', { hub: { reconstructionVersions: [1] } }],
  ['plain files', { commit: { xet: 'never' }, bytes: text(700_000, 8) }],
  ['a chunk store', { client: { chunkCache: undefined } }],
  ['a small budget', { client: { memoryBudget: 16 * MIB } }],
])('any reads at once, with %s', (_what, setting) => {
  test('give the right bytes', async () => {
    const { file, bytes } = await opened(setting);
    const place = fc.double({ min: 0, max: 1, noNaN: true });
    const length = fc.oneof(fc.nat(20_000), fc.nat(2_500_000));
    const reads = fc.array(fc.tuple(place, length, fc.boolean()), { minLength: 1, maxLength: 8 });
    await holdsAsync(25, reads, async (chosen) => {
      const readOne = async ([where, most, stops]: (typeof chosen)[number]) => {
        const start = Math.floor(where * bytes.length);
        const end = Math.min(bytes.length, start + most);
        const stop = new AbortController();
        if (stops) setTimeout(() => stop.abort(new Error('enough')), most % 7);
        try {
          same(await file.read(start, end, { signal: stop.signal }), bytes.subarray(start, end));
        } catch (error) {
          if (error !== stop.signal.reason) throw error;
        }
      };
      await Promise.all(chosen.map(readOne));
    });
  });
});

describe.each<[string, CommitOptions]>([
  ['over Xet', { xet: 'always' }],
  ['over plain HTTP', { xet: 'never' }],
])('a file of which the Hub says that it is empty, %s,', (_what, commit) => {
  /** The Hub's answers about files, with another size. */
  const sayingEmpty: typeof fetch = async (input, init) => {
    const reply = await fetch(input, init);
    if (!/\/resolve\//.test(String(input instanceof Request ? input.url : input))) return reply;
    const headers = new Headers(reply.headers);
    for (const name of ['x-linked-size', 'content-length']) if (headers.has(name)) headers.set(name, '0');
    const { status } = reply;
    if (headers.get('content-type')?.includes('json')) {
      headers.delete('content-length');
      return Response.json({ ...((await reply.json()) as object), size: 0 }, { status, headers });
    }
    const body = status === 200 || status === 206 ? new Uint8Array() : reply.body;
    headers.delete('content-range');
    return new Response(body, { status: status === 206 ? 200 : status, headers });
  };
  const reads: [string, (file: XetFile) => Promise<unknown>][] = [
    ['a stream', (file) => new Response(file.stream()).arrayBuffer()],
    ['a buffer', (file) => file.arrayBuffer()],
    ['text', (file) => file.text()],
    ['a read', (file) => file.read(0, 0)],
    ['the stream of a slice', (file) => new Response(file.slice(0, 10).stream()).arrayBuffer()],
    ['a slice', (file) => file.slice(-5).arrayBuffer()],
  ];

  test.each(reads)('is INTEGRITY as %s where its hash is not that of an empty file', async (_how, read) => {
    const hub = await sourceHub();
    await hub.commitFiles(repo, { file: text(5000, 1) }, commit);
    const file = await sourceClient(hub, { fetch: sayingEmpty }).open({ repo, path: 'file' });
    expect(file.size).toBe(0);
    expect(await rejectionOf(read(file))).toMatchObject({ code: 'INTEGRITY' });
  });

  test.each(reads)('is empty as %s where it is', async (_how, read) => {
    const hub = await sourceHub();
    await hub.commitFiles(repo, { file: new Uint8Array() }, commit);
    const file = await sourceClient(hub).open({ repo, path: 'file' });
    const found = await read(file);
    expect(typeof found === 'string' ? found.length : (found as ArrayBuffer).byteLength).toBe(0);
  });
});
