// A process that puts, reads and drops recipes in a folder that others use at the same time, until its stdin ends.
import { isDeepStrictEqual } from 'node:util';
import { openFolderRecipeStore } from '../../src/cache/recipes/recipe-store.node.ts';
import { hashOf, numbers, recipeOf } from './recipe-samples.ts';

const [folder = '', index = '0'] = process.argv.slice(2);
const next = numbers(Number(index) + 1);
const recipes = Array.from({ length: 12 }, (_, file) =>
  recipeOf(`file ${file}`, [
    ['a', file * 10, file * 10 + 200],
    [`xorb ${file}`, 0, 50],
  ]),
);
const store = openFolderRecipeStore(folder, { maxBytes: 300_000 });
let gets = 0;
let stopped = false;
process.stdin.on('end', () => {
  stopped = true;
});
process.stdin.resume();
console.log('started');

while (!stopped) {
  const recipe = recipes[next() % recipes.length]!;
  const what = next() % 10;
  if (what < 4) await store.put(recipe);
  else if (what === 4) await store.drop(recipe.fileHash);
  else if (what === 5) await store.filesWith(hashOf('a'));
  else {
    const got = await store.get(recipe.fileHash);
    if (got) gets++;
    if (got && !isDeepStrictEqual({ ...got, records: [...got.records] }, { ...recipe, records: [...recipe.records] })) {
      console.log(`wrong: ${recipe.fileHash}`);
      process.exitCode = 1;
    }
  }
}
await store.close();
console.log(`gets=${gets}`);
