import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hubFor, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

// What a user gets: the packed package, installed into an empty project, without the checkout around it.

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
let project: string;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'xetkit-packed-'));
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project], { cwd: root });
  const [tarball = ''] = (await readdir(project)).filter((name) => name.endsWith('.tgz'));
  await writeFile(join(project, 'package.json'), '{ "private": true }');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--silent', join(project, tarball)], {
    cwd: project,
  });
});

afterAll(() => rm(project, { recursive: true, force: true }));

/** That of a user who has fetched nothing yet. */
const environment = () => ({
  PATH: process.env.PATH,
  HOME: project,
  HF_HOME: join(project, randomUUID()),
  NO_COLOR: '1',
});
const node = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  run(process.execPath, args, { cwd: project, env: { ...environment(), ...env } });

const DOWNLOAD = `
  const client = new XetClient({ endpoint: process.argv[1], accessToken: '' });
  const file = await client.open({ repo: 'owner/model', path: 'noise.bin' });
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { codec } = client.metrics();
  await client.close();
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
  console.log(JSON.stringify({ digest, inWorkers: codec.inWorkers > 0 }));
`;

test.each([
  ['import', ['--input-type=module', '-e', `import { XetClient } from 'xetkit'; ${DOWNLOAD}`]],
  ['require', ['-e', `const { XetClient } = require('xetkit'); (async () => { ${DOWNLOAD} })();`]],
])('%s: a download, decoded in workers', async (_how, args) => {
  const hub = await hubFor();
  const bytes = randomBytes(3_000_000, 1);
  await hub.commitFiles('owner/model', { 'noise.bin': bytes }, { xet: 'always' });
  const { stdout, stderr } = await node([...args, hub.url]);
  expect(JSON.parse(stdout)).toEqual({ digest: sha256(bytes), inWorkers: true });
  expect(stderr).toBe('');
});

test.each([
  'xetkit',
  'xetkit/read',
  'xetkit/codec',
  'xetkit/formats',
  'xetkit/fetch',
  'xetkit/service-worker',
  'xetkit/compat',
  'xetkit/local-hub',
])('%s can be imported and required', async (name) => {
  const script = `const { deepStrictEqual } = require('node:assert'); const required = require('${name}');
    import('${name}').then((imported) => deepStrictEqual(Object.keys(imported).sort(), Object.keys(required).sort()));`;
  expect(await node(['-e', script])).toEqual({ stdout: '', stderr: '' });
});

test('the command is there', async () => {
  const { stdout } = await run(join(project, 'node_modules/.bin/xetkit'), ['--help'], { env: environment() });
  expect(stdout).toMatch(/download/);
});

test('it is as small as it can be', async () => {
  const files = await readdir(join(project, 'node_modules/xetkit'), { recursive: true });
  expect(files.filter((name) => /\.(map|ts|mjs)$/.test(name) && !name.endsWith('.d.ts'))).toEqual([]);
  expect(await readdir(join(project, 'node_modules'))).toEqual(['.bin', '.package-lock.json', 'xetkit']);
});
