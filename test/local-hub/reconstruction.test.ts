import { expect, test } from 'vitest';
import { reconstruct } from '../../src/local-hub/cas/reconstruct.ts';
import type { FileRecord } from '../../src/local-hub/store/file-store.ts';
import { StoredXorbIndex } from '../../src/local-hub/store/xorb-index.ts';
import { assemble, call, casToken, fileHashOf, noise, reconstruction, same, testHub } from './helpers.ts';

const data = noise(9, 2_000_000);

/** A xorb of chunks with these lengths, each stored in a frame as long as it and its header. */
function xorb(hash: string, lengths: number[]): StoredXorbIndex {
  const chunks = new Uint8Array(lengths.length * 36);
  const numbers = new DataView(chunks.buffer);
  let end = 0;
  const ends = lengths.map((length, index) => {
    numbers.setUint32(index * 36 + 32, length, true);
    end += length + 8;
    return end;
  });
  return new StoredXorbIndex(hash, chunks, Uint32Array.from(ends));
}

function fileOf(xorbs: StoredXorbIndex[], runs: [number, number, number][]): FileRecord {
  const terms = runs.map(([which, start, end]) => {
    const index = xorbs[which]!;
    const chunks = { start, end };
    return { xorb: index.hash, chunks, unpackedLength: index.unpackedLength(chunks), verification: '' };
  });
  return { hash: '', size: terms.reduce((sum, { unpackedLength }) => sum + unpackedLength, 0), terms };
}

const a = xorb('a', [10, 20, 30, 40]);
const b = xorb('b', [5, 5, 5]);
const indexes = new Map([a, b].map((index) => [index.hash, index]));
const file = fileOf(
  [a, b],
  [
    [0, 0, 2],
    [1, 0, 3],
    [0, 2, 4],
    [0, 1, 3],
  ],
);

test('a whole file has all terms, and each xorb range once', () => {
  const found = reconstruct(file, indexes, { start: 0, end: file.size }, true);
  expect(found.offsetIntoFirstRange).toBe(0);
  expect(found.terms.map(({ unpackedLength }) => unpackedLength)).toEqual([30, 15, 70, 50]);
  expect(found.fetches.get('a')).toEqual([{ chunks: { start: 0, end: 4 }, bytes: { start: 0, end: 132 } }]);
  expect(found.fetches.get('b')).toEqual([{ chunks: { start: 0, end: 3 }, bytes: { start: 0, end: 39 } }]);
});

test('ranges that only touch stay apart when asked to, ranges that overlap never do', () => {
  const touching = fileOf(
    [a, b],
    [
      [0, 0, 2],
      [1, 0, 3],
      [0, 2, 4],
    ],
  );
  const whole = { start: 0, end: touching.size };
  expect(reconstruct(touching, indexes, whole, false).fetches.get('a')).toHaveLength(2);
  expect(reconstruct(touching, indexes, whole, true).fetches.get('a')).toHaveLength(1);
  expect(reconstruct(file, indexes, { start: 0, end: file.size }, false).fetches.get('a')).toEqual([
    { chunks: { start: 0, end: 4 }, bytes: { start: 0, end: 132 } },
  ]);
});

test.each([
  [0, 1, 0, [['a', 0, 1]]],
  [9, 11, 9, [['a', 0, 2]]],
  [10, 30, 0, [['a', 1, 2]]],
  [
    29,
    31,
    19,
    [
      ['a', 1, 2],
      ['b', 0, 1],
    ],
  ],
  [
    44,
    46,
    4,
    [
      ['b', 2, 3],
      ['a', 2, 3],
    ],
  ],
  [75, 115, 0, [['a', 3, 4]]],
  [164, 165, 29, [['a', 2, 3]]],
] as const)('bytes %i to %i begin %i into their first chunk', (start, end, offset, terms) => {
  const found = reconstruct(file, indexes, { start, end }, true);
  expect(found.offsetIntoFirstRange).toBe(offset);
  expect(found.terms.map(({ xorb: name, chunks }) => [name, chunks.start, chunks.end])).toEqual(terms);
});

test('every range of a file can be put together', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': data }, { chunksPerXorb: 5 });
  for (const [start, end] of [
    [0, 1],
    [1_000_000, 1_000_001],
    [123_456, 1_876_543],
    [1_999_999, 2_000_000],
    [0, 2_000_000],
  ]) {
    const found = await reconstruction(hub, 'me/model', 'w.bin', `bytes=${start}-${end! - 1}`);
    expect(same((await assemble(found)).subarray(0, end! - start!), data.subarray(start, end))).toBe(true);
  }
  const beyond = await reconstruction(hub, 'me/model', 'w.bin', 'bytes=1990000-99999999');
  expect(same(await assemble(beyond), data.subarray(1_990_000))).toBe(true);
});

test('v1 says the same in its own shape', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': data });
  const hash = await fileHashOf(hub, 'me/model', 'w.bin');
  const headers = await casToken(hub, 'me/model');
  const v2 = await reconstruction(hub, 'me/model', 'w.bin');
  const v1 = (await (await call(hub, `/cas/v1/reconstructions/${hash}`, { headers })).json()) as {
    terms: unknown;
    fetch_info: Record<string, { url: string; range: unknown; url_range: { start: number; end: number } }[]>;
  };
  expect(v1.terms).toEqual(v2.terms);
  for (const [xorbHash, entries] of Object.entries(v2.xorbs)) {
    const ranges = entries.flatMap((entry) => entry.ranges);
    const infos = v1.fetch_info[xorbHash] ?? [];
    expect(infos.map(({ range, url_range }) => ({ chunks: range, bytes: url_range }))).toEqual(ranges);
    for (const {
      url,
      url_range: { start, end },
    } of infos) {
      expect((await fetch(url, { headers: { range: `bytes=${start}-${end}` } })).status).toBe(206);
    }
  }
  const batch = await call(hub, `/cas/v1/reconstructions?file_id=${hash}`, { headers });
  expect(await batch.json()).toMatchObject({ files: { [hash]: v2.terms } });
});

test('what is unknown, out of range or not offered is an error', async () => {
  const hub = await testHub({ reconstructionVersions: [1] });
  await hub.commitFiles('me/model', { 'w.bin': data });
  const hash = await fileHashOf(hub, 'me/model', 'w.bin');
  const headers = await casToken(hub, 'me/model');
  const status = async (path: string, range?: string) =>
    (await call(hub, `/cas/${path}`, { headers: { ...headers, ...(range && { range }) } })).status;
  expect(await status(`v1/reconstructions/${hash}`, 'bytes=2000000-2000001')).toBe(416);
  expect(await status(`v1/reconstructions/${'1'.repeat(64)}`)).toBe(404);
  expect(await status('v1/reconstructions/nothash')).toBe(400);
  expect(await status(`v2/reconstructions/${hash}`)).toBe(404);
});

test('one address covers as many ranges as it may', async () => {
  const hub = await testHub({ maxRangesPerUrl: 2, mergeRanges: false });
  const codecData = noise(10, 3_000_000);
  await hub.commitFiles('me/model', { 'w.bin': codecData });
  // The same content with gaps: terms that skip chunks of the first xorb.
  const holes = Buffer.concat(
    [0, 1, 2, 3, 4].map((part) => codecData.subarray(part * 600_000, part * 600_000 + 400_000)),
  );
  await hub.commitFiles('me/model', { 'holes.bin': holes });
  const found = await reconstruction(hub, 'me/model', 'holes.bin');
  const entries = Object.values(found.xorbs).flat();
  expect(Math.max(...entries.map(({ ranges }) => ranges.length))).toBe(2);
  expect(same(await assemble(found), holes)).toBe(true);
});
