import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { XorbIndex } from '../../../src/cache/recipes/recipe-index.node.ts';
import { XorbListings } from '../../../src/cache/recipes/recipe-index.ts';
import { openIndexedDbRecipeStore } from '../../../src/cache/recipes/recipe-store.indexeddb.ts';
import { memoryRecipeStore } from '../../../src/cache/recipes/recipe-store.memory.ts';
import { openFolderRecipeStore } from '../../../src/cache/recipes/recipe-store.node.ts';
import { openWebRecipeStore } from '../../../src/cache/recipes/recipe-store.web.ts';
import { type Child, startChildren } from '../../support/recipe-children.ts';
import { hashOf, recipeOf } from '../../support/recipe-samples.ts';
import { canRun, type RecipeStoreTools, recipeStoreCases } from '../../support/recipe-store-contract.ts';
import { scratchFolder } from '../../support/scratch.ts';

const HOUR_MS = 60 * 60 * 1000;

const equal: RecipeStoreTools['equal'] = (actual, expected, what) => expect(actual, what).toEqual(expected);
const pathOf = (folder: string, fileHash: string) => join(folder, 'v1', 'recipes', fileHash.slice(0, 2), fileHash);
const model = () =>
  recipeOf('model', [
    ['a', 0, 40],
    ['b', 3, 9],
  ]);

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Ends processes that use the store, of which none may have seen anything wrong. */
async function stopped(children: Child[]): Promise<void> {
  for (const { code, output } of await Promise.all(children.map((child) => child.stop()))) {
    expect(code, output).toBe(0);
    expect(Number(/gets=(\d+)/.exec(output)?.[1]), output).toBeGreaterThan(20);
  }
}

const adapters: Record<string, () => Promise<RecipeStoreTools>> = {
  memory: async () => ({ persistent: false, equal, openStore: async (_, options) => memoryRecipeStore(options) }),
  'web without IndexedDB': async () => ({
    persistent: false,
    equal,
    // What it degrades to has a limit of its own.
    openStore: async (name, options) => (options ? memoryRecipeStore(options) : openWebRecipeStore(name)),
  }),
  folder: async () => {
    const root = await scratchFolder();
    return {
      persistent: true,
      equal,
      openStore: async (name, options) => openFolderRecipeStore(join(root, name), options),
      damage: async (name, fileHash, change) => {
        const path = pathOf(join(root, name), fileHash);
        await writeFile(path, change(new Uint8Array(await readFile(path))));
      },
    };
  },
};

describe.each(Object.entries(adapters))('%s', (_, makeTools) => {
  test.each(recipeStoreCases)('$name', async (each) => {
    const tools = await makeTools();
    if (canRun(each, tools)) await each.run(tools);
  });
});

describe('the folder', () => {
  test('is not touched before something is put', async () => {
    const folder = join(await scratchFolder(), 'cache');
    const store = openFolderRecipeStore(folder);
    await store.get(hashOf('model'));
    await store.filesWith(hashOf('a'));
    await store.usage();
    await store.clear();
    await store.close();
    await expect(stat(folder)).rejects.toThrow('ENOENT');
  });

  test('has a file for each recipe and an empty one for each xorb of it, and nothing else', async () => {
    const folder = await scratchFolder();
    const store = openFolderRecipeStore(folder);
    await store.put(model());
    await store.close();
    const [file, a, b] = [hashOf('model'), hashOf('a'), hashOf('b')];
    expect((await filesUnder(folder)).sort()).toEqual(
      [
        pathOf(folder, file),
        join(folder, 'v1', 'recipes-swept'),
        join(folder, 'v1', 'xorbs', a.slice(0, 2), a, `${file}-0-40`),
        join(folder, 'v1', 'xorbs', b.slice(0, 2), b, `${file}-3-9`),
      ].sort(),
    );
    await openFolderRecipeStore(folder).drop(file);
    expect(await filesUnder(folder)).toEqual([join(folder, 'v1', 'recipes-swept')]);
  });

  test('a put of what is there does not write it again, and mends the index', async () => {
    const folder = await scratchFolder();
    const store = openFolderRecipeStore(folder);
    await store.put(model());
    const before = await stat(pathOf(folder, hashOf('model')));
    await rm(join(folder, 'v1', 'xorbs'), { recursive: true });
    expect(await store.filesWith(hashOf('a'))).toEqual([]);
    await store.put(model());
    expect((await stat(pathOf(folder, hashOf('model')))).ino).toBe(before.ino);
    expect(await store.filesWith(hashOf('a'))).toEqual([hashOf('model')]);
    await store.close();
  });

  test('clearing leaves what belongs to others', async () => {
    const folder = await scratchFolder();
    const store = openFolderRecipeStore(folder);
    await store.put(model());
    await mkdir(join(folder, 'v2'));
    const others = [join(folder, 'v2', 'file'), join(folder, 'v1', 'other')];
    for (const path of others) await writeFile(path, 'x');
    await store.clear();
    await store.close();
    expect((await filesUnder(folder)).sort()).toEqual([...others, join(folder, 'v1', 'recipes-swept')].sort());
  });

  test('what was used last stays, also when another process used it', async () => {
    const folder = await scratchFolder();
    const of = (index: number) => recipeOf(`file ${index}`, [[`xorb ${index}`, 0, 1000]]);
    const store = openFolderRecipeStore(folder, { maxBytes: 1_000_000 });
    for (let index = 0; index < 20; index++) {
      await store.put(of(index));
      const then = new Date(Date.now() - HOUR_MS * (30 - index));
      await utimes(pathOf(folder, of(index).fileHash), then, then);
    }
    await openFolderRecipeStore(folder).get(of(0).fileHash);
    for (let index = 20; index < 40; index++) await store.put(of(index));
    await store.close();
    expect(await store.get(of(0).fileHash)).toBeDefined();
    expect(await store.get(of(1).fileHash)).toBeUndefined();
    expect(await store.get(of(39).fileHash)).toBeDefined();
  });

  test('what dead writers left goes after an hour, and not before', async () => {
    const folder = await scratchFolder();
    const temporary = join(folder, 'v1', 'temporary');
    await mkdir(join(temporary, 'cleared', 'deep'), { recursive: true });
    for (const name of ['old', 'new']) await writeFile(join(temporary, name), 'half a rec');
    const then = new Date(Date.now() - HOUR_MS * 1.1);
    for (const name of ['old', 'cleared']) await utimes(join(temporary, name), then, then);
    const store = openFolderRecipeStore(folder);
    await store.put(model());
    await store.close();
    expect(await readdir(temporary)).toEqual(['new']);
  });

  test('entries of recipes that are gone are cleaned up in time', async () => {
    const folder = await scratchFolder();
    const store = openFolderRecipeStore(folder);
    await store.put(model());
    await store.put(recipeOf('other', [['a', 0, 3]]));
    await store.close();
    await rm(pathOf(folder, hashOf('model')));
    const xorbs = join(folder, 'v1', 'xorbs');
    const then = new Date(Date.now() - HOUR_MS * 2);
    for (const path of await filesUnder(xorbs)) await utimes(path, then, then);
    const recent = join(xorbs, hashOf('a').slice(0, 2), hashOf('a'), `${hashOf('on its way')}-0-1`);
    await writeFile(recent, '');
    expect(await filesUnder(xorbs)).toHaveLength(4);
    for (let sweep = 0; sweep < 256; sweep++) {
      await utimes(join(folder, 'v1', 'recipes-swept'), then, then);
      const next = openFolderRecipeStore(folder);
      await next.put(recipeOf(`file ${sweep}`, []));
      await next.close();
    }
    expect((await filesUnder(xorbs)).sort()).toEqual(
      [join(xorbs, hashOf('a').slice(0, 2), hashOf('a'), `${hashOf('other')}-0-3`), recent].sort(),
    );
  });

  test('things that do not belong there do no harm', async () => {
    const folder = await scratchFolder();
    const store = openFolderRecipeStore(folder);
    await store.put(model());
    const path = pathOf(folder, hashOf('model'));
    const use = join(folder, 'v1', 'xorbs', hashOf('a').slice(0, 2), hashOf('a'));
    for (const name of ['x', `${hashOf('m')}-1`, `${hashOf('m')}-1-99999999999`, '..-1-2'])
      await writeFile(join(use, name), '');
    await mkdir(join(use, `${hashOf('folder')}-0-1`));
    await writeFile(join(folder, 'v1', 'recipes', 'stray'), 'x');
    await writeFile(join(path, '..', 'stray'), 'x');
    expect(await store.filesWith(hashOf('a'), { start: 2, end: 9 })).toEqual([hashOf('model')]);
    expect(await store.usage()).toMatchObject({ recipes: 1 });
    // In place of the recipe: a folder, then a link to itself.
    await rm(path);
    await mkdir(join(path, 'deep'), { recursive: true });
    expect(await store.get(hashOf('model'))).toBeUndefined();
    await store.put(model());
    expect(await store.get(hashOf('model'))).toEqual(model());
    await rm(path);
    await symlink(path, path);
    expect(await store.get(hashOf('model'))).toBeUndefined();
    await store.put(model());
    expect(await store.get(hashOf('model'))).toEqual(model());
    await store.close();
  });

  test('where nothing can be written, a put is no error', async () => {
    const root = await scratchFolder();
    await writeFile(join(root, 'file'), 'x');
    const below = openFolderRecipeStore(join(root, 'file', 'cache'));
    await below.put(model());
    await below.drop(hashOf('model'));
    expect(await below.get(hashOf('model'))).toBeUndefined();
    expect(await below.filesWith(hashOf('a'))).toEqual([]);
    expect(await below.usage()).toEqual({ bytes: 0, recipes: 0 });
    await below.close();
  });

  test('thousands of small files of one xorb', async () => {
    const folder = await scratchFolder();
    const store = openFolderRecipeStore(folder);
    const count = 2_000;
    const of = (index: number) => recipeOf(`file ${index}`, [['a', index, index + 1]]);
    // What is kept of listings is kept for a moment; here that moment does not end.
    const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now());
    onTestFinished(() => void clock.mockRestore());
    let listed = 0;
    const { of: listing } = XorbListings.prototype;
    const listings = vi.spyOn(XorbListings.prototype, 'of').mockImplementation(function (
      this: XorbListings,
      xorb,
      read,
    ) {
      return listing.call(this, xorb, async () => {
        const uses = await read();
        listed += uses.length;
        return uses;
      });
    });
    onTestFinished(() => void listings.mockRestore());
    // Many at once, as a snapshot brings them.
    await Promise.all(
      Array.from({ length: 20 }, async (_, lane) => {
        for (let index = lane; index < count; index += 20) {
          await store.put(of(index));
          expect(await store.filesWith(hashOf('a'), { start: index, end: index + 1 })).toEqual([of(index).fileHash]);
        }
      }),
    );
    expect(await store.filesWith(hashOf('a'))).toHaveLength(count);
    await store.close();
    // To list all of them for each would be two million entries.
    expect(listed, 'entries read from the disk').toBeLessThan(20 * count);
  });

  test('what is added while a listing is read is in it, and whoever asks meanwhile reads no second one', async () => {
    const listings = new XorbListings();
    const use = (index: number) => ({ fileHash: hashOf(`file ${index}`), chunks: { start: index, end: index + 1 } });
    let finish: (uses: ReturnType<typeof use>[]) => void = () => undefined;
    let reads = 0;
    const read = () => {
      reads++;
      return new Promise<ReturnType<typeof use>[]>((resolve) => {
        finish = resolve;
      });
    };
    const asked = [listings.of(hashOf('a'), read), listings.of(hashOf('a'), read)];
    listings.add(hashOf('a'), use(1000));
    finish(Array.from({ length: 300 }, (_, index) => use(index)));
    for (const uses of await Promise.all(asked)) expect(uses).toHaveLength(301);
    listings.add(hashOf('a'), use(1001));
    expect(await listings.of(hashOf('a'), read)).toHaveLength(302);
    expect(reads).toBe(1);
  });

  test('processes that write, read and drop at once never see anything wrong, and leave every recipe found', async () => {
    const folder = await scratchFolder();
    const children = await startChildren(folder, 3);
    await new Promise((resolve) => setTimeout(resolve, 800));
    await stopped(children);
    const store = openFolderRecipeStore(folder);
    for await (const { fileHash } of store.list()) {
      const recipe = await store.get(fileHash);
      expect(recipe).toBeDefined();
      for (const { xorb } of recipe!.terms) expect(await store.filesWith(xorb)).toContain(fileHash);
    }
    await store.close();
  });

  test('a drop that is slow does not take the entries of a recipe that was put meanwhile', async () => {
    const folder = await scratchFolder();
    const [dropper, writer] = [openFolderRecipeStore(folder), openFolderRecipeStore(folder)];
    await dropper.put(model());
    const { add, remove } = XorbIndex.prototype;
    let goOn: () => void = () => {};
    const entriesAdded = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    vi.spyOn(XorbIndex.prototype, 'remove').mockImplementationOnce(async function (this: XorbIndex, recipe) {
      await entriesAdded;
      await remove.call(this, recipe);
    });
    const dropping = dropper.drop(hashOf('model'));
    await vi.waitFor(() => expect(vi.mocked(XorbIndex.prototype.remove)).toHaveBeenCalled());
    vi.spyOn(XorbIndex.prototype, 'add').mockImplementationOnce(async function (this: XorbIndex, recipe) {
      await add.call(this, recipe);
      goOn();
      await dropping;
    });
    await writer.put(model());
    expect(await openFolderRecipeStore(folder).get(hashOf('model'))).toEqual(model());
    expect(await openFolderRecipeStore(folder).filesWith(hashOf('a'))).toEqual([hashOf('model')]);
    vi.restoreAllMocks();
  });

  test('survivors of kills go on, and the next put mends what the dead one left half done', async () => {
    const folder = await scratchFolder();
    const children = await startChildren(folder, 3);
    await new Promise((resolve) => setTimeout(resolve, 500));
    children[0]!.kill('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await stopped(children.slice(1));
    const store = openFolderRecipeStore(folder);
    for await (const { fileHash } of store.list()) {
      const recipe = await store.get(fileHash);
      expect(recipe).toBeDefined();
      await store.put(recipe!);
      for (const { xorb } of recipe!.terms) expect(await store.filesWith(xorb)).toContain(fileHash);
    }
    await store.put(model());
    expect(await store.get(hashOf('model'))).toEqual(model());
    await store.close();
  });
});

describe('the web store', () => {
  afterEach(() => vi.unstubAllGlobals());

  /** An IndexedDB whose `open` does what it is told to. */
  const fakeIndexedDb = (open: () => unknown) => {
    for (const name of ['IDBIndex', 'IDBObjectStore', 'IDBCursor', 'IDBDatabase', 'IDBTransaction', 'IDBRequest']) {
      vi.stubGlobal(
        name,
        class extends EventTarget {
          advance() {}
          continue() {}
          continuePrimaryKey() {}
        },
      );
    }
    vi.stubGlobal('indexedDB', { open });
  };

  test.each([
    ['is not there', undefined],
    [
      'is refused at once',
      () => {
        throw new DOMException('The operation is insecure.', 'SecurityError');
      },
    ],
    [
      'is refused later',
      () => {
        const request = new (globalThis as unknown as { IDBRequest: typeof EventTarget }).IDBRequest();
        Object.assign(request, { error: new DOMException('A mutation operation was attempted.', 'InvalidStateError') });
        setTimeout(() => request.dispatchEvent(new Event('error')), 5);
        return request;
      },
    ],
  ])('warns once and goes on in memory where IndexedDB %s', async (_, open) => {
    if (open) fakeIndexedDb(open);
    const warnings: string[] = [];
    const store = openWebRecipeStore(randomUUID(), { onWarning: (message) => warnings.push(message) });
    expect(warnings).toEqual([]);
    await Promise.all([store.put(model()), store.get(hashOf('other')), store.filesWith(hashOf('a'))]);
    expect(await store.get(hashOf('model'))).toEqual(model());
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('until the page is closed');
    await store.close();
  });

  test('does not wait for an answer that never comes', async () => {
    fakeIndexedDb(() => new (globalThis as unknown as { IDBRequest: typeof EventTarget }).IDBRequest());
    vi.useFakeTimers();
    try {
      const warnings: string[] = [];
      const store = openWebRecipeStore(randomUUID(), { onWarning: (message) => warnings.push(message) });
      const putting = store.put(model());
      await vi.advanceTimersByTimeAsync(6_000);
      await putting;
      expect(warnings).toHaveLength(1);
      expect(await store.get(hashOf('model'))).toEqual(model());
    } finally {
      vi.useRealTimers();
    }
  });

  test('IndexedDB alone says why it cannot', async () => {
    await expect(openIndexedDbRecipeStore('name')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});
