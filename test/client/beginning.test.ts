import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { clientOf, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { text } from '../support/samples.ts';

// The beginning of a file that is not in a CAS comes with the answer about it, where its content is wanted.

const repo = 'owner/model';
const path = 'config.json';

async function hubWith(size: number) {
  const hub = await hubFor();
  const bytes = text(size, 3);
  await hub.commitFiles(repo, { [path]: bytes, 'other.json': text(100, 4) }, { xet: 'never' });
  hub.resetRequests();
  const ranges = () => seen(hub, 'resolve-cache').map(({ range }) => range);
  return { hub, bytes, ranges };
}

describe.each([
  [1, ['bytes=0-65535']],
  [65_536, ['bytes=0-65535']],
  [65_537, ['bytes=0-65535', 'bytes=65536-65536']],
  [300_000, ['bytes=0-65535', 'bytes=65536-299999']],
])('a file of %i bytes', (size, expected) => {
  test('is fetched by as few requests as it takes', async () => {
    const { hub, bytes, ranges } = await hubWith(size);
    const localDir = await scratch();
    const result = await clientOf(hub).downloadFile({ repo, path, localDir });
    expect(sha256(await readFile(join(localDir, path)))).toBe(sha256(bytes));
    expect(result.bytes).toMatchObject({ network: size, local: 0 });
    expect(ranges()).toEqual(expected);
  });

  test('is read by as few requests as it takes', async () => {
    const { hub, bytes, ranges } = await hubWith(size);
    const file = await clientOf(hub).open({ repo, path });
    expect(sha256(await file.arrayBuffer())).toBe(sha256(bytes));
    expect(ranges()).toEqual(expected);
    // What was handed out is the reader's, whatever he does with it.
    new Uint8Array(await file.slice(0, 10).arrayBuffer()).fill(0);
    expect(sha256(await file.slice(0, 10).arrayBuffer())).toBe(sha256(bytes.subarray(0, 10)));
  });
});

test('a repository that is here is only asked whether it has changed', async () => {
  const { hub, ranges } = await hubWith(5000);
  const localDir = await scratch();
  await clientOf(hub).downloadFile({ repo, path, localDir });
  hub.resetRequests();
  const again = await clientOf(hub).downloadFile({ repo, path, localDir });
  expect(again.bytes).toMatchObject({ network: 0, local: 5000 });
  expect(ranges()).toEqual(['bytes=0-0']);
});

test('nobody who asks about a file is given it', async () => {
  const { hub, ranges } = await hubWith(5000);
  expect(await clientOf(hub).fileInfo({ repo, path })).not.toHaveProperty('beginning');
  expect(ranges()).toEqual(['bytes=0-0']);
});
