// What every RecipeStore does, as plain functions: they run in vitest and, bundled, in a page.

import type { RecipeStore } from '../../src/cache/recipes/recipe-store.ts';
import type { Recipe } from '../../src/core/recipe.ts';
import { copyOf, hashOf, numbers, recipeOf } from './recipe-samples.ts';

/** What a case needs of whoever runs it. */
export interface RecipeStoreTools {
  /** Opens a store; the same name within a case is the same data. Each case begins with none. */
  openStore(name: string, options?: { maxBytes?: number }): Promise<RecipeStore>;
  /** Whether data is there for the next one who opens it, and for others at the same time. */
  persistent: boolean;
  /** Throws unless both are alike, looking into objects, arrays and byte arrays. */
  equal(actual: unknown, expected: unknown, what: string): void;
  /** Overwrites what is stored of a recipe; undefined where nobody but the store can reach it. */
  damage?: (name: string, fileHash: string, change: (bytes: Uint8Array) => Uint8Array) => Promise<void>;
}

export interface RecipeStoreCase {
  name: string;
  /** Stores that only their process sees cannot be damaged, reopened or shared. */
  needs?: 'persistent' | 'damage';
  run(tools: RecipeStoreTools): Promise<void>;
}

/** Whether a case says anything about a store of this kind. */
export function canRun({ needs }: RecipeStoreCase, { persistent, damage }: RecipeStoreTools): boolean {
  return needs === 'damage' ? damage !== undefined : needs === undefined || persistent;
}

const model = () =>
  recipeOf('model', [
    ['a', 0, 40],
    ['b', 3, 9],
    ['a', 100, 101],
  ]);

/** Records as an array of numbers, so that any comparison looks into them and a Buffer is no different. */
function plain(recipe: Recipe | undefined) {
  return recipe && { ...recipe, records: Array.from(recipe.records) };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const sorted = (texts: string[]) => [...texts].sort();

export const recipeStoreCases: RecipeStoreCase[] = [
  {
    name: 'an empty store has nothing, and clearing, dropping and closing it is fine',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      equal(await store.get(hashOf('model')), undefined, 'get');
      if (store.has) equal(await store.has(hashOf('model')), false, 'has');
      equal(await store.filesWith(hashOf('a')), [], 'filesWith');
      equal(await all(store.list()), [], 'list');
      equal(await store.usage(), { bytes: 0, recipes: 0 }, 'usage');
      await store.drop(hashOf('model'));
      await store.clear();
      await store.close();
      await store.close();
    },
  },
  {
    name: 'gives what was put',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      const empty = { fileHash: '0'.repeat(64), size: 0, terms: [], records: new Uint8Array() };
      for (const recipe of [model(), recipeOf('small', [['b', 8191, 8192]]), empty]) {
        await store.put(copyOf(recipe));
        equal(plain(await store.get(recipe.fileHash)), plain(recipe), recipe.fileHash);
        if (store.has) equal(await store.has(recipe.fileHash), true, `has ${recipe.fileHash}`);
      }
      equal(await store.get(hashOf('other')), undefined, 'another file');
      if (store.has) equal(await store.has(hashOf('other')), false, 'has another file');
      await store.drop(hashOf('small'));
      if (store.has) equal(await store.has(hashOf('small')), false, 'has what was dropped');
      await store.close();
    },
  },
  {
    name: 'shares no memory with its users',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      const given = model();
      await store.put(given);
      given.records.fill(0);
      given.terms.length = 0;
      const got = await store.get(given.fileHash);
      equal(plain(got), plain(model()), 'after the caller changed its own');
      got?.records.fill(0);
      equal(plain(await store.get(given.fileHash)), plain(model()), 'after the caller changed what it got');
      await store.close();
    },
  },
  {
    name: 'finds the files of a xorb, and of a part of it',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      await store.put(model());
      await store.put(recipeOf('other', [['a', 60, 70]]));
      const [one, two] = [hashOf('model'), hashOf('other')];
      equal(sorted(await store.filesWith(hashOf('a'))), sorted([one, two]), 'a');
      equal(await store.filesWith(hashOf('b')), [one], 'b');
      equal(await store.filesWith(hashOf('c')), [], 'c');
      equal(await store.filesWith(hashOf('b'), { start: 0, end: 3 }), [], 'b before what is used');
      equal(await store.filesWith(hashOf('b'), { start: 0, end: 4 }), [one], 'b, the first chunk that is used');
      equal(await store.filesWith(hashOf('b'), { start: 8, end: 99 }), [one], 'b, the last one');
      equal(await store.filesWith(hashOf('b'), { start: 9, end: 99 }), [], 'b behind it');
      equal(await store.filesWith(hashOf('a'), { start: 0, end: 1 }), [one], 'a, only one of two');
      equal(
        sorted(await store.filesWith(hashOf('a'), { start: 65, end: 66 })),
        sorted([one, two]),
        'a, the hull counts',
      );
      await store.close();
    },
  },
  {
    name: 'names that are no hashes are not known',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      for (const name of [
        '',
        '..',
        '../../etc/passwd',
        hashOf('model').toUpperCase(),
        `${hashOf('model')}0`,
        '__proto__',
      ]) {
        equal(await store.get(name), undefined, `get ${name}`);
        equal(await store.filesWith(name), [], `filesWith ${name}`);
        await store.drop(name);
        await store.put({ ...model(), fileHash: name });
      }
      equal((await store.usage()).recipes, 0, 'kept');
      await store.close();
    },
  },
  {
    name: 'does not keep a recipe that contradicts itself',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      const recipe = model();
      const [term, ...rest] = recipe.terms as [Recipe['terms'][0], ...Recipe['terms']];
      const wrong: Partial<Recipe>[] = [
        { size: recipe.size + 1 },
        { size: -1 },
        { size: Number.NaN },
        { terms: rest },
        { terms: [{ ...term, unpackedLength: term.unpackedLength - 1 }, ...rest] },
        { terms: [{ ...term, chunks: { start: 0, end: 41 } }, ...rest] },
        { terms: [{ ...term, chunks: { start: 40, end: 40 } }, ...rest] },
        { terms: [{ ...term, xorb: 'x' }, ...rest] },
        { records: recipe.records.subarray(1) },
        { records: new Uint8Array(recipe.records.length) },
      ];
      for (const change of wrong) await store.put({ ...recipe, ...change });
      equal(await store.usage(), { bytes: 0, recipes: 0 }, 'usage');
      equal(await store.get(recipe.fileHash), undefined, 'get');
      await store.close();
    },
  },
  {
    name: 'a dropped recipe is gone, and can be put again',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      const other = recipeOf('other', [['a', 60, 70]]);
      await store.put(model());
      await store.put(other);
      await store.drop(hashOf('model'));
      equal(await store.get(hashOf('model')), undefined, 'get');
      equal(await store.filesWith(hashOf('a')), [other.fileHash], 'filesWith');
      equal(await store.filesWith(hashOf('b')), [], 'filesWith of the other xorb');
      equal(plain(await store.get(other.fileHash)), plain(other), 'the other one');
      await store.put(model());
      equal(plain(await store.get(hashOf('model'))), plain(model()), 'put again');
      equal(await store.filesWith(hashOf('b')), [hashOf('model')], 'found again');
      await store.close();
    },
  },
  {
    name: 'a put of what is there changes nothing; one of another make-up replaces it',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      await store.put(model());
      const before = await store.usage();
      await store.put(model());
      equal(await store.usage(), before, 'usage');
      equal(await store.filesWith(hashOf('a')), [hashOf('model')], 'found once');
      const rebuilt = recipeOf('model', [['c', 0, 30]]);
      await store.put(rebuilt);
      equal(plain(await store.get(hashOf('model'))), plain(rebuilt), 'the newer one');
      equal(await store.filesWith(hashOf('c')), [hashOf('model')], 'found by its new xorb');
      equal((await store.usage()).recipes, 1, 'recipes');
      await store.close();
    },
  },
  {
    name: 'lists and counts what it has',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      const recipes = Array.from({ length: 20 }, (_, index) => recipeOf(`file ${index}`, [['a', index, index + 5]]));
      await Promise.all(recipes.map((recipe) => store.put(recipe)));
      const listed = await all(store.list());
      equal(sorted(listed.map(({ fileHash }) => fileHash)), sorted(recipes.map(({ fileHash }) => fileHash)), 'list');
      const bytes = listed.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
      equal(await store.usage(), { bytes, recipes: 20 }, 'usage');
      equal(bytes >= 20 * 5 * 36, true, 'bytes are at least those of the records');
      await store.clear();
      equal(await store.usage(), { bytes: 0, recipes: 0 }, 'after clear');
      equal(await store.filesWith(hashOf('a')), [], 'filesWith after clear');
      await store.put(model());
      equal(plain(await store.get(hashOf('model'))), plain(model()), 'usable after clear');
      await store.close();
    },
  },
  {
    name: 'stays within its limit, and what was used last stays',
    async run({ openStore, equal }) {
      const maxBytes = 2_000_000;
      const store = await openStore('s', { maxBytes });
      const of = (index: number) => recipeOf(`file ${index}`, [[`xorb ${index}`, 0, 1000]]);
      for (let index = 0; index < 150; index++) {
        await store.put(of(index));
        equal((await store.usage()).bytes <= maxBytes, true, `usage after ${index}`);
      }
      equal(plain(await store.get(of(149).fileHash)), plain(of(149)), 'the newest');
      equal(await store.get(of(0).fileHash), undefined, 'the oldest');
      equal(await store.filesWith(hashOf('xorb 0')), [], 'its entry in the index');
      equal((await store.usage()).recipes > 30, true, 'not more is evicted than needed');
      await store.put(recipeOf('giant', [['g', 0, 60_000]]));
      equal(await store.get(hashOf('giant')), undefined, 'one that is larger than the limit');
      equal(plain(await store.get(of(149).fileHash)), plain(of(149)), 'the newest, still');
      await store.close();
    },
  },
  {
    name: 'many at once do not get into each other’s way',
    async run({ openStore, equal }) {
      const store = await openStore('s');
      const next = numbers(7);
      const files = Array.from({ length: 12 }, (_, index) => recipeOf(`file ${index}`, [['a', index, index + 3]]));
      await Promise.all(
        Array.from({ length: 400 }, async () => {
          const recipe = files[next() % files.length] as Recipe;
          const what = next() % 8;
          if (what < 4) await store.put(recipe);
          else if (what === 4) await store.drop(recipe.fileHash);
          else if (what === 5) await store.filesWith(hashOf('a'));
          else {
            const got = await store.get(recipe.fileHash);
            if (got) equal(plain(got), plain(recipe), 'get');
          }
        }),
      );
      await Promise.all(files.map((recipe) => store.put(recipe)));
      for (const recipe of files) equal(plain(await store.get(recipe.fileHash)), plain(recipe), 'in the end');
      equal(sorted(await store.filesWith(hashOf('a'))), sorted(files.map(({ fileHash }) => fileHash)), 'index');
      await store.close();
    },
  },
  {
    name: 'is there for the next one, and for others at the same time',
    needs: 'persistent',
    async run({ openStore, equal }) {
      const [one, two] = [await openStore('s'), await openStore('s')];
      await one.put(model());
      equal(plain(await two.get(hashOf('model'))), plain(model()), 'seen by another');
      equal(await two.filesWith(hashOf('a')), [hashOf('model')], 'index seen by another');
      await two.drop(hashOf('model'));
      equal(await one.get(hashOf('model')), undefined, 'dropped by another');
      await two.put(model());
      await one.close();
      await two.close();
      const three = await openStore('s');
      equal(plain(await three.get(hashOf('model'))), plain(model()), 'reopened');
      equal(await three.filesWith(hashOf('b')), [hashOf('model')], 'index reopened');
      const elsewhere = await openStore('t');
      equal(await elsewhere.get(hashOf('model')), undefined, 'another name');
      await elsewhere.close();
      await three.close();
    },
  },
  {
    name: 'what is damaged is not given, is dropped, and can be put again',
    needs: 'damage',
    async run({ openStore, equal, damage }) {
      const store = await openStore('s');
      const recipe = model();
      const next = numbers(11);
      const changes: ((bytes: Uint8Array) => Uint8Array)[] = [
        () => new Uint8Array(),
        (bytes) => bytes.slice(0, bytes.length - 1),
        (bytes) => bytes.slice(0, bytes.length >> 1),
        (bytes) => Uint8Array.from([...bytes, 0]),
        (bytes) => new Uint8Array(bytes.length),
        ...Array.from({ length: 20 }, () => (bytes: Uint8Array) => {
          const changed = bytes.slice();
          const at = next() % changed.length;
          changed[at] = (changed[at] ?? 0) ^ (1 << (next() % 8));
          return changed;
        }),
      ];
      for (const [index, change] of changes.entries()) {
        await store.put(recipe);
        await damage?.('s', recipe.fileHash, change);
        equal(await store.get(recipe.fileHash), undefined, `damage ${index}`);
        equal((await store.usage()).recipes, 0, `damage ${index} is dropped`);
      }
      await store.put(recipe);
      equal(plain(await store.get(recipe.fileHash)), plain(recipe), 'put again');
      equal(await store.filesWith(hashOf('a')), [recipe.fileHash], 'found again');
      // A whole recipe under the name of another.
      const other = recipeOf('other', [['a', 0, 5]]);
      await store.put(other);
      let bytes = new Uint8Array();
      await damage?.('s', other.fileHash, (whole) => {
        bytes = whole.slice();
        return whole;
      });
      await damage?.('s', recipe.fileHash, () => bytes);
      equal(await store.get(recipe.fileHash), undefined, 'of another file');
      equal(plain(await store.get(other.fileHash)), plain(other), 'that file');
      await store.close();
    },
  },
];
