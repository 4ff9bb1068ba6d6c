import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

/** Names that the types of an entry declare, in all of its files: those are the ones that editors show. */
async function declarations(path: string, seen = new Set<string>()): Promise<string[]> {
  if (seen.has(path)) return [];
  seen.add(path);
  const { statements } = ts.createSourceFile(path, await readFile(path, 'utf8'), ts.ScriptTarget.Latest);
  const names: string[] = [];
  for (const statement of statements) {
    if (ts.isVariableStatement(statement)) {
      names.push(...statement.declarationList.declarations.map(({ name }) => (ts.isIdentifier(name) ? name.text : '')));
    } else if (
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isFunctionDeclaration(statement)
    ) {
      names.push(statement.name?.text ?? '');
    } else if (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) {
      const from = statement.moduleSpecifier;
      if (from && ts.isStringLiteral(from) && from.text.startsWith('.')) {
        names.push(...(await declarations(resolve(dirname(path), from.text.replace(/\.js$/, '.d.ts')), seen)));
      }
    }
  }
  return names;
}

const typesOf = (entry: string) => fileURLToPath(new URL(`../../dist/${entry}.d.ts`, import.meta.url));

test('the types of xetkit are those that callers use, not the inside of the package', async () => {
  const names = await declarations(typesOf('index'));
  expect(names).toEqual(expect.arrayContaining(['XetClient', 'XetClientOptions', 'DownloadResult', 'FileBackend']));
  expect(names.filter((name) => /^(Http|HubClient|CasClient|Platform|DownloadEngine|CodecPool)$/.test(name))).toEqual(
    [],
  );
  // 297 before backends became opaque, 92 then; managing repositories and editing files added those of their own calls.
  expect(names.length).toBeLessThanOrEqual(106);
});

test.each(['read', 'fetch', 'service-worker'])(
  'the types of xetkit/%s do not lead to the inside either',
  async (entry) => {
    const names = await declarations(typesOf(entry));
    expect(names).not.toContain('Http');
    expect(names.length).toBeLessThanOrEqual(99);
  },
);
