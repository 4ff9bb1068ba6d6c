import { link, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ChunkRecords, chunkSlice } from '../../../src/core/chunks.ts';
import { PartialFile } from '../../../src/files/disk/partial-file.node.ts';
import type { LockTiming } from '../../../src/fs/lock.node.ts';
import { chunksOf, draw } from '../../support/engines.ts';
import { filesUnder, scratch } from '../../support/hub.ts';
import { rejectionOf } from '../../support/property.ts';
import { randomBytes } from '../../support/samples.ts';

const SIZE = 600_000;
const truth = randomBytes(SIZE, 1);
const identity = { etag: 'a'.repeat(64), size: SIZE, xetHash: 'b'.repeat(64) };
const NONE = new Uint8Array();
/** Every holder is as silent as a suspended process. */
const timing: LockTiming = { pollMs: 1, heartbeatMs: 1e9, silentMs: 5 };
const LOST = { name: 'XetError', code: 'CACHE', retryable: true };

let records: ChunkRecords;
let starts: number[];
beforeAll(async () => {
  ({ records, starts } = await chunksOf(truth));
});

type BeforeRename = () => Promise<void>;

function openAt(folder: string, resume = true, beforeRename: BeforeRename = async () => {}): Promise<PartialFile> {
  const options = { signal: new AbortController().signal, onWait: () => undefined, resume, timing };
  return PartialFile.open(join(folder, 'blob'), identity, options, async (finished) => {
    await beforeRename();
    await rename(finished, join(folder, 'final'));
    return join(folder, 'final');
  });
}

async function writePart(file: PartialFile, first: number, end: number): Promise<void> {
  await file.write(starts[first]!, truth.subarray(starts[first], starts[end]), chunkSlice(records, first, end));
}

const writeAll = (file: PartialFile) => writePart(file, 0, starts.length - 1);

async function isRight(file: PartialFile): Promise<boolean> {
  const parts: Uint8Array[] = [];
  for await (const bytes of file.read({ start: 0, end: SIZE })) parts.push(bytes);
  return Buffer.concat(parts).equals(truth);
}

async function expectFinal(folder: string): Promise<void> {
  expect((await readFile(join(folder, 'final'))).equals(truth)).toBe(true);
}

describe.each([
  ['goes on', true],
  ['begins anew', false],
])('a process that takes over and %s', (_what, resume) => {
  test('cuts nothing that the suspended one has written', async () => {
    const folder = await scratch();
    const suspended = await openAt(folder);
    await writeAll(suspended);
    const other = await openAt(folder, resume);
    expect(await isRight(suspended)).toBe(true);
    expect(await rejectionOf(suspended.publish('xet'))).toMatchObject(LOST);
    await suspended.close();
    await writeAll(other);
    await other.publish('xet');
    await other.close();
    await expectFinal(folder);
    expect(await filesUnder(folder)).toEqual(['final']);
  });

  test('is not written into by the suspended one when that runs again', async () => {
    const folder = await scratch();
    const suspended = await openAt(folder);
    await writePart(suspended, 0, 3);
    const other = await openAt(folder, resume);
    await writeAll(other);
    await suspended.write(0, randomBytes(SIZE, 99), NONE);
    await suspended.restart();
    expect(await isRight(other)).toBe(true);
    await other.publish('xet');
    await other.close();
    await suspended.close();
    await expectFinal(folder);
    expect(await filesUnder(folder)).toEqual(['final']);
  });

  test('is not what is published by one that was suspended just before the last step', async () => {
    const folder = await scratch();
    let other: PartialFile | undefined;
    const suspended = await openAt(folder, true, async () => {
      other = await openAt(folder, resume);
      await other.write(0, randomBytes(1000, 5), NONE);
    });
    await writeAll(suspended);
    await suspended.publish('xet');
    await suspended.close();
    await expectFinal(folder);
    await other?.close();
    await expectFinal(folder);
  });
});

test('what a suspended process had written is used, after it was hashed again', async () => {
  const folder = await scratch();
  const suspended = await openAt(folder);
  await writePart(suspended, 0, 3);
  await suspended.write(starts[4]!, truth.subarray(starts[4]), NONE);
  const other = await openAt(folder);
  expect(other.held).toMatchObject([{ start: 0, end: starts[3] }]);
  expect(other.unchecked).toEqual([{ start: starts[4], end: SIZE }]);
  await other.close();
  await suspended.close();
});

test('when the second of three is gone without a trace, the third still does not write into the file of the first', async () => {
  const folder = await scratch();
  const suspended = await openAt(folder);
  await writePart(suspended, 0, 4);
  // What a process leaves that took the lock over and was killed before it did anything.
  await rm(join(folder, 'blob.xetkit-lock.incomplete'));
  const third = await openAt(folder);
  await writeAll(third);
  await suspended.write(0, randomBytes(SIZE, 98), NONE);
  expect(await isRight(third)).toBe(true);
  await third.publish('xet');
  await third.close();
  expect(await rejectionOf(suspended.publish('xet'))).toMatchObject(LOST);
  await suspended.close();
  await expectFinal(folder);
});

test('a file that was let go is written to in place by the next', async () => {
  const folder = await scratch();
  const first = await openAt(folder);
  await writePart(first, 0, 4);
  await first.close();
  const { ino } = await stat(join(folder, 'blob.xetkit.incomplete'));
  const second = await openAt(folder);
  expect(second.held).toMatchObject([{ start: 0, end: starts[4] }]);
  expect((await stat(join(folder, 'blob.xetkit.incomplete'))).ino).toBe(ino);
  await second.close();
});

test('a file that somebody else removed or replaced is not published', async () => {
  const data = 'blob.xetkit.incomplete';
  for (const replace of [
    async (folder: string) => rm(join(folder, data)),
    async (folder: string) => {
      await rm(join(folder, data));
      await writeFile(join(folder, data), randomBytes(SIZE, 7));
    },
    async (folder: string) => {
      await rename(join(folder, data), join(folder, 'elsewhere'));
      await symlink(join(folder, 'elsewhere'), join(folder, data));
    },
  ]) {
    const folder = await scratch();
    const file = await openAt(folder);
    await writeAll(file);
    await replace(folder);
    expect(await rejectionOf(file.publish('xet'))).toMatchObject(LOST);
    await file.close();
    expect(await filesUnder(folder)).not.toContain('final');
  }
});

test('links and files with a second name are not written to', async () => {
  for (const plant of [symlink, link]) {
    for (const name of ['blob.xetkit.incomplete', 'blob.xetkit-journal.incomplete']) {
      const folder = await scratch();
      const first = await openAt(folder);
      await writePart(first, 0, 4);
      await first.close();
      const outside = join(await scratch(), 'canary');
      await rename(join(folder, name), outside);
      const before = await readFile(outside);
      await plant(outside, join(folder, name));
      const file = await openAt(folder);
      await writeAll(file);
      await file.publish('xet');
      await file.close();
      await expectFinal(folder);
      expect((await readFile(outside)).equals(before)).toBe(true);
    }
  }
});

test.each(Array.from({ length: 8 }, (_, index) => index + 1))(
  'processes that stop, take over, write what is wrong and publish in any order never publish it (%i)',
  async (seed) => {
    const random = draw(seed);
    const folder = await scratch();
    const alive: PartialFile[] = [];
    let published = 0;
    for (let step = 0; step < 40; step++) {
      const file = alive[random(alive.length || 1)];
      const action = random(10);
      if (!file || (action === 0 && alive.length < 4)) {
        const between =
          random(2) === 0 ? async () => void alive.push(await openAt(folder, random(2) === 0)) : undefined;
        // A file that lost its lock while it was opened says so.
        const opened = await openAt(folder, random(3) > 0, between).catch((error: unknown) => {
          expect(error).toMatchObject(LOST);
        });
        if (opened) alive.push(opened);
      } else if (action < 4) {
        const first = random(starts.length - 1);
        await writePart(file, first, Math.min(starts.length - 1, first + 1 + random(5)));
      } else if (action === 4) await file.write(random(SIZE - 5000), randomBytes(5000, step), NONE);
      else if (action === 5) await file.restart();
      else if (action === 6) {
        alive.splice(alive.indexOf(file), 1);
        await file.close();
      } else {
        // As a download does: what is published was found to be right.
        await writeAll(file);
        expect(await isRight(file)).toBe(true);
        alive.splice(alive.indexOf(file), 1);
        await file.publish('xet').then(
          () => published++,
          (error: unknown) => expect(error).toMatchObject(LOST),
        );
        await file.close();
      }
      if (published > 0) await expectFinal(folder);
    }
    for (const file of alive) await file.close();
  },
);
