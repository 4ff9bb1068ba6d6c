import { expect, test } from 'vitest';
import { type BlobSource, LazyBlob } from '../../src/compat/lazy-blob.ts';
import { XetError } from '../../src/core/errors.ts';
import type { XetFile } from '../../src/read/xet-file.ts';
import { randomBytes } from '../support/samples.ts';
import { sourceClient, sourceHub } from '../support/source.ts';
import { all } from './calls.ts';

const bytes = new Uint8Array(randomBytes(5000, 1));
const crash = new XetError('CODEC_CRASHED', 'It crashed.');

/** A file that is there, and how often it is held. */
async function sourceOf(given: Partial<BlobSource> = {}) {
  const hub = await sourceHub();
  await hub.commitFiles('owner/model', { 'a.bin': bytes });
  const file = await sourceClient(hub).open({ repo: 'owner/model', path: 'a.bin' });
  let held = 0;
  const open = () => {
    held++;
    return { file, release: () => void held-- };
  };
  const source: BlobSource = { size: 5000, signal: undefined, open, ...given };
  return { blob: new LazyBlob(source), held: () => held };
}

/** A file that gives some bytes and then fails. */
function failing(after: number): BlobSource['open'] {
  const part = (start: number) => ({
    stream: () =>
      new ReadableStream<Uint8Array>(
        {
          start: (controller) => controller.enqueue(bytes.subarray(start, start + after)),
          pull: (controller) => controller.error(crash),
        },
        { highWaterMark: 0 },
      ),
    arrayBuffer: () => Promise.reject(crash),
  });
  const file = { slice: part } as unknown as XetFile;
  return () => ({ file, release: () => undefined });
}

test('it reads like any Blob, whole and in slices, and holds nothing afterwards', async () => {
  const { blob, held } = await sourceOf();
  const real = new Blob([bytes]);
  const reads: ((one: Blob) => Promise<unknown> | unknown)[] = [
    (one) => one.arrayBuffer(),
    (one) => one.slice().arrayBuffer(),
    (one) => one.slice(-10).arrayBuffer(),
    (one) => one.slice(100, -100).slice(-50, -20).arrayBuffer(),
    (one) => one.slice(300, 100).text(),
    (one) => one.slice(0, 10, 'text/Ü').type,
    (one) => one.slice(0, 10, 'TEXT/plain').type,
    (one) => all(one.slice(10, 30).stream()).then((parts) => Buffer.concat(parts).toString('hex')),
    (one) => one.slice(0, 100).text(),
    (one) => Object.prototype.toString.call(one),
  ];
  for (const read of reads) expect(await read(blob)).toEqual(await read(real));
  expect(Buffer.compare(Buffer.from(await blob.bytes()), Buffer.from(bytes))).toBe(0);
  expect(blob).toBeInstanceOf(Blob);
  expect(held()).toBe(0);
});

test('what reads it behind its methods is told so', async () => {
  const { blob } = await sourceOf();
  expect(() => new Blob([blob])).toThrow(/arrayBuffer\(\)/);
  expect(() => String(blob)).toThrow(XetError);
  expect(() => URL.createObjectURL(blob)).toThrow();
});

test('a stream that is left is given back at once', async () => {
  const { blob, held } = await sourceOf();
  const reader = blob.stream().getReader();
  expect((await reader.read()).done).toBe(false);
  expect(held()).toBe(1);
  await reader.cancel();
  expect(held()).toBe(0);
});

test('an abort ends reading with its reason', async () => {
  const reason = new Error('enough');
  const { blob } = await sourceOf({ signal: AbortSignal.abort(reason) });
  await expect(blob.arrayBuffer()).rejects.toBe(reason);
  await expect(all(blob.stream())).rejects.toBe(reason);
});

test('a read that fails gives no bytes of another origin', async () => {
  const { blob } = await sourceOf({ open: failing(700) });
  await expect(blob.text()).rejects.toBe(crash);
  await expect(all(blob.stream())).rejects.toBe(crash);
});
