import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

async function sourcesIn(folder: string): Promise<[path: string, source: string][]> {
  const names = (await readdir(root + folder, { recursive: true })).filter((name) => name.endsWith('.ts'));
  return Promise.all(
    names.map(async (name) => {
      const path = `${folder}/${name.replaceAll('\\', '/')}`;
      return [path, await readFile(root + path, 'utf8')] as [string, string];
    }),
  );
}

/** Doc comments that begin with a question word, where a noun or a verb would name the thing. */
function questions(path: string, source: string): string[] {
  const found: string[] = [];
  for (const match of source.matchAll(
    /\/\*\*\s*(?:\*\s*)?(?:@param \w+ |@returns )?(What|Whether|Where|Which|When|Why|How|Who|Whose|Told)\b[^\n]*/g,
  )) {
    const line = source.slice(0, match.index).split('\n').length;
    found.push(`${path}:${line}: ${match[0].replace(/\s+/g, ' ')}`);
  }
  return found;
}

/** Interfaces, type aliases, classes and enums that a module exports. */
function exportedTypes(path: string, source: string): string[] {
  const { statements } = ts.createSourceFile(path, source, ts.ScriptTarget.Latest);
  return statements.flatMap((statement) => {
    const isType =
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isEnumDeclaration(statement);
    const isExported = isType && ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
    return isExported && statement.name ? [statement.name.text] : [];
  });
}

function declaredTwice(sources: readonly (readonly [path: string, source: string])[]): string[] {
  const places = new Map<string, string[]>();
  for (const [path, source] of sources) {
    for (const name of exportedTypes(path, source)) places.set(name, [...(places.get(name) ?? []), path]);
  }
  return [...places].filter(([, paths]) => paths.length > 1).map(([name, paths]) => `${name}: ${paths.join(', ')}`);
}

describe('the style of the source', async () => {
  const sources = [...(await sourcesIn('src')), ...(await sourcesIn('workers'))];

  test('doc comments begin with a noun or a verb', () =>
    expect(sources.flatMap(([path, source]) => questions(path, source))).toEqual([]));

  test('no exported type name is declared twice', () => expect(declaredTwice(sources)).toEqual([]));
});

describe('the rules of style', () => {
  test.each([
    '/** What a client needs. */',
    '/**\n * Whether it is there.\n */',
    '/** Where it is. */',
    '/** Told once. */',
  ])('a doc comment that begins with a question word is found: %s', (source) =>
    expect(questions('src/a.ts', source)).toEqual([expect.stringContaining('src/a.ts:1:')]),
  );

  test('other comments are not found', () => {
    const source =
      '/** Options of a client. What they mean is below. */\n// What follows is pure.\n/** Whatever fits. */';
    expect(questions('src/a.ts', source)).toEqual([]);
  });

  test('a type that two modules export is found, one that is kept inside is not', () => {
    const sources = [
      ['src/a.ts', 'export interface Entry {}\ninterface Inside {}'],
      ['src/b.ts', 'export type Entry = string;\nexport type Inside = number;'],
    ] as const;
    expect(declaredTwice(sources)).toEqual(['Entry: src/a.ts, src/b.ts']);
  });
});
