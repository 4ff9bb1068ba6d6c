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
  /** True if only Node, Deno and Bun load it: one of the two modules that `#folder/name` stands for. */
  nodeOnly?: boolean;
}
type Modules = ReadonlyMap<string, readonly Import[]>;

function importsOf(path: string, source: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return;
    const { text } = specifier;
    if (text.startsWith('#')) {
      found.push({ target: `src/${text.slice(1)}.node.ts`, typeOnly, nodeOnly: true });
      found.push({ target: `src/${text.slice(1)}.web.ts`, typeOnly });
      return;
    }
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

async function readModules(...folders: string[]): Promise<Modules> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const sources: Record<string, string> = {};
  for (const folder of folders) {
    for (const entry of await readdir(`${root}${folder}`, { recursive: true })) {
      const path = `${folder}/${entry.replaceAll('\\', '/')}`;
      if (/\.(ts|mjs)$/.test(path)) sources[path] = await readFile(`${root}${path}`, 'utf8');
    }
  }
  return modulesOf(sources);
}

/** All modules that browsers load with this one, and through which: `a → b → c`. */
function loadedWith(modules: Modules, entry: string): Map<string, string> {
  const ways = new Map([[entry, entry]]);
  for (const [path, way] of ways) {
    for (const { target, typeOnly, nodeOnly } of modules.get(path) ?? []) {
      if (!typeOnly && !nodeOnly && !ways.has(target)) ways.set(target, `${way} → ${target}`);
    }
  }
  return ways;
}

/** Folders from the top down: a module imports, also types, from its own folder or from one further down. */
const LAYERS = [
  'src/entries',
  'src/cli',
  'src/compat',
  'src/fetch',
  'src/local-hub',
  'src/client',
  'src/read',
  'src/snapshot',
  'src/manage',
  'src/download',
  'src/upload',
  'src/edit',
  'src/cache',
  'src/files',
  'src/codec',
  'src/workers',
  'workers',
  'src/cas',
  'src/fs',
  'src/hub',
  'src/http',
  'src/xorb',
  'src/formats',
  'src/core',
  'src',
];

const layerOf = (path: string) =>
  path
    .split('/')
    .slice(0, path.startsWith('src/') ? 2 : 1)
    .join('/');
const folderOf = (path: string) => (LAYERS.includes(layerOf(path)) ? layerOf(path) : posix.dirname(path));

function upwardImports(modules: Modules): string[] {
  return [...modules].flatMap(([path, imports]) =>
    imports
      .filter(({ target }) => modules.has(target) && LAYERS.indexOf(folderOf(target)) < LAYERS.indexOf(folderOf(path)))
      .map(
        ({ target }) =>
          `${path} imports ${target}: ${folderOf(target)} is above ${folderOf(path)}. Move what both need down.`,
      ),
  );
}

/** Groups of modules that import each other, also only for types (Tarjan's algorithm). */
function cycles(modules: Modules): string[] {
  const found: string[] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (path: string): number => {
    index.set(path, index.size);
    let lowest = index.size - 1;
    stack.push(path);
    for (const { target } of modules.get(path) ?? []) {
      if (!modules.has(target)) continue;
      if (!index.has(target)) lowest = Math.min(lowest, visit(target));
      else if (stack.includes(target)) lowest = Math.min(lowest, index.get(target) ?? lowest);
    }
    low.set(path, lowest);
    if (lowest === index.get(path)) {
      const group = stack.splice(stack.indexOf(path));
      if (group.length > 1) found.push(group.sort().join(' ↔ '));
    }
    return lowest;
  };
  for (const path of modules.keys()) if (!index.has(path)) visit(path);
  return found;
}

/** Adapters for Node, Deno and Bun, and whole programs that run only there. */
const mayUseNode = (path: string) =>
  path.endsWith('.node.ts') || /^src\/entries\/(cli|local-hub)\.ts$/.test(path) || /^src\/(cli|local-hub)\//.test(path);

function nodeOutsideOfAdapters(modules: Modules): string[] {
  return [...modules]
    .filter(([path]) => !mayUseNode(path))
    .flatMap(([path, imports]) =>
      imports
        .filter(({ target }) => target.startsWith('node:'))
        .map(
          ({ target }) =>
            `${path} imports ${target}. Only platform adapters (*.node.ts), src/entries/index.ts, the command line and the local Hub may: ` +
            'everything else also runs in browsers. Put it behind an interface that src/client/platform.node.ts fills.',
        ),
    );
}

/** What browsers load. A bundler follows every import, also one that would never be reached. */
const WEB_ENTRIES = [
  'src/entries/index.ts',
  'src/entries/read.ts',
  'src/entries/codec.ts',
  'src/entries/formats.ts',
  'src/entries/fetch.ts',
  'src/entries/service-worker.ts',
  'src/entries/compat.ts',
  'src/entries/codec.worker.ts',
];

function nodeInTheWeb(modules: Modules): string[] {
  return WEB_ENTRIES.flatMap((entry) =>
    [...loadedWith(modules, entry)]
      .filter(([target]) => target.startsWith('node:') || target.endsWith('.node.ts'))
      .map(([, way]) => `${way}: browsers load ${entry}, and have no such module.`),
  );
}

/** Formats, planning and other pure code: bytes and values in, values out; no I/O. */
const isPure = (path: string) =>
  (/^src\/(xorb|formats|edit|core)\//.test(path) && !path.endsWith('.node.ts')) ||
  /^src\/(cas\/reconstruction|codec\/shard|download\/(plan|held-chunks))\.ts$/.test(path);

function impureImports(modules: Modules): string[] {
  return [...modules.keys()]
    .filter(isPure)
    .flatMap((path) =>
      [...loadedWith(modules, path)]
        .filter(([target]) => !isPure(target))
        .map(
          ([, way]) => `${way}: formats load no clients, no files and no packages. Take what is needed as an argument.`,
        ),
    );
}

const HTTP_CLIENT = 'src/http/node/';
/** Requests of Node, with all that belongs to them behind it. */
const HTTP_CLIENT_ENTRY = 'src/http/node/request.node.ts';

function insideOfHttpClient(modules: Modules): string[] {
  return [...modules]
    .filter(([path]) => !path.startsWith(HTTP_CLIENT))
    .flatMap(([path, imports]) =>
      imports
        .filter(({ target }) => target.startsWith(HTTP_CLIENT) && target !== HTTP_CLIENT_ENTRY)
        .map(({ target }) => `${path} imports ${target}. Use ${HTTP_CLIENT_ENTRY}.`),
    );
}

const isLocalHub = (path: string) => path === 'src/entries/local-hub.ts' || path.startsWith('src/local-hub/');

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
  const modules = await readModules('src', 'workers');

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

  test('every module belongs to a layer', () => {
    const layers = new Set([...modules.keys()].map(folderOf));
    expect([...layers].sort()).toEqual([...LAYERS].sort());
  });
  test('the root of src holds at most three files', () => {
    expect([...modules.keys()].filter((path) => folderOf(path) === 'src').length).toBeLessThanOrEqual(3);
  });
  test('imports, also of types, only go down', () => expect(upwardImports(modules)).toEqual([]));
  test('no modules import each other', () => expect(cycles(modules)).toEqual([]));
  test('no scripts, benchmarks or tests import each other', async () => {
    const programs = await readModules('bench', 'scripts', 'examples', 'test');
    expect(programs.size).toBeGreaterThan(300);
    expect(cycles(programs)).toEqual([]);
  });
  test("only adapters import 'node:'", () => expect(nodeOutsideOfAdapters(modules)).toEqual([]));
  test("nothing that browsers load imports 'node:'", () => expect(nodeInTheWeb(modules)).toEqual([]));
  test('formats do no I/O', () => expect(impureImports(modules)).toEqual([]));
  test('one module is the way into our HTTP client for Node', () => expect(insideOfHttpClient(modules)).toEqual([]));
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
    const modules = modulesOf({
      'src/http/http.ts': source,
      'src/client/platform.node.ts': source,
      'src/cli/run.ts': source,
    });
    expect(nodeOutsideOfAdapters(modules)).toEqual([expect.stringMatching(/^src\/http\/http\.ts imports node:/)]);
  });

  test('an import that goes up, also of a type', () => {
    const modules = modulesOf({
      'src/hub/client.ts':
        "import type { LocalCaches } from '../cache/local-caches.ts'; import { Http } from '../http/http.ts';",
      'src/cache/local-caches.ts': "import { XetError } from '../core/errors.ts';",
      'src/http/http.ts': '',
      'src/core/errors.ts': '',
    });
    expect(upwardImports(modules)).toEqual([
      expect.stringMatching(/^src\/hub\/client.ts imports src\/cache\/local-caches.ts/),
    ]);
  });

  test('modules that import each other, also through a third and by types', () => {
    const modules = modulesOf({
      'src/hub/a.ts': "import { b } from './b.ts';",
      'src/hub/b.ts': "import type { C } from './c.ts'; import { d } from './d.ts';",
      'src/hub/c.ts': "import { a } from './a.ts';",
      'src/hub/d.ts': '',
    });
    expect(cycles(modules)).toEqual(['src/hub/a.ts ↔ src/hub/b.ts ↔ src/hub/c.ts']);
  });

  test('a way from a web entry to Node, and none through a type', () => {
    const modules = modulesOf({
      'src/entries/index.ts': "import { a } from '../a.ts'; import type { T } from '../types.node.ts';",
      'src/a.ts': "export const b = () => import('./deep/b.node.ts');",
      'src/deep/b.node.ts': "import { join } from 'node:path';",
      'src/types.node.ts': "import 'node:fs';",
    });
    expect(nodeInTheWeb(modules)).toEqual([
      expect.stringContaining('src/entries/index.ts → src/a.ts → src/deep/b.node.ts:'),
      expect.stringContaining('src/entries/index.ts → src/a.ts → src/deep/b.node.ts → node:path:'),
    ]);
  });

  test('a module for browsers that leads to Node, chosen by platform', () => {
    const modules = modulesOf({
      'src/entries/index.ts': "import { platform } from '#client/platform';",
      'src/client/platform.node.ts': "import 'node:fs';",
      'src/client/platform.web.ts': "import { a } from '../core/a.ts';",
      'src/core/a.ts': "import 'node:fs';",
    });
    expect(nodeInTheWeb(modules)).toEqual([
      expect.stringContaining('src/entries/index.ts → src/client/platform.web.ts → src/core/a.ts → node:fs:'),
    ]);
  });

  test('a format that loads a client, also through a helper', () => {
    const modules = modulesOf({
      'src/xorb/frames.ts': "import { a } from '../core/a.ts'; import type { Http } from '../http/http.ts';",
      'src/core/a.ts': "import { type Reply } from '../http/http.ts';",
      'src/http/http.ts': '',
    });
    expect(impureImports(modules)).toEqual([
      expect.stringContaining('src/xorb/frames.ts → src/core/a.ts → src/http/http.ts:'),
      expect.stringContaining('src/core/a.ts → src/http/http.ts:'),
    ]);
  });

  test('a module inside of the HTTP client', () => {
    const modules = modulesOf({
      'src/http/http.ts': "import type { Connection } from './node/connection.node.ts';",
      'src/http/node/connection.node.ts': '',
      'src/http/node/exchange.node.ts': "import { Connection } from './connection.node.ts';",
    });
    expect(insideOfHttpClient(modules)).toEqual([expect.stringContaining('src/http/http.ts imports src/http/node/')]);
  });

  test('the local Hub in the client', () => {
    const source = "import { startLocalHub } from '../entries/local-hub.ts';";
    const modules = modulesOf({
      'src/client/client.ts': source,
      'src/entries/local-hub.ts': '',
      'src/cli/serve.ts': source,
    });
    expect(localHubElsewhere(modules)).toEqual([
      expect.stringContaining('src/client/client.ts imports src/entries/local-hub.ts.'),
    ]);
  });
});
