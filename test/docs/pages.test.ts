import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { expect, test } from 'vitest';
import { guides, root } from './blocks.ts';

const linksOf = (source: string): string[] =>
  Array.from(source.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g), ([, target = '']) => target).filter(
    (target) => !/^[a-z]+:/.test(target),
  );

async function pagesIn(folder: string): Promise<string[]> {
  const names = await readdir(root + folder, { recursive: true });
  return names.map((name) => `${folder}/${name.replaceAll('\\', '/')}`).filter((name) => name.endsWith('.md'));
}

/** Pages that are reached from an index by links between pages of the same folder. */
async function reachedFrom(index: string): Promise<Set<string>> {
  const reached = new Set([index]);
  for (const page of reached) {
    if (!page.endsWith('README.md')) continue;
    for (const target of linksOf(await readFile(root + page, 'utf8'))) {
      const path = posix.join(posix.dirname(page), target);
      if (path.endsWith('.md') && existsSync(root + path)) reached.add(path);
    }
  }
  return reached;
}

test('an index links every page of the documentation', async () => {
  const reached = await reachedFrom('docs/README.md');
  const pages = await pagesIn('docs');
  expect(pages.length).toBeGreaterThan(25);
  expect(pages.filter((page) => !reached.has(page))).toEqual([]);
});

test('the README links the documentation', async () => {
  expect(linksOf(await readFile(`${root}README.md`, 'utf8'))).toContain('docs/README.md');
});

test('links between pages lead to files that exist', async () => {
  const lost: string[] = [];
  for (const page of [
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    ...guides(),
    ...(await pagesIn('docs/decisions')),
  ]) {
    for (const target of linksOf(await readFile(root + page, 'utf8'))) {
      // The built site has no folders of the repository, and takes a name without an extension for a page.
      if (!existsSync(join(root, dirname(page), target)) || !posix.extname(target)) lost.push(`${page}: ${target}`);
    }
  }
  expect(lost).toEqual([]);
});

test('every column of a table has a name, which screen readers say', async () => {
  const pages = ['README.md', 'CHANGELOG.md', 'bench/README.md', ...(await pagesIn('docs'))];
  const headers = /^\|(.*)\|\n\|(?: *:?-+:? *\|)+$/gm;
  const nameless: string[] = [];
  let tables = 0;
  for (const page of pages) {
    for (const [, cells = ''] of (await readFile(root + page, 'utf8')).matchAll(headers)) {
      tables += 1;
      if (cells.split('|').some((cell) => !cell.trim())) nameless.push(`${page}: ${cells}`);
    }
  }
  expect(tables).toBeGreaterThan(20);
  expect(nameless).toEqual([]);
});

test('ARCHITECTURE.md has at most 120 lines', async () => {
  expect((await readFile(`${root}ARCHITECTURE.md`, 'utf8')).split('\n').length).toBeLessThanOrEqual(121);
});
