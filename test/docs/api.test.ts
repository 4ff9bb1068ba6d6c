import { readdir, readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { makeApiDocs } from '../../scripts/api-docs.mjs';
import { root } from './blocks.ts';

let made: Awaited<ReturnType<typeof makeApiDocs>>;
beforeAll(async () => {
  made = await makeApiDocs();
}, 120_000);

test('everything public has a docstring', () => expect(made.undocumented).toEqual([]));

test('docs/api is what the docstrings say: npm run docs:api', async () => {
  const folder = `${root}docs/api/`;
  const written = await Promise.all(
    (await readdir(folder)).map(async (name) => [name, await readFile(folder + name, 'utf8')] as const),
  );
  expect(Object.fromEntries(written)).toEqual(made.pages);
});
