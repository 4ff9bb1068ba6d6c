import { readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { newProject, type Project } from './project.ts';
import { bun, deno, node } from './runtimes.ts';

// The packed package in projects as people start them, with nothing of the checkout around.

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
const bytes = randomBytes(2_500_000, 4);
let project: Project;
let hub: LocalHub;

beforeAll(async () => {
  project = await newProject();
  hub = await startLocalHub();
  await hub.commitFiles('owner/model', { 'a.bin': bytes }, { xet: 'always' });
  return () => hub.close();
});
afterAll(() => project.remove());

const PROGRAM = `
  const client = new XetClient({ endpoint: process.env.HUB, accessToken: '' });
  const { localPath, verified } = await client.downloadFile({ repo: 'owner/model', path: 'a.bin', localDir: process.env.TO });
  const { codec } = client.metrics();
  await client.close();
  console.log(JSON.stringify({ localPath, verified, inWorkers: codec.inWorkers > 0 }));
`;

describe('runtimes', async () => {
  const runtimes: [string, string, string[]][] = [
    [`Node ${process.versions.node}`, process.execPath, []],
    ['Node 22', node(22), []],
    ['Node 24', node(24), []],
    ['Node 26', node(26), []],
    ['Deno', deno(), ['run', '--allow-all', '--no-lock', '--no-prompt', '--node-modules-dir=manual']],
    ['Bun', bun(), ['run']],
  ];
  const kinds = {
    'main.mjs': `import { XetClient } from 'xetkit'; ${PROGRAM}`,
    'main.cjs': `const { XetClient } = require('xetkit'); (async () => { ${PROGRAM} })();`,
  };
  describe.each(runtimes)('%s', (name, command, args) => {
    test.each(Object.entries(kinds))('%s downloads, decoded in workers', async (file, source) => {
      await project.write(file, source);
      const to = join(project.folder, `${name} ${file}`);
      const { stdout, stderr } = await project.run(command, [...args, file], {
        HUB: hub.url,
        TO: to,
        HF_HOME: `${to} home`,
      });
      expect(JSON.parse(stdout)).toEqual({ localPath: join(to, 'a.bin'), verified: 'xet', inWorkers: true });
      expect(sha256(await readFile(join(to, 'a.bin')))).toBe(sha256(bytes));
      expect(stderr).toBe('');
    });
  });
});

describe('TypeScript', () => {
  beforeAll(async () => {
    await project.write(
      'all.mts',
      `import { isXetError, type DownloadResult, XetClient } from 'xetkit';
       import { loadCodec } from 'xetkit/codec';
       import { createXetFetch } from 'xetkit/fetch';
       import { startLocalHub } from 'xetkit/local-hub';
       import { installXet } from 'xetkit/service-worker';
       export const client = new XetClient({ memoryBudget: 2 ** 26 });
       export const result: Promise<DownloadResult> = client.downloadFile({ repo: 'owner/model', path: 'a' });
       // @ts-expect-error there is no such option
       export const wrong = new XetClient({ memory: 1 });
       export const all = [isXetError, loadCodec, createXetFetch, startLocalHub, installXet];`,
    );
    await symlink(join(modules, '@types'), join(project.folder, 'node_modules/@types'), 'junction');
  });

  test.each([
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
    ['bundler', 'esnext'],
  ])('moduleResolution %s', async (moduleResolution, module) => {
    const settings = { module, moduleResolution, target: 'es2022', strict: true, noEmit: true, skipLibCheck: false };
    const lib = ['es2023', 'esnext.disposable', 'dom', 'dom.iterable', 'dom.asynciterable'];
    await project.write(
      'tsconfig.json',
      JSON.stringify({ compilerOptions: { ...settings, lib, types: ['node'] }, files: ['all.mts'] }),
    );
    const tsc = project.run(process.execPath, [join(modules, 'typescript/bin/tsc'), '--project', project.folder]);
    await expect(tsc).resolves.toEqual({ stdout: '', stderr: '' });
  });
});

test('Vite builds a page, with the worker and the WebAssembly beside it', async () => {
  await project.write('index.html', '<script type="module" src="/page.js"></script>');
  await project.write(
    'page.js',
    "import { XetClient } from 'xetkit'; window.client = new XetClient({ endpoint: 'https://hub.example' });",
  );
  await build({ root: project.folder, configFile: false, logLevel: 'silent' });
  const built = await readdir(join(project.folder, 'dist/assets'));
  expect(built).toEqual(
    expect.arrayContaining([expect.stringMatching(/worker.*\.js$/), expect.stringMatching(/\.wasm$/)]),
  );
});
