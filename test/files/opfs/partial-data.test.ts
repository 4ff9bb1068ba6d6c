import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { loadCodec } from '../../../src/codec/load.node.ts';
import { chunkSlice, totalLength } from '../../../src/core/chunks.ts';
import type { ByteRange } from '../../../src/core/ranges.ts';
import type { Left } from '../../../src/files/journal.ts';
import { PartialData, type PartialSpec } from '../../../src/files/opfs/partial-data.ts';
import { chunksOf } from '../../support/engines.ts';
import { FakeOpfs, Killed } from '../../support/fake-opfs.ts';
import { holdsAsync, rejectionOf } from '../../support/property.ts';
import { randomBytes } from '../../support/samples.ts';

const content = randomBytes(1_500_000, 3);
const header = new TextEncoder().encode('{"xetkit":1,"etag":"e"}\n');
const spec: PartialSpec = { folders: ['m'], name: 'a', header, size: content.length, resume: true };
const DATA = 'm/a.xetkit.incomplete';
const JOURNAL = 'm/a.xetkit-journal.incomplete';
const NONE = new Uint8Array();

let records: Uint8Array = NONE;
let starts: number[] = [];
beforeAll(async () => {
  await loadCodec();
  ({ records, starts } = await chunksOf(content));
});
afterEach(() => {
  vi.unstubAllGlobals();
});

function fresh(options = {}): FakeOpfs {
  const opfs = new FakeOpfs(options);
  opfs.install();
  return opfs;
}

/** A run of the file's chunks, as it is written. */
function run(first: number, count: number): [at: number, bytes: Uint8Array, chunks: Uint8Array] {
  const end = Math.min(first + count, starts.length - 1);
  return [starts[first] ?? 0, content.subarray(starts[first], starts[end]), chunkSlice(records, first, end)];
}

/** What was left is what it is said to be, and so are its chunks. */
function expectTrue(opfs: FakeOpfs, { held, unchecked }: Left): void {
  let last = 0;
  for (const { start, end, chunks } of held) {
    expect(start).toBeGreaterThanOrEqual(last);
    expect(totalLength(chunks)).toBe(end - start);
    expect(Buffer.compare(opfs.content(DATA)?.subarray(start, end) ?? NONE, content.subarray(start, end))).toBe(0);
    last = end;
  }
  for (const { start, end } of unchecked) expect(end).toBeGreaterThan(start);
}

const place = fc.record({ first: fc.nat(40), count: fc.integer({ min: 1, max: 5 }), plain: fc.nat(4) });

describe('a file on its way', () => {
  test('is what it was after a kill at any byte, and loses no more than what was being written', async () => {
    const plans = fc.tuple(fc.array(place, { maxLength: 12 }), fc.nat(1_200_000), fc.boolean());
    await holdsAsync(150, plans, async ([writes, killAfterBytes, twice]) => {
      const opfs = fresh();
      const done: ByteRange[] = [];
      for (let turn = 0; turn < (twice ? 2 : 1); turn++) {
        const { store, left } = await PartialData.open(spec);
        expectTrue(opfs, left);
        opfs.killAfterBytes = killAfterBytes;
        try {
          for (const { first, count, plain } of writes) {
            if (first >= starts.length - 1) continue;
            const [at, bytes, chunks] = run(first, count);
            // Nothing is fetched that is there.
            if (done.some(({ start, end }) => start < at + bytes.length && at < end)) continue;
            await store.write(at, bytes, plain === 0 ? NONE : chunks);
            done.push({ start: at, end: at + bytes.length });
          }
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
        }
        opfs.revive();
      }
      const { store, left } = await PartialData.open(spec);
      expectTrue(opfs, left);
      const had = [...left.held, ...left.unchecked];
      // All that was written and noted is there, as one or as the other.
      for (const { start, end } of done) {
        for (const at of [start, end - 1]) expect(had.some((part) => part.start <= at && at < part.end)).toBe(true);
      }
      await store.close();
    });
  });

  test('whatever is found in its place, what it says it has is right', async () => {
    const damage = fc.record({
      data: fc.boolean(),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 60 }),
      cut: fc.boolean(),
    });
    await holdsAsync(200, fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
      const opfs = fresh();
      const { store } = await PartialData.open(spec);
      for (const [first, count] of [
        [0, 4],
        [8, 3],
        [12, 5],
      ] as const) {
        await store.write(...run(first, count));
      }
      await store.close();
      for (const { data, at, bytes, cut } of damages) {
        const file = opfs.files().find(([path]) => path === (data ? DATA : JOURNAL))?.[1];
        if (!file) continue;
        const where = Math.floor(at * file.bytes.length);
        file.bytes = cut ? file.bytes.slice(0, where) : file.bytes.slice();
        file.bytes.set(bytes.subarray(0, Math.max(0, file.bytes.length - where)), Math.min(where, file.bytes.length));
      }
      const { store: again, left } = await PartialData.open(spec);
      expectTrue(opfs, left);
      // And it can be written on.
      await again.write(...run(4, 4));
      await again.close();
      const { store: last, left: found } = await PartialData.open(spec);
      expectTrue(opfs, found);
      const [at, bytes] = run(4, 4);
      expect(found.held.some(({ start, end }) => (start <= at && at + bytes.length <= end) || start === at)).toBe(true);
      await last.close();
    });
  });

  test('is of no use for another file, or when it is to begin anew', async () => {
    const opfs = fresh();
    const { store } = await PartialData.open(spec);
    await store.write(...run(0, 5));
    await store.close();
    expect(opfs.paths).toEqual([JOURNAL, DATA].sort());
    const same = await PartialData.open(spec);
    expect(same.left.held).toHaveLength(1);
    await same.store.close();
    const other = await PartialData.open({ ...spec, header: new TextEncoder().encode('{"xetkit":1,"etag":"f"}\n') });
    expect(other.left).toEqual({ held: [], unchecked: [] });
    await other.store.close();
    expect(opfs.paths).toEqual([]);
    const begun = await PartialData.open(spec);
    await begun.store.write(...run(0, 5));
    await begun.store.close();
    expect((await PartialData.open({ ...spec, resume: false })).left.held).toEqual([]);
  });

  test('is whole when it is finished, and nothing is left of one that is begun and given up', async () => {
    const opfs = fresh();
    const { store } = await PartialData.open(spec);
    await store.write(...run(0, 1000));
    expect(Buffer.compare(await store.read({ start: 100, end: 2000 }), content.subarray(100, 2000))).toBe(0);
    await store.finish();
    await store.close();
    expect(Buffer.compare(opfs.content(DATA) ?? NONE, content)).toBe(0);
    const again = await PartialData.open({ ...spec, name: 'b' });
    await again.store.write(...run(0, 5));
    await again.store.restart();
    await again.store.close();
    expect(opfs.paths.filter((path) => path.includes('/b'))).toEqual([]);
  });

  test('is refused at once where there is no room for the whole, and keeps what it has', async () => {
    const opfs = fresh({ quotaBytes: 1_000_000 });
    expect(await rejectionOf(PartialData.open(spec))).toMatchObject({ name: 'QuotaExceededError' });
    expect(opfs.paths).toEqual([]);
    const larger = fresh({ quotaBytes: 1_600_000 });
    const { store } = await PartialData.open(spec);
    await store.write(...run(0, 5));
    await store.close();
    const filler = await larger.root.getFileHandle('filler', { create: true });
    filler.bytes = new Uint8Array(900_000);
    expect(await rejectionOf(PartialData.open(spec))).toMatchObject({ name: 'QuotaExceededError' });
    filler.bytes = NONE;
    expect((await PartialData.open(spec)).left.held).toHaveLength(1);
  });

  test('a handle of a page that is going is waited for', async () => {
    const opfs = fresh();
    const { store } = await PartialData.open(spec);
    let isGone = false;
    setTimeout(() => {
      isGone = true;
      void store.close();
    }, 120);
    const { store: next } = await PartialData.open(spec);
    expect(isGone).toBe(true);
    await next.close();
    expect(opfs.paths).toEqual([]);
  });
});
