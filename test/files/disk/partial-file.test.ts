import { copyFile, mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkSlice, totalLength } from '../../../src/core/chunks.ts';
import { PartialFile, type PartialIdentity } from '../../../src/files/disk/partial-file.node.ts';
import type { HeldPart } from '../../../src/files/place.ts';
import { ownMark } from '../../../src/fs/process-mark.node.ts';
import { chunksOf, draw } from '../../support/engines.ts';
import { filesUnder, scratch } from '../../support/hub.ts';
import { rejectionOf } from '../../support/property.ts';
import { randomBytes } from '../../support/samples.ts';

const SIZE = 1_500_000;
const truth = randomBytes(SIZE, 1);
const identity: PartialIdentity = { etag: 'a'.repeat(64), size: SIZE, xetHash: 'b'.repeat(64) };
const NONE = new Uint8Array();

let records: ChunkRecords;
let starts: number[];
beforeAll(async () => {
  ({ records, starts } = await chunksOf(truth));
});

/** A run of the file's chunks: what is written at once. */
interface Run {
  at: number;
  bytes: Uint8Array;
  chunks: ChunkRecords;
}

function runOf(first: number, end: number): Run {
  const at = starts[first] ?? 0;
  return { at, bytes: truth.subarray(at, starts[end]), chunks: chunkSlice(records, first, end) };
}

/** The file in runs, in a random order. */
function shuffledRuns(seed: number): Run[] {
  const random = draw(seed);
  const runs: Run[] = [];
  for (let at = 0; at < starts.length - 1; ) {
    const end = Math.min(starts.length - 1, at + 1 + random(4));
    runs.push(runOf(at, end));
    at = end;
  }
  for (let at = runs.length - 1; at > 0; at--) {
    const other = random(at + 1);
    [runs[at], runs[other]] = [runs[other]!, runs[at]!];
  }
  return runs;
}

interface OpenOptions {
  resume?: boolean;
  of?: Partial<PartialIdentity>;
  signal?: AbortSignal;
  publish?: (finished: string) => Promise<string>;
}

const openAt = (folder: string, options: OpenOptions = {}) =>
  PartialFile.open(
    join(folder, 'blob'),
    { ...identity, ...options.of },
    { signal: options.signal ?? new AbortController().signal, onWait: () => undefined, resume: options.resume ?? true },
    options.publish ?? (async (finished) => finished),
  );

const dataIn = (folder: string) => join(folder, 'blob.xetkit.incomplete');
const journalIn = (folder: string) => join(folder, 'blob.xetkit-journal.incomplete');

async function readAll(file: PartialFile, start: number, end: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const bytes of file.read({ start, end })) parts.push(bytes);
  return Buffer.concat(parts);
}

/** Fails if something is said to be held that is not the file's, byte by byte and chunk by chunk. */
async function expectRight(file: PartialFile): Promise<void> {
  let at = 0;
  for (const { start, end, chunks } of file.held) {
    expect(start).toBeGreaterThanOrEqual(at);
    expect(end).toBeGreaterThan(start);
    expect(end).toBeLessThanOrEqual(SIZE);
    at = end;
    expect((await readAll(file, start, end)).equals(truth.subarray(start, end)), `${start}–${end}`).toBe(true);
    expect(totalLength(chunks)).toBe(end - start);
    const first = starts.indexOf(start);
    expect(first).toBeGreaterThanOrEqual(0);
    const expected = chunkSlice(records, first, first + chunks.length / CHUNK_RECORD_BYTES);
    expect(Buffer.from(chunks).equals(expected)).toBe(true);
  }
}

const heldBytes = (parts: readonly { start: number; end: number }[]) =>
  parts.reduce((sum, { start, end }) => sum + end - start, 0);

/** What is held, joined where parts touch. */
function joined(parts: readonly HeldPart[]): [number, number][] {
  const all: [number, number][] = [];
  for (const { start, end } of parts) {
    const last = all.at(-1);
    if (last?.[1] === start) last[1] = end;
    else all.push([start, end]);
  }
  return all;
}

/** What a process that is killed now leaves to the next. */
async function afterCrash(folder: string, journalFirst = true): Promise<string> {
  const other = await scratch();
  const files = [journalIn(folder), dataIn(folder)];
  for (const path of journalFirst ? files : files.reverse()) await copyFile(path, join(other, basename(path)));
  return other;
}

async function flip(path: string, at: number, mask: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ mask;
  await writeFile(path, bytes);
}

test('a file that comes as it should is never cut: some file systems then write all of it to the disk at once', async () => {
  const folder = await scratch();
  const probe = await open(join(folder, 'probe'), 'w');
  const cut = vi.spyOn(Object.getPrototypeOf(probe), 'truncate');
  onTestFinished(() => cut.mockRestore());
  await probe.close();
  const file = await openAt(folder);
  for (const { at, bytes, chunks } of shuffledRuns(5)) await file.write(at, bytes, chunks);
  await file.publish('xet');
  await file.close();
  expect(cut).not.toHaveBeenCalled();
});

describe('what was written, in whatever order', () => {
  test.each([1, 2, 3])('is held by the next who opens it (%i)', async (seed) => {
    const folder = await scratch();
    const runs = shuffledRuns(seed);
    const some = runs.slice(0, Math.ceil(runs.length / 2));
    const file = await openAt(folder);
    expect([file.held, file.unchecked]).toEqual([[], []]);
    for (const { at, bytes, chunks } of some) await file.write(at, bytes, chunks);
    await file.close();

    const again = await openAt(folder);
    await expectRight(again);
    expect(heldBytes(again.held)).toBe(some.reduce((sum, { bytes }) => sum + bytes.length, 0));
    for (const { at, bytes, chunks } of runs.slice(some.length)) await again.write(at, bytes, chunks);
    await again.close();

    const whole = await openAt(folder);
    await expectRight(whole);
    expect(joined(whole.held)).toEqual([[0, SIZE]]);
    await whole.close();
  });

  test('may be written at once', async () => {
    const folder = await scratch();
    const file = await openAt(folder);
    const runs = shuffledRuns(4);
    await Promise.all(runs.map(({ at, bytes, chunks }) => file.write(at, bytes, chunks)));
    await file.close();
    const again = await openAt(folder);
    await expectRight(again);
    expect(joined(again.held)).toEqual([[0, SIZE]]);
    await again.close();
  });

  test('may be written again: the last is what counts', async () => {
    const folder = await scratch();
    const file = await openAt(folder);
    const wrong = runOf(2, 6);
    await file.write(wrong.at, randomBytes(wrong.bytes.length, 9), NONE);
    await file.write(wrong.at, wrong.bytes, wrong.chunks);
    const other = runOf(4, 9);
    await file.write(other.at, other.bytes, other.chunks);
    await file.close();
    const again = await openAt(folder);
    await expectRight(again);
    expect(joined(again.held)).toContainEqual([other.at, other.at + other.bytes.length]);
    await again.close();
  });

  test('without its chunks is there, and not held', async () => {
    const folder = await scratch();
    const file = await openAt(folder);
    await file.write(700_001, truth.subarray(700_001, 900_000), NONE);
    await file.write(10, truth.subarray(10, 500), NONE);
    const known = runOf(2, 5);
    await file.write(known.at, known.bytes, known.chunks);
    await file.close();
    const again = await openAt(folder);
    await expectRight(again);
    expect(heldBytes(again.held)).toBe(known.bytes.length);
    expect(again.unchecked).toEqual([
      { start: 10, end: 500 },
      { start: 700_001, end: 900_000 },
    ]);
    expect((await readAll(again, 10, 500)).equals(truth.subarray(10, 500))).toBe(true);
    await again.close();
  });

  test('can be read while it is open, and nothing of an empty range', async () => {
    const folder = await scratch();
    const file = await openAt(folder);
    const run = runOf(3, 8);
    await file.write(run.at, run.bytes, run.chunks);
    expect((await readAll(file, run.at, run.at + run.bytes.length)).equals(run.bytes)).toBe(true);
    expect(await readAll(file, run.at, run.at)).toHaveLength(0);
    await file.close();
  });

  test('is kept through any number of tries', async () => {
    const folder = await scratch();
    const runs = shuffledRuns(5);
    let written = 0;
    for (const { at, bytes, chunks } of runs.slice(0, 8)) {
      const file = await openAt(folder);
      await expectRight(file);
      expect(heldBytes(file.held)).toBe(written);
      await file.write(at, bytes, chunks);
      written += bytes.length;
      await file.close();
    }
  });
});

describe('a process that is killed', () => {
  test.each([1, 2, 3, 4])('at any moment leaves what it had noted, and nothing wrong (%i)', async (seed) => {
    const random = draw(seed + 100);
    const folder = await scratch();
    const file = await openAt(folder);
    const writing: Promise<void>[] = [];
    let noted = 0;
    for (const { at, bytes, chunks } of shuffledRuns(seed + 10)) {
      const known = random(4) > 0;
      const done = file.write(at, bytes, known ? chunks : NONE);
      writing.push(
        done.then(() => {
          if (known) noted += bytes.length;
        }),
      );
      if (random(3) === 0) await Promise.all(writing);
      if (random(4) > 0) continue;
      const before = noted;
      const left = await afterCrash(folder, random(4) > 0);
      const next = await openAt(left);
      await expectRight(next);
      // What was noted before the copy began is in it.
      expect(heldBytes(next.held)).toBeGreaterThanOrEqual(before);
      await next.close();
    }
    await Promise.all(writing);
    await file.close();
  });

  test.each([1, 2, 3, 4])('and a disk that loses or spoils some of it cost no more than that (%i)', async (seed) => {
    const random = draw(seed + 200);
    const folder = await scratch();
    const file = await openAt(folder);
    const runs = shuffledRuns(seed + 20);
    for (const [index, { at, bytes, chunks }] of runs.entries()) {
      await file.write(at, bytes, index % 5 === 0 ? NONE : chunks);
    }
    const known = runs.filter((_, index) => index % 5 > 0).reduce((sum, { bytes }) => sum + bytes.length, 0);
    const journalBytes = (await stat(journalIn(folder))).size;
    for (let round = 0; round < 8; round++) {
      const left = await afterCrash(folder);
      const damage = random(5);
      if (damage === 0) await truncate(journalIn(left), random(journalBytes));
      if (damage === 1) await flip(journalIn(left), random(journalBytes), 1 << random(8));
      if (damage === 2) await flip(dataIn(left), random(SIZE), 1 << random(8));
      if (damage === 3) await truncate(dataIn(left), random(SIZE));
      if (damage === 4) await flip(journalIn(left), 200 + random(journalBytes - 200), 0xff);
      const next = await openAt(left);
      await expectRight(next);
      if (damage === 2) expect(heldBytes(next.held)).toBeGreaterThanOrEqual(known - 128 * 1024);
      for (const { start, end } of next.unchecked) {
        expect(start).toBeLessThan(end);
        expect(end).toBeLessThanOrEqual(SIZE);
      }
      // It can be gone on with.
      const run = runOf(0, 3);
      await next.write(run.at, run.bytes, run.chunks);
      await next.close();
      const after = await openAt(left);
      await expectRight(after);
      expect(after.held[0]?.start).toBe(0);
      await after.close();
    }
    await file.close();
  });

  test('before the first word of the journal loses everything and nothing else', async () => {
    for (const content of ['', '{', '{"xetkit":3', '\0\0\0\0', 'null\n']) {
      const folder = await scratch();
      await writeFile(dataIn(folder), truth);
      await writeFile(journalIn(folder), content);
      const file = await openAt(folder);
      expect([file.held, file.unchecked]).toEqual([[], []]);
      await file.close();
      expect(await filesUnder(folder)).toEqual([]);
    }
  });

  test('leaves no lock that would have to be waited for', async () => {
    const folder = await scratch();
    // No process has this number: they are smaller.
    await writeFile(
      join(folder, 'blob.xetkit-lock.incomplete'),
      JSON.stringify({ ...(await ownMark()), pid: 2 ** 30, nonce: 'x' }),
    );
    const file = await openAt(folder);
    await file.close();
    expect(await filesUnder(folder)).toEqual([]);
  });
});

describe('what is of another file, or not wanted', () => {
  async function leftBehind(): Promise<string> {
    const folder = await scratch();
    const file = await openAt(folder);
    for (const { at, bytes, chunks } of shuffledRuns(6).slice(0, 6)) await file.write(at, bytes, chunks);
    await file.close();
    return folder;
  }

  test.each<[string, OpenOptions]>([
    ['another tag', { of: { etag: 'c'.repeat(64) } }],
    ['another size', { of: { size: SIZE + 1 } }],
    ['another hash', { of: { xetHash: 'c'.repeat(64) } }],
    ['no hash', { of: { xetHash: undefined } }],
    ['a new start', { resume: false }],
  ])('is gone: %s', async (_what, options) => {
    const folder = await leftBehind();
    const file = await openAt(folder, options);
    expect([file.held, file.unchecked]).toEqual([[], []]);
    expect((await stat(dataIn(folder))).size).toBe(0);
    // Also for a process that is killed right now and whoever comes after it.
    const left = await afterCrash(folder);
    const next = await openAt(left, { ...options, resume: true });
    expect([next.held, next.unchecked]).toEqual([[], []]);
    await next.close();
    await file.close();
    expect(await filesUnder(folder)).toEqual([]);
  });

  test('is forgotten by a new start in the middle, which can be written to', async () => {
    const folder = await leftBehind();
    const file = await openAt(folder);
    expect(file.held.length).toBeGreaterThan(0);
    await file.write(SIZE - 10, truth.subarray(SIZE - 10), NONE);
    await file.restart();
    expect([file.held, file.unchecked]).toEqual([[], []]);
    const left = await openAt(await afterCrash(folder));
    expect([left.held, left.unchecked]).toEqual([[], []]);
    await left.close();
    const run = runOf(4, 7);
    await file.write(run.at, run.bytes, run.chunks);
    await file.close();
    const again = await openAt(folder);
    await expectRight(again);
    expect(joined(again.held)).toEqual([[run.at, run.at + run.bytes.length]]);
    await again.close();
  });

  test('is removed if a new start was the last that happened', async () => {
    const folder = await leftBehind();
    const file = await openAt(folder);
    await file.restart();
    await file.close();
    expect(await filesUnder(folder)).toEqual([]);
  });

  test('is not removed while somebody only looked at it', async () => {
    const folder = await leftBehind();
    const before = await filesUnder(folder);
    await (await openAt(folder)).close();
    expect(await filesUnder(folder)).toEqual(before);
    const again = await openAt(folder);
    expect(again.held.length).toBeGreaterThan(0);
    await again.close();
  });

  test('is removed if all that is left of it is wrong', async () => {
    const folder = await leftBehind();
    await writeFile(dataIn(folder), randomBytes(SIZE, 77));
    await (await openAt(folder)).close();
    expect(await filesUnder(folder)).toEqual([]);
  });
});

describe('a finished file', () => {
  test('has its size, whatever an earlier version had, and leaves no traces', async () => {
    const folder = await scratch();
    // Somebody left a longer one.
    await writeFile(dataIn(folder), randomBytes(SIZE + 5000, 3));
    const published: string[] = [];
    const file = await openAt(folder, {
      publish: async (finished) => {
        published.push(finished);
        const { rename } = await import('node:fs/promises');
        await rename(finished, join(folder, 'final'));
        return join(folder, 'final');
      },
    });
    for (const { at, bytes, chunks } of shuffledRuns(7)) await file.write(at, bytes, chunks);
    // A write past the end, of a file that was longer than it should have been.
    await file.write(SIZE, truth.subarray(0, 100), NONE);
    expect(await file.publish('xet')).toBe(join(folder, 'final'));
    await file.close();
    // Nobody else has a file of this name.
    expect(published).toEqual([expect.stringMatching(/blob\.[0-9a-f]{16}\.xetkit\.incomplete$/)]);
    expect(await filesUnder(folder)).toEqual(['final']);
    expect((await readFile(join(folder, 'final'))).equals(truth)).toBe(true);
  });

  test('that is empty is a file as well', async () => {
    const folder = await scratch();
    const file = await openAt(folder, {
      of: { size: 0 },
      publish: async (finished) => {
        await copyFile(finished, join(folder, 'final'));
        return join(folder, 'final');
      },
    });
    await file.publish('xet');
    await file.close();
    expect((await stat(join(folder, 'final'))).size).toBe(0);
  });

  test('that cannot be put in its place stays for the next try', async () => {
    const folder = await scratch();
    const failure = new Error('no place');
    const file = await openAt(folder, { publish: () => Promise.reject(failure) });
    for (const { at, bytes, chunks } of shuffledRuns(8)) await file.write(at, bytes, chunks);
    expect(await rejectionOf(file.publish('xet'))).toBe(failure);
    await file.close();
    const again = await openAt(folder);
    await expectRight(again);
    expect(joined(again.held)).toEqual([[0, SIZE]]);
    await again.close();
  });
});

describe('who opens it', () => {
  test('waits until nobody else has it, and then finds what was written', async () => {
    const folder = await scratch();
    const first = await openAt(folder);
    let opening: Promise<PartialFile> | undefined;
    await new Promise<void>((resolve) => {
      const options = { signal: new AbortController().signal, onWait: resolve, resume: true };
      opening = PartialFile.open(join(folder, 'blob'), identity, options, async (path) => path);
    });
    const run = runOf(0, 4);
    await first.write(run.at, run.bytes, run.chunks);
    await first.close();
    const second = await opening!;
    await expectRight(second);
    expect(heldBytes(second.held)).toBe(run.bytes.length);
    await second.close();
  });

  test('can give up waiting, and takes nothing away', async () => {
    const folder = await scratch();
    const first = await openAt(folder);
    const stop = new AbortController();
    const opening = rejectionOf(openAt(folder, { signal: stop.signal }));
    stop.abort('enough');
    expect(await opening).toBe('enough');
    const run = runOf(0, 4);
    await first.write(run.at, run.bytes, run.chunks);
    await first.close();
    const next = await openAt(folder);
    expect(heldBytes(next.held)).toBe(run.bytes.length);
    await next.close();
  });

  test('with a signal that is aborted leaves no lock behind', async () => {
    const folder = await scratch();
    const file = await openAt(folder);
    const run = runOf(0, 4);
    await file.write(run.at, run.bytes, run.chunks);
    await file.close();
    expect(await rejectionOf(openAt(folder, { signal: AbortSignal.abort('enough') }))).toBe('enough');
    const next = await openAt(folder);
    expect(heldBytes(next.held)).toBe(run.bytes.length);
    await next.close();
  });

  test('where it cannot be is told why', async () => {
    const folder = await scratch();
    await mkdir(dataIn(folder));
    expect(await rejectionOf(openAt(folder))).toMatchObject({ name: 'XetError', code: 'CACHE' });
    await writeFile(join(folder, 'file'), '');
    expect(await rejectionOf(openAt(join(folder, 'file')))).toMatchObject({ name: 'XetError' });
    expect(await filesUnder(folder)).toEqual(['file']);
  });
});
