import { deleteDB, openDB } from 'idb';
import { openIndexedDbRecipeStore } from '../../src/cache/recipes/recipe-store.indexeddb.ts';
import type { RecipeStore } from '../../src/cache/recipes/recipe-store.ts';
import { openWebRecipeStore } from '../../src/cache/recipes/recipe-store.web.ts';
import type { Recipe } from '../../src/core/recipe.ts';
import type { ContractHooks } from '../support/chunk-store-contract.ts';
import { hashOf, recipeOf } from '../support/recipe-samples.ts';
import { canRun, type RecipeStoreTools, recipeStoreCases } from '../support/recipe-store-contract.ts';
import { fillUp } from './fill-up.ts';

/** Cases by the kind of page that they need, as those of the chunk store. */
export const RECIPE_SUITES = {
  recipes: pageCases,
  'recipes, private': privateCases,
  'recipes, quota': quotaCases,
} satisfies Record<string, (hooks: ContractHooks) => void>;

type Equal = RecipeStoreTools['equal'];

const MB = 1024 * 1024;

const databaseOf = (name: string) => `${name}-recipes-v1`;
const fresh = (name: string) => `${name}-${crypto.randomUUID()}`;
const model = () =>
  recipeOf('model', [
    ['a', 0, 40],
    ['b', 3, 9],
  ]);
const plain = (recipe: Recipe | undefined) => recipe && { ...recipe, records: Array.from(recipe.records) };

/** Puts anything at all under a recipe's hash. */
async function overwrite(name: string, fileHash: string, change: (value: unknown) => unknown): Promise<void> {
  const db = await openDB(databaseOf(name), 1);
  await db.put('recipes', change(await db.get('recipes', fileHash)), fileHash);
  db.close();
}

/** Tools of one case of the contract, with databases of its own. */
function indexedDbTools(equal: Equal): RecipeStoreTools {
  const prefix = fresh('contract');
  return {
    persistent: true,
    equal,
    openStore: (name, options) =>
      openIndexedDbRecipeStore(prefix + name, {
        ...options,
        onBroken: (error) => equal(String(error), '', 'the database broke'),
      }),
    damage: (name, fileHash, change) =>
      overwrite(prefix + name, fileHash, (bytes) => change(bytes as Uint8Array<ArrayBuffer>)),
  };
}

/** A web store that became unusable continues in memory, with one warning. */
async function expectDegrades(equal: Equal, name: string, spoil: () => Promise<void>): Promise<void> {
  const warnings: string[] = [];
  const store = openWebRecipeStore(name, { onWarning: (message) => warnings.push(message) });
  await spoil();
  await store.put(model());
  equal(plain(await store.get(hashOf('model'))), plain(model()), 'kept in memory');
  equal(await store.filesWith(hashOf('b')), [hashOf('model')], 'found in memory');
  equal(warnings.length, 1, `warnings: ${warnings.join()}`);
  await store.close();
}

const webRecipeStoreCases: { name: string; run(equal: Equal): Promise<void> }[] = [
  {
    name: 'values that are not bytes are dropped',
    async run(equal) {
      const name = fresh('odd');
      const store = await openIndexedDbRecipeStore(name);
      for (const value of [1, 'x', null, {}, new ArrayBuffer(5), [1]]) {
        await store.put(model());
        await overwrite(name, hashOf('model'), () => value);
        equal(await store.get(hashOf('model')), undefined, `get ${value}`);
        equal(await store.usage(), { bytes: 0, recipes: 0 }, `usage ${value}`);
        equal(await store.filesWith(hashOf('a')), [], `filesWith ${value}`);
      }
      await store.close();
      equal(await store.get(hashOf('model')), undefined, 'a closed store has nothing');
      await store.put(model());
    },
  },
  {
    name: 'a database that is deleted while open is replaced',
    async run(equal) {
      const name = fresh('deleted');
      const warnings: string[] = [];
      const store = openWebRecipeStore(name, { onWarning: (message) => warnings.push(message) });
      const work = Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const recipe = recipeOf(`file ${index}`, [['a', index, index + 100]]);
          await store.put(recipe);
          const got = await store.get(recipe.fileHash);
          if (got) equal(plain(got), plain(recipe), 'get');
          await store.filesWith(hashOf('a'));
        }),
      );
      await new Promise((resolve) => setTimeout(resolve, 30));
      await deleteDB(databaseOf(name));
      await work;
      equal(warnings.length, 1, `warnings: ${warnings.join()}`);
      await store.put(model());
      equal(plain(await store.get(hashOf('model'))), plain(model()), 'kept in memory');
      const next = openWebRecipeStore(name);
      equal(await next.get(hashOf('model')), undefined, 'the next store begins anew');
      await next.put(model());
      equal(plain(await next.get(hashOf('model'))), plain(model()), 'and works');
      await next.close();
    },
  },
  {
    name: 'a database of a newer version is left alone',
    async run(equal) {
      const name = fresh('newer');
      await expectDegrades(equal, name, async () => (await openDB(databaseOf(name), 7)).close());
    },
  },
  {
    name: 'a database of another program is left alone',
    async run(equal) {
      const name = fresh('foreign');
      await expectDegrades(equal, name, async () => (await openDB(databaseOf(name), 1)).close());
    },
  },
  {
    name: 'recipes of 1,600 xorbs, and thousands of recipes of one xorb, are stored',
    async run(equal) {
      const store = await openIndexedDbRecipeStore(fresh('large'));
      const large = recipeOf(
        'large',
        Array.from({ length: 1600 }, (_, xorb): [string, number, number] => [`xorb ${xorb}`, 0, 50]),
      );
      await store.put(large);
      equal((await store.get(large.fileHash))?.size, large.size, 'size');
      equal(await store.filesWith(hashOf('xorb 1599')), [large.fileHash], 'its last xorb');
      await store.drop(large.fileHash);
      equal(await store.filesWith(hashOf('xorb 1599')), [], 'its last xorb, dropped');
      for (let index = 0; index < 1000; index++) {
        const small = recipeOf(`small ${index}`, [['a', index, index + 1]]);
        await store.put(small);
        equal(await store.filesWith(hashOf('a'), { start: index, end: index + 1 }), [small.fileHash], `small ${index}`);
      }
      equal((await store.filesWith(hashOf('a'))).length, 1000, 'all of them');
      await store.drop(hashOf('small 500'));
      equal((await store.filesWith(hashOf('a'))).length, 999, 'all but one');
      await store.close();
    },
  },
];

function pageCases({ test, equal }: ContractHooks): void {
  contract('IndexedDB', indexedDbTools, { test, equal });
  for (const { name, run } of webRecipeStoreCases) test(name, () => run(equal));
}

/** The store behaves the same in private windows with and without IndexedDB. */
function privateCases({ test, equal }: ContractHooks): void {
  const tools = (): RecipeStoreTools => {
    const prefix = fresh('private');
    return {
      persistent: false,
      equal,
      openStore: async (name, options) => openWebRecipeStore(prefix + name, options),
    };
  };
  contract('private window', tools, { test, equal });
}

function contract(name: string, tools: (equal: Equal) => RecipeStoreTools, { test, equal }: ContractHooks): void {
  for (const each of recipeStoreCases) {
    if (canRun(each, tools(equal))) test(`${name}: ${each.name}`, () => each.run(tools(equal)));
  }
}

/** The site has a quota of some twenty megabytes, which not all browsers tell it. */
function quotaCases({ test, equal }: ContractHooks): void {
  const name = 'quota';
  /** A recipe of a megabyte. */
  const large = (index: number) => recipeOf(`large ${index}`, [[`xorb ${index}`, 0, 29_000]]);
  /** Reads all recipes, which must be correct and found by their xorbs. Returns their number. */
  async function readAll(store: RecipeStore, count: number): Promise<number> {
    let read = 0;
    for (let index = 0; index < count; index++) {
      const recipe = large(index);
      const found = await store.get(recipe.fileHash);
      if (!found) continue;
      read++;
      equal(sameRecords(found, recipe), true, `recipe ${index}`);
      equal(await store.filesWith(hashOf(`xorb ${index}`)), [recipe.fileHash], `files of xorb ${index}`);
    }
    return read;
  }

  test('old recipes are evicted when there is no room', async () => {
    const warnings: string[] = [];
    const store = openWebRecipeStore(name, { maxBytes: 1e12, onWarning: (warning) => warnings.push(warning) });
    for (let index = 0; index < 60; index++) await store.put(large(index));
    const { bytes, recipes } = await store.usage();
    equal(bytes > 3 * MB && bytes < 30 * MB, true, `${bytes} bytes`);
    equal(await readAll(store, 60), recipes);
    equal((await store.get(large(59).fileHash)) !== undefined, true, 'the last one is there');
    equal(warnings, []);
    await store.close();
  });

  test('if others use up the quota, writes fail silently and reads continue', async () => {
    const warnings: string[] = [];
    const store = openWebRecipeStore(name, { maxBytes: 1e12, onWarning: (warning) => warnings.push(warning) });
    const before = await store.usage();
    const names = await fillUp();
    for (let index = 60; index < 72; index++) await store.put(large(index));
    const after = await store.usage();
    equal(await readAll(store, 72), after.recipes);
    // Half of them may have made way, but not half of the rest for each put after that.
    equal(after.recipes >= Math.floor(before.recipes / 2) - 1, true, `${after.recipes} left of ${before.recipes}`);
    equal(warnings, []);
    await store.close();
    for (const each of names) await deleteDB(each);
  });
}

function sameRecords(found: Recipe, wanted: Recipe): boolean {
  return (
    found.records.length === wanted.records.length && found.records.every((byte, at) => byte === wanted.records[at])
  );
}
