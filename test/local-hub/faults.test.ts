import { expect, test } from 'vitest';
import type { FaultRule } from '../../src/entries/local-hub.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { bytesOf, call, noise, reconstruction, same, testHub } from './helpers.ts';

const data = noise(14, 600_000);

/** A Hub with one large file, and the request for all of its xorb. */
async function prepared(): Promise<{
  hub: LocalHub;
  get: (signal?: AbortSignal) => Promise<Response>;
  length: number;
  whole: Uint8Array;
}> {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': data, 'a.txt': 'text' }, { compression: 'none' });
  const found = await reconstruction(hub, 'me/model', 'w.bin');
  const { url, ranges } = Object.values(found.xorbs)[0]![0]!;
  const { start, end } = ranges[0]!.bytes;
  const get = (signal?: AbortSignal) =>
    fetch(url, { headers: { range: `bytes=${start}-${end}` }, signal: signal ?? null });
  return { hub, get, length: end - start + 1, whole: await bytesOf(await get()) };
}

/** What arrives before the connection breaks. */
async function received(response: Response): Promise<{ bytes: number; broken: boolean }> {
  let bytes = 0;
  try {
    for await (const piece of response.body!) bytes += piece.length;
    return { bytes, broken: false };
  } catch {
    return { bytes, broken: true };
  }
}

test('a refused request has no answer, and the next one does', async () => {
  const { hub, get } = await prepared();
  const handle = hub.faults.add({ kind: 'xorb', action: 'refuse' });
  await expect(get()).rejects.toThrow();
  expect((await get()).status).toBe(206);
  expect(handle.hits).toBe(1);
});

test.each(['reset', 'truncate'] as const)('%s ends a body early, with the length of the whole', async (action) => {
  const { hub, get, length } = await prepared();
  hub.faults.add({ kind: 'xorb', action, afterBytes: 100_000 });
  const response = await get();
  expect(response.headers.get('content-length')).toBe(String(length));
  expect(await received(response)).toEqual({ bytes: 100_000, broken: true });
  hub.faults.add({ kind: 'xorb', action, afterBytes: 0 });
  await expect(get().then(received)).resolves.toEqual({ bytes: 0, broken: true });
});

test('a stalled body goes on after its time, or never', async () => {
  const { hub, get, whole } = await prepared();
  hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 1000, ms: 20 });
  expect(same(await bytesOf(await get()), whole)).toBe(true);
  hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 0, ms: 5 });
  expect((await get()).status).toBe(206);
  hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 1000 });
  const abort = new AbortController();
  const reader = (await get(abort.signal)).body!.getReader();
  expect((await reader.read()).value).toHaveLength(1000);
  const next = reader.read();
  abort.abort();
  await expect(next).rejects.toThrow();
});

test('a trickle is slow and whole', async () => {
  const { hub, get, whole } = await prepared();
  hub.faults.add({ kind: 'xorb', action: 'trickle', bytesPerSecond: 20_000_000 });
  expect(same(await bytesOf(await get()), whole)).toBe(true);
});

test('a status takes the place of the answer', async () => {
  const { hub, get } = await prepared();
  hub.faults.add({ kind: 'xorb', action: 'status', status: 429, headers: { 'retry-after': '7' }, times: 2 });
  const first = await get();
  expect([first.status, first.headers.get('retry-after')]).toEqual([429, '7']);
  expect((await get()).status).toBe(429);
  expect((await get()).status).toBe(206);
});

test('a shortened body is announced as such', async () => {
  const { hub, get } = await prepared();
  hub.faults.add({ kind: 'xorb', action: 'shorten', toBytes: 1234 });
  const response = await get();
  expect(response.headers.get('content-length')).toBe('1234');
  expect(await received(response)).toEqual({ bytes: 1234, broken: false });
});

test('a wrong range says which one it is', async () => {
  const { hub, get, length } = await prepared();
  hub.faults.add({ kind: 'xorb', action: 'wrongRange', shiftBytes: 5 });
  const response = await get();
  expect(response.status).toBe(206);
  expect(response.headers.get('content-range')).not.toBe(`bytes 0-${length - 1}/${length}`);
});

test('everything can come in place of a part', async () => {
  const { hub, length } = await prepared();
  const location = (await call(hub, '/me/model/resolve/main/w.bin')).headers.get('location') ?? '';
  hub.faults.add({ kind: 'bridge', action: 'fullInsteadOfPartial' });
  const response = await fetch(location, { headers: { range: 'bytes=10-19' } });
  expect([response.status, (await bytesOf(response)).length]).toEqual([200, data.length]);
  expect(length).toBeGreaterThan(0);
});

test('one byte is flipped', async () => {
  const { hub, get, whole } = await prepared();
  hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 300_000, mask: 0x10 });
  const expected = whole.with(300_000, (whole[300_000] ?? 0) ^ 0x10);
  expect(same(await bytesOf(await get()), expected)).toBe(true);
});

test('JSON can be garbage, or far too long', async () => {
  const { hub } = await prepared();
  const get = () => call(hub, '/api/models/me/model/tree/main');
  hub.faults.add({ kind: 'tree', action: 'garbageJson' });
  hub.faults.add({ kind: 'tree', action: 'oversizeJson', bytes: 1_000_000 });
  await expect((await get()).json()).rejects.toThrow();
  const text = await (await get()).text();
  expect(text.length).toBeGreaterThan(1_000_000);
  expect(JSON.parse(text)).toHaveLength(2);
});

test('parts can be missing or out of order', async () => {
  const { hub } = await prepared();
  const found = await reconstruction(hub, 'me/model', 'w.bin');
  const { url } = Object.values(found.xorbs)[0]![0]!;
  const starts = async () => {
    const response = await fetch(url, { headers: { range: 'bytes=0-9,100-109,200-209' } });
    return [...(await response.text()).matchAll(/Content-Range: bytes (\d+)-/g)].map(([, start]) => Number(start));
  };
  expect(await starts()).toEqual([0, 100, 200]);
  hub.faults.add({ kind: 'xorb', action: 'reorderParts' });
  expect(await starts()).toEqual([200, 100, 0]);
  hub.faults.add({ kind: 'xorb', action: 'dropPart', part: 1 });
  expect(await starts()).toEqual([0, 200]);
});

test('delay and latency only take time', async () => {
  const { hub, get } = await prepared();
  hub.faults.add({ kind: 'any', action: 'delay', ms: 5 });
  hub.faults.latencyMs = 1;
  expect((await get()).status).toBe(206);
});

test('connections can be slow', async () => {
  const { hub, get, whole } = await prepared();
  hub.faults.bytesPerSecond = 30_000_000;
  expect(same(await bytesOf(await get()), whole)).toBe(true);
});

test('rules wait, match paths and can be taken back', async () => {
  const { hub } = await prepared();
  const rule: FaultRule = {
    kind: 'resolve',
    action: 'status',
    status: 503,
    after: 1,
    times: 2,
    match: (path) => path.endsWith('a.txt'),
  };
  const handle = hub.faults.add(rule);
  const statuses = async (path: string, count: number) => {
    const all: number[] = [];
    for (let index = 0; index < count; index++) all.push((await call(hub, `/me/model/resolve/main/${path}`)).status);
    return all;
  };
  expect(await statuses('w.bin', 2)).toEqual([302, 302]);
  expect(await statuses('a.txt', 4)).toEqual([307, 503, 503, 307]);
  expect(handle.hits).toBe(2);
  const other = hub.faults.add({ ...rule, after: 0 });
  other.remove();
  hub.faults.add({ ...rule, after: 0 });
  hub.faults.clear();
  expect(await statuses('a.txt', 1)).toEqual([307]);
});

test('closing cuts what hangs', async () => {
  const { hub, get } = await prepared();
  hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 10 });
  const response = await get();
  const rest = received(response);
  await hub.close();
  expect((await rest).broken).toBe(true);
});
