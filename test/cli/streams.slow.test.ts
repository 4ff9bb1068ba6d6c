import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { contentUnder, hubFor, scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const repo = 'owner/model';

async function start(program: string, args: string[], env: NodeJS.ProcessEnv = {}) {
  const home = await scratch();
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, HOME: home, HF_HOME: join(home, 'hf'), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: home,
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, ended: once(child, 'close').then(([code]) => code as number | null) };
}

/** Runs the command in a pipe whose reader is gone before the command begins. */
async function intoNobody(
  args: string[],
  env: NodeJS.ProcessEnv,
  redirection = '',
): Promise<{ code: number | null; stderr: string }> {
  const go = join(await scratch(), 'go');
  const script = [
    'set -o pipefail; go=$1; shift; mkfifo "$go"',
    `{ read -r _ < "$go"; "$@" ${redirection}; } | { exec <&-; echo > "$go"; }`,
  ].join('\n');
  const { child, ended } = await start('bash', ['-c', script, 'bash', go, process.execPath, command, ...args], env);
  const stderr = await text(child.stderr);
  return { code: await ended, stderr };
}

const COMMANDS: string[][] = [
  ['--help'],
  ['--version'],
  ['help', 'download'],
  ['download', '--help'],
  ['completion', 'bash'],
  ['completion', 'zsh'],
  ['completion', 'fish'],
  ['ls', repo],
  ['ls', repo, '--recursive', '--json'],
  ['hash', command],
  ['hash', command, '--json'],
  ['download', repo],
  ['download', repo, '--json'],
  ['download', repo, 'small.txt'],
  ['download', repo, '--dry-run'],
  ['upload', repo, command],
  ['upload', repo, command, '--json'],
  ['compare', repo],
  ['compare', repo, '--json'],
  ['cache', 'ls'],
  ['cache', 'ls', '--json'],
  ['cache', 'verify', '--json'],
  ['cache', 'rm', repo, '--dry-run'],
  ['cache', 'prune', '--dry-run'],
  ['serve'],
  ['serve', '--json'],
  ['doctor'],
  ['doctor', '--json'],
];

test.each(COMMANDS.map((args) => [args.join(' ').replace(command, 'FILE'), args] as const))(
  'xetkit %s ends quietly when nobody reads its output',
  async (_, args) => {
    const hub = await hubFor();
    await hub.commitFiles(repo, { 'small.txt': new TextEncoder().encode('hello\n') });
    const home = await scratch();
    const env = { HF_ENDPOINT: hub.url, HF_HOME: home };
    if (args[0] === 'cache') {
      const { ended } = await start(process.execPath, [command, 'download', repo, '--quiet'], env);
      expect(await ended).toBe(0);
    }
    const { code, stderr } = await intoNobody(args, env);
    // An upload tells what it did before it prints the commit.
    expect(stderr).toMatch(args[0] === 'upload' ? /^(1 file, .*\n)?$/ : /^$/);
    // Some of them have nothing to say on stdout.
    const silent = args.includes('verify') || args.includes('rm') || args.includes('prune');
    expect(silent ? [0, 141] : [141], stderr).toContain(code);
  },
);

test('a download ends when its reader leaves in the middle, however long the rest would take', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, {
    'first.txt': new TextEncoder().encode('first\n'),
    'large.bin': randomBytes(2_000_000, 1),
    'later.txt': new TextEncoder().encode('later\n'),
  });
  hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 100_000, times: 1e9 });
  const held = hub.faults.add({
    kind: 'any',
    action: 'status',
    status: 503,
    times: 1e9,
    match: (path) => path.includes('later.txt'),
  });
  const localDir = await scratch();
  const args = ['download', repo, '--json', '--quiet', '--local-dir', localDir];
  const { child, ended } = await start(process.execPath, [command, ...args], { HF_ENDPOINT: hub.url });
  const stderr = text(child.stderr);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  expect(JSON.parse(line)).toMatchObject({ path: 'first.txt' });
  child.stdout.destroy();
  held.remove();
  expect(await ended).toBe(141);
  expect(await stderr).toBe('');
  expect(await contentUnder(localDir)).toEqual(['first.txt', 'later.txt']);
});

const shell = async (script: string, args: string[], env: NodeJS.ProcessEnv) => {
  const { child, ended } = await start('bash', ['-c', script, 'bash', process.execPath, command, ...args], env);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await ended, stdout, stderr };
};

test.each([['ls', repo], ['download', repo, '--json'], ['--help'], ['completion', 'fish'], ['doctor']])(
  'xetkit %s %s says in one line that stdout is full',
  async (...args) => {
    const hub = await hubFor();
    await hub.commitFiles(repo, { 'small.txt': new TextEncoder().encode('hello\n') });
    const { code, stderr } = await shell('"$@" > /dev/full', args, { HF_ENDPOINT: hub.url });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^xetkit: Cannot write to stdout: ENOSPC.*\.\n$/);
  },
);

test.each([
  ['is full', '"$@" 2> /dev/full'],
  ['is closed', '"$@" 2>&-'],
  ['has lost its reader', '{ "$@" 2>&3 | cat; } 3> >(exec true)'],
])('a download goes on when stderr %s', async (_, script) => {
  const hub = await hubFor();
  await hub.commitFiles(repo, { 'a/large.bin': randomBytes(500_000, 2), 'small.txt': new TextEncoder().encode('hi') });
  // Something to say on stderr: a retry.
  hub.faults.add({ kind: 'tree', action: 'status', status: 503, body: '' });
  const localDir = join(await scratch(), 'new');
  const ran = await shell(`set -o pipefail; ${script}`, ['download', repo, '--local-dir', localDir], {
    HF_ENDPOINT: hub.url,
  });
  expect(ran).toMatchObject({ code: 0, stdout: `${localDir}\n` });
  expect(await contentUnder(localDir)).toEqual(['a/large.bin', 'small.txt']);
});

test('both streams of a download may lead to the same reader that has left', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, { 'small.txt': new TextEncoder().encode('hello\n') });
  const { code, stderr } = await intoNobody(['download', repo], { HF_ENDPOINT: hub.url }, '2>&1');
  expect({ code, stderr }).toEqual({ code: 141, stderr: '' });
});
