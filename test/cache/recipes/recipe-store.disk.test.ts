import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, type TestContext, test } from 'vitest';
import { openFolderRecipeStore } from '../../../src/cache/recipes/recipe-store.node.ts';
import { isXetError } from '../../../src/core/errors.ts';
import { openVerifiedFiles } from '../../../src/files/verified-files.node.ts';
import { type SmallDisk, smallDisk } from '../../faults/mount.ts';
import { rejectionOf } from '../../support/property.ts';
import { hashOf, recipeOf } from '../../support/recipe-samples.ts';

const of = (index: number) => recipeOf(`file ${index}`, [[`xorb ${index}`, 0, 1000]]);
const content = { etag: 'e'.repeat(64), xetHash: hashOf('content'), verified: 'xet' } as const;

/** Root ignores permissions, but not these; others cannot mount, and have the fault suite in a namespace. */
async function diskOr(context: TestContext, bytes: number): Promise<SmallDisk> {
  try {
    return await smallDisk(bytes);
  } catch (error) {
    return context.skip(String(error));
  }
}

test('a full disk is no error, costs nothing that was there, and is used again when there is room', async (context) => {
  const disk = await diskOr(context, 1_000_000);
  const store = openFolderRecipeStore(join(disk.path, 'cache'));
  const known = openVerifiedFiles(join(disk.path, 'cache'));
  const kept: number[] = [];
  for (let index = 0; index < 40; index++) {
    await store.put(of(index));
    if (await store.get(of(index).fileHash)) kept.push(index);
  }
  expect(kept.length).toBeGreaterThan(15);
  expect(kept.length).toBeLessThan(30);
  for (const index of kept) expect(await store.get(of(index).fileHash)).toEqual(of(index));
  expect(await readdir(join(disk.path, 'cache', 'v1', 'temporary'))).toEqual([]);
  await known.remember(join(disk.path, 'cache', 'v1', 'recipes-swept'), content);
  await disk.remount('size=4m');
  await store.put(of(39));
  expect(await store.get(of(39).fileHash)).toEqual(of(39));
  expect(await store.filesWith(hashOf('xorb 39'))).toEqual([of(39).fileHash]);
  await store.close();
});

test('a read-only disk gives what is there, and what is dropped is not given again', async (context) => {
  const disk = await diskOr(context, 1_000_000);
  const folder = join(disk.path, 'cache');
  const file = join(disk.path, 'file');
  const [store, known] = [openFolderRecipeStore(folder), openVerifiedFiles(folder)];
  await writeFile(file, 'content');
  await known.remember(file, content);
  for (let index = 0; index < 3; index++) await store.put(of(index));
  const recipes = join(folder, 'v1', 'recipes');
  const damaged = join(recipes, of(1).fileHash.slice(0, 2), of(1).fileHash);
  await writeFile(damaged, 'damaged');
  const then = new Date(Date.now() - 86_400_000);
  await utimes(damaged, then, then);
  await store.close();
  await disk.remount('ro');
  expect(await store.get(of(0).fileHash)).toEqual(of(0));
  expect(await store.get(of(1).fileHash)).toBeUndefined();
  await store.drop(of(2).fileHash);
  expect(await store.get(of(2).fileHash)).toBeUndefined();
  await store.put(of(3));
  expect(await known.check(file, content.etag)).toBe('xet');
  expect(await known.pathsOf(content.xetHash)).toEqual([file]);
  await known.remember(file, { ...content, etag: 'f'.repeat(64) });
  await known.forget(file);
  for (const each of [store, known]) {
    expect(isXetError(await rejectionOf(each.clear()), 'PERMISSION')).toBe(true);
  }
  await disk.remount('rw');
  await store.put(of(2));
  expect(await store.get(of(2).fileHash)).toEqual(of(2));
  await store.close();
});

test('a read-only disk on which nothing was kept yet', async (context) => {
  const disk = await diskOr(context, 1_000_000);
  await mkdir(join(disk.path, 'cache'));
  await disk.remount('ro');
  const store = openFolderRecipeStore(join(disk.path, 'cache'));
  await store.put(of(0));
  expect(await store.get(of(0).fileHash)).toBeUndefined();
  expect(await store.usage()).toEqual({ bytes: 0, recipes: 0 });
  await store.clear();
  await store.close();
});
