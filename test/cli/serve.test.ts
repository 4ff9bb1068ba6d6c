import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { readTokens } from '../../src/cli/serve.ts';
import { scratch } from '../support/hub.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

interface Running {
  child: ChildProcess;
  said: { stdout: string; stderr: string };
  ended: Promise<number | null>;
}

async function start(args: string[]): Promise<Running> {
  const home = await scratch();
  const child = spawn(process.execPath, [command, 'serve', ...args], {
    env: { PATH: process.env.PATH, HOME: home, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (piece) => {
    said.stdout += piece;
  });
  child.stderr.on('data', (piece) => {
    said.stderr += piece;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, said, ended };
}

/** Starts a Hub and gives its address once it has told it. */
async function serving(args: string[]): Promise<Running & { url: string }> {
  const running = await start(args);
  const url = () => /Local Hub at (http:\S+),/.exec(running.said.stdout)?.[1];
  await expect.poll(() => url() ?? running.child.exitCode, { timeout: 30_000, interval: 20 }).toBeTruthy();
  return { ...running, url: url() ?? '' };
}

/** A folder with as many repositories. */
async function repositories(count: number): Promise<string> {
  const folder = await scratch();
  for (let index = 0; index < count; index++) {
    await mkdir(join(folder, 'me', `model-${index}`), { recursive: true });
    await writeFile(join(folder, 'me', `model-${index}`, 'a.txt'), 'a');
  }
  return folder;
}

test('what is wrong is said in one line', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const folder = await scratch();
  const someFile = join(folder, 'file');
  await writeFile(someFile, 'x');
  const cases: [string[], number, RegExp][] = [
    [['--seed', join(folder, 'nope')], 2, /nope cannot be put into the Hub: there is no such folder\. Check --seed\./],
    [['--seed', someFile], 2, /is not a folder/],
    [['--seed', ''], 2, /--seed is empty/],
    [['--dir', ''], 2, /--dir is empty/],
    [['--dir', someFile], 2, /cannot be|not a folder/i],
    [['--dir', folder], 2, /holds other files/],
    [['--port', String(port)], 1, new RegExp(`127\\.0\\.0\\.1:${port} is in use .*--port`)],
    [['--port', '99999'], 2, /Not a port: '99999'/],
    [['--port', '-1'], 2, /Not a port: '-1'/],
    [['--port', 'http'], 2, /Not a port: 'http'/],
    [['--host', '192.0.2.1'], 2, /192\.0\.2\.1 is not an address of this machine.*--host/],
    [['--host', 'no such host'], 2, /Not a host name|is not a name or an address/],
    [['--token', ''], 2, /--token is empty/],
    [['--token', 'read:'], 2, /--token is empty/],
    [['--token', 'hf_a', '--token', 'read:hf_a'], 2, /there twice/],
    [['--allow-origin', '*'], 2, /Not an origin: '\*'/],
    [['--allow-host', 'http://x'], 2, /Not a host name/],
  ];
  const outcomes = await Promise.all(
    cases.map(async ([args]) => {
      const { ended, said } = await start(args);
      return { code: await ended, ...said };
    }),
  );
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    const [args, exit, says] = cases[index]!;
    expect([args, code, stdout]).toEqual([args, exit, '']);
    expect(stderr).toMatch(says);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).not.toMatch(/ {4}at |Error:/);
  }
});

test.each([
  [1, '1 repository from'],
  [2, '2 repositories from'],
  [0, 'warning: No repositories in'],
])('a folder with %s repositories is put in', async (count, says) => {
  const { said, url } = await serving(['--seed', await repositories(count)]);
  expect(said.stderr).toContain(says);
  expect(await (await fetch(`${url}/api/models`)).json()).toHaveLength(count);
});

test('tokens say who may write; others read what is public', async () => {
  const { url, said } = await serving([
    '--seed',
    await repositories(1),
    '--token',
    'hf_writer',
    '--token=read:hf_reader',
    '--verbose',
    '--allow-origin',
    'http://localhost:3000',
    '--allow-host=hub.internal',
  ]);
  const create = async (name: string, token?: string, more: Record<string, string> = {}) => {
    const headers = { ...(token && { authorization: `Bearer ${token}` }), ...more };
    return (await fetch(`${url}/api/repos/create`, { method: 'POST', headers, body: JSON.stringify({ name }) })).status;
  };
  expect(await create('me/a', 'hf_writer')).toBe(200);
  expect(await create('me/b', 'hf_writer', { origin: 'http://localhost:3000' })).toBe(200);
  expect(await create('me/c', 'hf_writer', { origin: 'http://localhost:3001' })).toBe(403);
  expect(await create('me/c', 'hf_reader')).toBe(403);
  expect(await create('me/c', 'hf_local')).toBe(401);
  expect(await create('me/c')).toBe(401);
  expect((await fetch(`${url}/me/model-0/resolve/main/a.txt`)).status).toBe(200);
  await expect.poll(() => said.stderr).toMatch(/POST \/api\/repos\/create 200 \d+ bytes/);
  expect(said.stderr + said.stdout).not.toMatch(/hf_(writer|reader)/);
});

test('a Hub that is read-only takes nothing', async () => {
  const { url } = await serving(['--read-only', '--seed', await repositories(1)]);
  const body = '{"name":"me/a"}';
  expect((await fetch(`${url}/api/repos/create`, { method: 'POST', body })).status).toBe(403);
  expect((await fetch(`${url}/me/model-0/resolve/main/a.txt`)).status).toBe(200);
});

test('whoever opens it to the network is told that all may write', async () => {
  const { said } = await serving(['--host', '0.0.0.0']);
  await expect.poll(() => said.stderr).toMatch(/warning: Everybody .*--token/);
});

test('the help says each default once', async () => {
  const { ended, said } = await start(['--help']);
  expect(await ended).toBe(0);
  expect(said.stdout).toContain('(default: any free one)');
  expect(said.stdout).not.toContain('default: 0');
  for (const option of said.stdout.split(/\n {2}(?=--)/))
    expect(option.match(/default:/g)?.length ?? 0).toBeLessThan(2);
});

test('each token is a user of its own, whatever the order', () => {
  const { a, b } = readTokens(['read:a', 'b']);
  expect([a?.write, b?.write]).toEqual([false, true]);
  expect(a?.name).toMatch(/^user-[0-9a-f]{8}$/);
  expect(readTokens(['write:b', 'a']).b).toEqual(b);
});

test('a mirror names its upstream, serves it, and refuses options that have no meaning', async () => {
  const seed = await repositories(1);
  const hub = await serving(['--seed', seed]);
  const mirror = await start(['--upstream', hub.url, '--dir', join(await scratch(), 'mirror'), '--max-size', '1GB']);
  const url = () => /Mirror of http:\S+ at (http:\S+),/.exec(mirror.said.stdout)?.[1];
  await expect.poll(() => url() ?? mirror.child.exitCode, { timeout: 30_000, interval: 20 }).toBeTruthy();
  expect(await (await fetch(`${url()}/me/model-0/resolve/main/a.txt`)).text()).toBe('a');
  expect(await (await fetch(`${url()}/`)).text()).toContain(`export HF_ENDPOINT=${url()}`);
  mirror.child.kill('SIGTERM');
  await mirror.ended;
  const wrong = await start(['--offline']);
  expect(await wrong.ended).not.toBe(0);
  expect(wrong.said.stderr).toContain("Add 'upstream'");
});
