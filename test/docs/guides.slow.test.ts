import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { startLocalHub } from 'xetkit/local-hub';
import { exports } from '../../package.json' with { type: 'json' };
import { type Block, blocksOf, examples, guides, programOf, root } from './blocks.ts';
import { runThere, seedForGuides, workplace } from './workplace.ts';

const all = [...guides().flatMap((path) => blocksOf(path)), ...examples()];
const named = (blocks: Block[]) => blocks.map((block) => [block.place, block] as const);
const scripts = all.filter(({ language }) => language === 'js');

/** Packages of others, which the guides show together with this one. */
const OTHERS = ['@huggingface/*', 'hyparquet', ...('./compat' in exports ? [] : ['xetkit/compat'])];

let hub: LocalHub;
beforeAll(async () => {
  hub = await startLocalHub();
  await seedForGuides(hub);
  return () => hub.close();
});

describe('blocks run as they stand', () => {
  // Some of them upload.
  beforeEach(() => seedForGuides(hub));

  test.each(named(scripts.filter(({ mark }) => mark === undefined)))('%s', async (_, block) => {
    const folder = await workplace();
    await writeFile(join(folder, 'block.mjs'), programOf(block));
    const { code, said } = await runThere(folder, process.execPath, ['block.mjs'], hub);
    expect(said).not.toMatch(/Error/);
    expect(code, said).toBe(0);
  });

  test.each(named(all.filter(({ language, mark }) => language === 'sh' && mark === undefined)))(
    '%s',
    async (_, block) => {
      const folder = await workplace();
      const { code, said } = await runThere(folder, '/bin/sh', ['-ec', block.text], hub);
      expect(code, said).toBe(0);
    },
  );
});

test.each(named(scripts.filter(({ mark }) => mark !== undefined)))('%s can be bundled', async (_, block) => {
  const folder = await workplace();
  const page = block.mark?.kind !== 'not run';
  const { errors, warnings } = await build({
    stdin: { contents: programOf(block), resolveDir: folder, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: page ? 'browser' : 'node',
    external: OTHERS,
    logLevel: 'silent',
  });
  // Users do not see that of a package which is really in node_modules.
  const seen = warnings.filter(({ id }) => id !== 'ignored-bare-import');
  expect([...errors, ...seen]).toEqual([]);
});

test('the types of all of them are right', async () => {
  const folder = await workplace();
  const paths = await Promise.all(
    scripts.map(async (block, index) => {
      const path = join(folder, `${index}.mts`);
      const scope =
        block.mark?.kind === 'service worker'
          ? "declare const self: import('xetkit/service-worker').ServiceWorkerScope;"
          : 'export {};';
      await writeFile(path, `${scope}\n${programOf(block)}`);
      return path;
    }),
  );
  const program = ts.createProgram(paths, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: [
      'lib.es2023.d.ts',
      'lib.esnext.disposable.d.ts',
      'lib.dom.d.ts',
      'lib.dom.iterable.d.ts',
      'lib.dom.asynciterable.d.ts',
    ],
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    noImplicitAny: false,
    skipLibCheck: true,
    noEmit: true,
  });
  const wrong = ts.getPreEmitDiagnostics(program).flatMap(({ file, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    // Packages that are not here, and what they would say of their values.
    if (OTHERS.some((name) => name === 'xetkit/compat') && text.includes("'xetkit/compat'")) return [];
    if (/Cannot find module '(@huggingface\/(gguf|transformers)|hyparquet)'/.test(text)) return [];
    const block = scripts[paths.indexOf(file?.fileName ?? '')];
    const line = file?.text.slice(start).split('\n', 1)[0];
    return `${block?.place}: ${text} (${line})`;
  });
  expect(wrong).toEqual([]);
}, 120_000);

test('every block is tried, or says why not', () => {
  const silent = all.filter(({ language, mark }) => !['js', 'sh'].includes(language) && mark === undefined);
  expect(silent.map(({ place }) => place)).toEqual([]);
  for (const { place, mark } of all) {
    if (mark?.kind === 'not run') expect(mark.text, place).not.toBe('');
    if (mark?.kind === 'tested by') expect(existsSync(join(root, mark.text)), `${place}: ${mark.text}`).toBe(true);
  }
});

test('the README sets up with two commands', async () => {
  const commands = blocksOf('README.md').filter(({ text }) => /\bnpm\b/.test(text));
  expect(commands.map(({ text }) => text.trim())).toEqual(['npm ci && npm run demo', 'npm ci && npm test']);
  // At 200 words a minute three minutes are 600, without the code.
  const prose = (await readFile(`${root}README.md`, 'utf8')).replace(/^```[\s\S]*?^```$|<!--.*?-->/gm, '');
  expect(prose.split(/\s+/).length).toBeLessThan(750);
});
