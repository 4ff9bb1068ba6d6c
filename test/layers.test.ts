import { readdir, readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

/** What one module takes from another. A type is gone when the program runs; anything else is there with it. */
interface Import {
  /** A path from the root of the project, or the name of a package as it is written. */
  target: string;
  typeOnly: boolean;
}
type Modules = ReadonlyMap<string, readonly Import[]>;

function importsOf(path: string, source: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return;
    const { text } = specifier;
    found.push({ target: text.startsWith('.') ? posix.join(posix.dirname(path), text) : text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    // Only `import type` goes away as a whole: what is left of `import { type A }` still loads its module.
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly ?? false);
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, source, ts.ScriptTarget.Latest));
  return found;
}

const modulesOf = (sources: Record<string, string>): Modules =>
  new Map(Object.entries(sources).map(([path, source]) => [path, importsOf(path, source)]));

async function readModules(): Promise<Modules> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const sources: Record<string, string> = {};
  for (const folder of ['src', 'workers']) {
    for (const entry of await readdir(`${root}${folder}`, { recursive: true })) {
      const path = `${folder}/${entry.replaceAll('\\', '/')}`;
      if (path.endsWith('.ts')) sources[path] = await readFile(`${root}${path}`, 'utf8');
    }
  }
  return modulesOf(sources);
}

/** All modules that are loaded with this one, and through which: `a → b → c`. */
function loadedWith(modules: Modules, entry: string): Map<string, string> {
  const ways = new Map([[entry, entry]]);
  for (const [path, way] of ways) {
    for (const { target, typeOnly } of modules.get(path) ?? []) {
      if (!typeOnly && !ways.has(target)) ways.set(target, `${way} → ${target}`);
    }
  }
  return ways;
}

/** Files that run in Node, Deno and Bun only: adapters, and what is a program or a server by itself. */
const mayUseNode = (path: string) =>
  path.endsWith('.node.ts') || /^src\/(node|cli|local-hub)\.ts$/.test(path) || /^src\/(cli|local-hub)\//.test(path);

function nodeOutsideOfAdapters(modules: Modules): string[] {
  return [...modules]
    .filter(([path]) => !mayUseNode(path))
    .flatMap(([path, imports]) =>
      imports
        .filter(({ target }) => target.startsWith('node:'))
        .map(
          ({ target }) =>
            `${path} imports ${target}. Only platform adapters (*.node.ts), src/node.ts, the command line and the local Hub may: ` +
            'everything else also runs in browsers. Put it behind an interface that src/platform.node.ts fills.',
        ),
    );
}

/** What browsers load. A bundler follows every import, also one that would never be reached. */
const WEB_ENTRIES = [
  'src/index.ts',
  'src/download.ts',
  'src/codec.ts',
  'src/fetch.ts',
  'src/service-worker.ts',
  'src/compat.ts',
  'workers/codec.worker.ts',
];

function nodeInTheWeb(modules: Modules): string[] {
  return WEB_ENTRIES.flatMap((entry) =>
    [...loadedWith(modules, entry)]
      .filter(([target]) => target.startsWith('node:') || target.endsWith('.node.ts'))
      .map(([, way]) => `${way}: browsers load ${entry}, and have no such module.`),
  );
}

/** Bytes and JSON to objects and back: testable with arrays alone, and safe to use anywhere. */
const isFormat = (path: string) =>
  /^src\/(xorb|shard|formats)\//.test(path) ||
  /^src\/(cas\/reconstruction|download\/(plan|held-chunks)|hash|chunks|ranges|steps)\.ts$/.test(path);
/** What formats may lean on: errors, and checks of JSON values. Neither does any I/O. */
const FORMAT_HELPERS = ['src/errors.ts', 'src/secrets.ts', 'src/http/json.ts'];

function formatsWithMore(modules: Modules): string[] {
  return [...modules.keys()]
    .filter(isFormat)
    .flatMap((path) =>
      [...loadedWith(modules, path)]
        .filter(([target]) => !isFormat(target) && !FORMAT_HELPERS.includes(target))
        .map(
          ([, way]) => `${way}: formats load no clients, no files and no packages. Take what is needed as an argument.`,
        ),
    );
}

const isLocalHub = (path: string) => path === 'src/local-hub.ts' || path.startsWith('src/local-hub/');

function localHubElsewhere(modules: Modules): string[] {
  return [...modules]
    .filter(([path]) => !isLocalHub(path) && path !== 'src/cli/serve.ts')
    .flatMap(([path, imports]) =>
      imports
        .filter(({ target }) => isLocalHub(target))
        .map(
          ({ target }) =>
            `${path} imports ${target}. The local Hub is a server of its own: only \`xetkit serve\` starts it.`,
        ),
    );
}

describe('the layers of the project', async () => {
  const modules = await readModules();

  test('all imports lead somewhere', () => {
    const lost = [...modules].flatMap(([path, imports]) =>
      imports
        .map(({ target }) => target)
        .filter((target) => /^(src|workers)\//.test(target) && !modules.has(target))
        .map((target) => `${path} → ${target}`),
    );
    expect(lost).toEqual([]);
    for (const entry of WEB_ENTRIES) expect(loadedWith(modules, entry).size).toBeGreaterThan(2);
  });

  test("only adapters import 'node:'", () => expect(nodeOutsideOfAdapters(modules)).toEqual([]));
  test("nothing that browsers load imports 'node:'", () => expect(nodeInTheWeb(modules)).toEqual([]));
  test('formats do no I/O', () => expect(formatsWithMore(modules)).toEqual([]));
  test('nothing but its command imports the local Hub', () => expect(localHubElsewhere(modules)).toEqual([]));
});

// The rules above pass when they see nothing at all: these projects break each of them.
describe('a rule that is broken gives its reason', () => {
  test.each([
    "import { join } from 'node:path';",
    "import type { Server } from 'node:http';",
    "export * from 'node:fs';",
    "import 'node:fs';",
    "const fs = await import('node:fs');",
    "type Stats = import('node:fs').Stats;",
  ])('%s', (source) => {
    const modules = modulesOf({ 'src/http/http.ts': source, 'src/platform.node.ts': source, 'src/cli/run.ts': source });
    expect(nodeOutsideOfAdapters(modules)).toEqual([expect.stringMatching(/^src\/http\/http\.ts imports node:/)]);
  });

  test('a way from a web entry to Node, and none through a type', () => {
    const modules = modulesOf({
      'src/index.ts': "import { a } from './a.ts'; import type { T } from './types.node.ts';",
      'src/a.ts': "export const b = () => import('./deep/b.node.ts');",
      'src/deep/b.node.ts': "import { join } from 'node:path';",
      'src/types.node.ts': "import 'node:fs';",
    });
    expect(nodeInTheWeb(modules)).toEqual([
      expect.stringContaining('src/index.ts → src/a.ts → src/deep/b.node.ts:'),
      expect.stringContaining('src/index.ts → src/a.ts → src/deep/b.node.ts → node:path:'),
    ]);
  });

  test('a format that loads a client, also through a helper', () => {
    const modules = modulesOf({
      'src/xorb/frames.ts': "import { isRecord } from '../http/json.ts'; import type { Http } from '../http/http.ts';",
      'src/http/json.ts': "import { type Reply } from './http.ts';",
      'src/http/http.ts': '',
    });
    expect(formatsWithMore(modules)).toEqual([
      expect.stringContaining('src/xorb/frames.ts → src/http/json.ts → src/http/http.ts:'),
    ]);
  });

  test('the local Hub in the client', () => {
    const source = "import { startLocalHub } from './local-hub.ts';";
    const modules = modulesOf({ 'src/client.ts': source, 'src/local-hub.ts': '', 'src/cli/serve.ts': source });
    expect(localHubElsewhere(modules)).toEqual([expect.stringContaining('src/client.ts imports src/local-hub.ts.')]);
  });
});
