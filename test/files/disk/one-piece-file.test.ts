import { readdir, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { Verified } from '../../../src/core/content-hash.ts';
import { OnePieceFile } from '../../../src/files/disk/one-piece-file.node.ts';
import { scratch } from '../../support/hub.ts';
import { randomBytes } from '../../support/samples.ts';

const CONTENT = randomBytes(100_000, 21);
const NO_CHUNKS = new Uint8Array();
const VERIFIED: Verified = 'xet';

async function place(): Promise<{ stem: string; target: string; publish: (finished: string) => Promise<string> }> {
  const folder = await scratch();
  const target = join(folder, 'target');
  const publish = async (finished: string) => {
    await rename(finished, target);
    return target;
  };
  return { stem: join(folder, 'unfinished', 'file'), target, publish };
}

const waiting = (onWait = () => {}) => ({ signal: new AbortController().signal, onWait });

test('is there as a whole, and nothing else is', async () => {
  const { stem, target, publish } = await place();
  const file = await OnePieceFile.open(stem, CONTENT.length, waiting(), publish);
  await file.write(60_000, CONTENT.subarray(60_000), NO_CHUNKS);
  await file.write(0, CONTENT.subarray(0, 60_000), NO_CHUNKS);
  const read = await buffer(file.read({ start: 50_000, end: 70_000 }));
  expect(Buffer.compare(read, CONTENT.subarray(50_000, 70_000))).toBe(0);
  await file.publish(VERIFIED);
  await file.close();
  expect(Buffer.compare(await readFile(target), CONTENT)).toBe(0);
  expect(await readdir(dirname(stem))).toEqual([]);
});

test('what is not finished leaves nothing', async () => {
  const { stem, publish } = await place();
  const file = await OnePieceFile.open(stem, CONTENT.length, waiting(), publish);
  await file.write(0, CONTENT, NO_CHUNKS);
  await file.close();
  expect(await readdir(dirname(stem))).toEqual([]);
});

test('a longer try before the right one does not show', async () => {
  const { stem, target, publish } = await place();
  const file = await OnePieceFile.open(stem, 10, waiting(), publish);
  await file.write(0, CONTENT, NO_CHUNKS);
  await file.restart();
  await file.write(0, CONTENT.subarray(0, 20), NO_CHUNKS);
  await file.publish(VERIFIED);
  await file.close();
  expect(Buffer.compare(await readFile(target), CONTENT.subarray(0, 10))).toBe(0);
});

test('two that want the same take turns, and one that is stopped does not wait', async () => {
  const { stem, publish } = await place();
  const first = await OnePieceFile.open(stem, CONTENT.length, waiting(), publish);
  const stop = new AbortController();
  const stopped = OnePieceFile.open(stem, CONTENT.length, { ...waiting(), signal: stop.signal }, publish);
  let waits = 0;
  let opened = false;
  const second = OnePieceFile.open(
    stem,
    CONTENT.length,
    waiting(() => void waits++),
    publish,
  ).then((file) => {
    opened = true;
    return file;
  });
  stop.abort(new Error('enough'));
  await expect(stopped).rejects.toThrow('enough');
  expect([waits, opened]).toEqual([1, false]);
  await first.close();
  await (await second).close();
});
