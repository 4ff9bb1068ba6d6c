import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { makeProject, removeProject } from './places.ts';
import { withTools } from './tools.ts';

// The lines that README has for these clients, as TypeScript takes them with the clients' own types.

const root = fileURLToPath(new URL('../..', import.meta.url));
const NODE = ['es2023', 'esnext.disposable'];
const PAGES = [...NODE, 'dom', 'dom.iterable'];
const IN_PAGES = "createXetCache({ rest: await caches.open('transformers-cache') })";

withTools(() => {
  let project: string;
  let lines: string;
  beforeAll(async () => {
    project = await makeProject();
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const blocks = [...readme.matchAll(/```js\n(.*?)```/gs)].map(([, block = '']) => block);
    lines = blocks.find((block) => block.includes('@huggingface/transformers')) ?? '';
    expect(lines).toContain('createXetCache()');
    return () => removeProject(project);
  });

  test.each([
    { name: 'Node', lib: NODE, types: ['node'], code: () => lines },
    { name: 'pages', lib: PAGES, types: [], code: () => lines.replace('createXetCache()', IN_PAGES) },
    { name: 'both', lib: PAGES, types: ['node'], code: () => lines },
  ])('with the types of $name', async ({ lib, types, code }) => {
    const given = 'declare const parquetUrl: string, ggufUrl: string;\nexport { metadata, table, tensorInfos };\n';
    await writeFile(join(project, 'lines.ts'), code() + given);
    const compilerOptions = {
      ...{ noEmit: true, strict: true, target: 'es2022', module: 'nodenext', skipLibCheck: true },
      ...{ lib, types, typeRoots: [join(root, 'node_modules/@types')] },
    };
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['lines.ts'] }));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const run = promisify(execFile)(process.execPath, [tsc], { cwd: project });
    const { stdout } = await run.catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  });
});
