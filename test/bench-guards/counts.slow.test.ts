import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { loadCodec } from 'xetkit/codec';
import { clientOf, hubFor, scratch, sha256 } from '../support/hub.ts';
import { randomBytes, weights } from '../support/samples.ts';

// What speed rests on, in counts that are the same on every machine. Times are measured by `npm run bench`.

const repo = 'owner/model';

function countsOf(requests: readonly { kind: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of requests) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

test('a file of one xorb costs four requests, and one when it is there', async () => {
  const hub = await hubFor();
  const model = weights(24, 1);
  await hub.commitFiles(repo, { 'model.safetensors': model });
  const client = clientOf(hub, { cacheDir: await scratch() });
  const download = () => client.downloadFile({ repo, path: 'model.safetensors' });
  hub.resetRequests();
  const { localPath: path } = await download();
  expect(sha256(await readFile(path))).toBe(sha256(model));
  expect(countsOf(hub.requests)).toEqual({ resolve: 1, token: 1, reconstruction: 1, xorb: 1 });
  hub.resetRequests();
  await download();
  expect(countsOf(hub.requests)).toEqual({ resolve: 1 });
});

test('a snapshot of small files costs a request a file and one for 64 of them, and one in all when it is there', async () => {
  const hub = await hubFor();
  const files = Object.fromEntries(
    Array.from({ length: 70 }, (_, index) => [`part/${index}.bin`, randomBytes(20_000, index + 1)]),
  );
  await hub.commitFiles(repo, files);
  const client = clientOf(hub, { cacheDir: await scratch() });
  hub.resetRequests();
  await client.snapshot({ repo });
  const { xorb = 0, reconstruction = 0, ...others } = countsOf(hub.requests);
  expect([xorb, reconstruction]).toEqual([70, 2]);
  expect(Object.values(others).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(4);
  hub.resetRequests();
  await client.snapshot({ repo });
  expect(hub.requests).toHaveLength(1);
});

test('large files take few messages a megabyte, and stay under the budget', async () => {
  const hub = await hubFor();
  const model = weights(48, 2);
  await hub.commitFiles(repo, { 'model.safetensors': model });
  const client = clientOf(hub, { memoryBudget: 32 << 20, workers: 1 });
  await client.downloadFile({ repo, path: 'model.safetensors', localDir: await scratch() });
  const { codec, memory } = client.metrics();
  // Half a MiB a run, but for the first ones of each connection.
  expect((codec.inWorkers + codec.onThread) / (model.length / 1e6)).toBeLessThan(3);
  expect(memory.peakBytes).toBeLessThanOrEqual(memory.limitBytes);
});

test('a run for a file is decoded into the memory that its frames came in', async () => {
  const codec = await loadCodec();
  const data = randomBytes(300_000, 3);
  const chunker = codec.chunker();
  const records = chunker.push(data, true);
  chunker.free();
  const { body } = codec.serializeXorb(data, records, Uint32Array.of(0), 'auto');
  const room = new Uint8Array(400_000).subarray(0, body.length);
  room.set(body);
  const run = codec.decodeRunInPlace(room);
  expect(run.data.buffer).toBe(room.buffer);
  expect([Buffer.compare(run.data, data), run.chunks]).toEqual([0, records]);
  // Where there is no room, it has memory of its own.
  const zeros = new Uint8Array(300_000);
  const packed = codec.serializeXorb(zeros, recordsOf(zeros), Uint32Array.of(0), 'lz4').body.slice();
  const own = codec.decodeRunInPlace(packed);
  expect(own.data.buffer).not.toBe(packed.buffer);
  expect(Buffer.compare(own.data, zeros)).toBe(0);

  function recordsOf(bytes: Uint8Array) {
    const cutter = codec.chunker();
    const cut = cutter.push(bytes, true);
    cutter.free();
    return cut;
  }
});
