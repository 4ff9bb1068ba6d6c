import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { version } from '../../package.json' with { type: 'json' };
import { VERSION } from '../../src/version.ts';
import { contentUnder, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const repo = 'owner/model';
const files = {
  'config.json': new TextEncoder().encode('{}\n'),
  'big.bin': randomBytes(2_000_000, 1),
  'nested/a.txt': text(300, 2),
  'nested/b.bin': randomBytes(50_000, 3),
};

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the command as a shell would; `interruptWhen` sends SIGINT once stderr or the Hub says so. */
async function xetkit(
  args: string[],
  options: { env?: NodeJS.ProcessEnv; interruptWhen?: () => boolean } = {},
): Promise<Ran> {
  const home = await scratch();
  const env = { PATH: process.env.PATH, HOME: home, HF_HOME: join(home, 'hf'), NO_COLOR: '1', ...options.env };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [command, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const ran: Ran = { code: null, stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      ran.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      ran.stderr += chunk;
    });
    const watch = setInterval(() => {
      if (!options.interruptWhen?.()) return;
      clearInterval(watch);
      child.kill('SIGINT');
    }, 5);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(watch);
      resolve({ ...ran, code });
    });
  });
}

const lines = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('download says one object a file and a summary', async () => {
  const hub = await hubFor();
  const { commit } = await hub.commitFiles(repo, files);
  const localDir = await scratch();
  const { code, stdout, stderr } = await xetkit(
    ['download', repo, 'big.bin', 'config.json', '--local-dir', localDir, '--json'],
    { env: { HF_ENDPOINT: hub.url } },
  );
  expect(code).toBe(0);
  const [summary, ...rest] = lines(stdout).reverse();
  expect(rest.map(({ path }) => path).sort()).toEqual(['big.bin', 'config.json']);
  expect(rest.find(({ path }) => path === 'big.bin')).toMatchObject({
    localPath: join(localDir, 'big.bin'),
    size: 2_000_000,
    etag: sha256(files['big.bin']),
    verified: 'xet',
    bytes: { cache: 0, local: 0 },
  });
  expect(summary).toMatchObject({ summary: true, files: 2 });
  expect(stderr).toMatch(/2 files, 2\.00 MB, verified/);
  expect(sha256(await readFile(join(localDir, 'big.bin')))).toBe(sha256(files['big.bin']));
  expect(commit).toMatch(/^[0-9a-f]{40}$/);
});

test('download of a whole repository, by patterns and folders', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  const env = { HF_ENDPOINT: hub.url };
  const all = await scratch();
  const whole = await xetkit(['download', repo, '--local-dir', all], { env });
  expect(whole.stdout.trim()).toBe(all);
  expect(await contentUnder(all)).toEqual(expect.arrayContaining(Object.keys(files)));
  const some = await scratch();
  await xetkit(
    ['download', repo, '--include', '*.bin', '--include', 'config*', '--exclude', 'nested/*', '--local-dir', some],
    { env },
  );
  expect(await contentUnder(some)).toEqual(['big.bin', 'config.json']);
  const folder = await scratch();
  await xetkit(['download', `hf://${repo}`, 'nested/', '--local-dir', folder], { env });
  expect(await contentUnder(folder)).toEqual(['nested/a.txt', 'nested/b.bin']);
  const nothing = await xetkit(['download', repo, '--include', '*.zip', '--local-dir', folder], { env });
  expect(nothing).toMatchObject({ code: 1, stdout: '' });
  expect(nothing.stderr).toMatch(/\*\.zip/);
});

test('ls lists folders and files', async () => {
  const hub = await hubFor();
  await hub.commitFiles({ type: 'dataset', name: 'owner/data' }, files);
  const env = { HF_ENDPOINT: hub.url };
  const json = await xetkit(['ls', 'datasets/owner/data', '--recursive', '--json'], { env });
  const entries = lines(json.stdout);
  expect(entries.filter(({ type }) => type === 'file').map(({ path }) => path)).toEqual(
    expect.arrayContaining(Object.keys(files)),
  );
  expect(entries.find(({ path }) => path === 'big.bin')).toMatchObject({
    size: 2_000_000,
    xetHash: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  const people = await xetkit(['ls', 'owner/data', 'nested', '--repo-type', 'dataset'], { env });
  expect(people.stdout).toMatch(/300 B {2}nested\/a\.txt\n/);
});

test('hash tells what an upload would have', async () => {
  const folder = await scratch();
  const path = join(folder, 'a b.bin');
  await writeFile(path, files['big.bin']);
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  const [hashes] = lines((await xetkit(['hash', path, '--json'])).stdout);
  const [entry] = lines((await xetkit(['ls', repo, '--json'], { env: { HF_ENDPOINT: hub.url } })).stdout).filter(
    (one) => one.path === 'big.bin',
  );
  expect(hashes).toMatchObject({
    localPath: path,
    size: 2_000_000,
    sha256: sha256(files['big.bin']),
    xetHash: entry?.xetHash,
  });
  expect(hashes?.chunks).toBeGreaterThan(15);
});

test('serve seeds and serves until it is interrupted', async () => {
  const seed = await scratch();
  await mkdir(join(seed, 'me', 'model'), { recursive: true });
  await writeFile(join(seed, 'me', 'model', 'weights.bin'), randomBytes(1_500_000, 9));
  const port = 20_000 + Math.floor(Math.random() * 30_000);
  const endpoint = `http://127.0.0.1:${port}`;
  let answered = '';
  const timer = setInterval(async () => {
    const answer = await fetch(`${endpoint}/api/models/me/model`).then(
      (response) => response.text(),
      () => '',
    );
    // The Hub listens before it has taken in everything.
    if (answer.includes('weights.bin')) answered = answer;
  }, 20);
  const { code, stdout } = await xetkit(['serve', '--seed', seed, '--port', String(port), '--json'], {
    interruptWhen: () => answered !== '',
  });
  clearInterval(timer);
  expect(JSON.parse(answered)).toMatchObject({
    id: 'me/model',
    siblings: expect.arrayContaining([expect.objectContaining({ rfilename: 'weights.bin' })]),
  });
  expect(lines(stdout)[0]).toMatchObject({ url: endpoint });
  expect(code).toBe(0);
});

test.each<[what: string, args: string[], code: number, says: RegExp]>([
  ['no command', [], 2, /Usage: xetkit/],
  ['an unknown option', ['download', repo, '--unknown'], 2, /unknown option/],
  ['two places at once', ['download', repo, '--local-dir', 'a', '--cache-dir', 'b'], 2, /exclude each other/],
  ['a size that is none', ['download', repo, '--memory', 'lots'], 2, /64MB/],
  ['a repository that is none', ['download', 'a/b/c'], 2, /owner\/name/],
  ['a file that is not there', ['hash', '/nonexistent/file'], 2, /nonexistent/],
  ['a folder to hash', ['hash', '/'], 2, /folder/],
  ['an unknown repository', ['download', 'owner/unknown', 'a'], 1, /^xetkit: .*token/s],
  ['an unknown file', ['download', repo, 'unknown.bin'], 1, /^xetkit: .*list the repository/s],
])('%s', async (_what, args, code, says) => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  const ran = await xetkit(args, { env: { HF_ENDPOINT: hub.url } });
  expect(ran.stderr).toMatch(says);
  expect(ran.code).toBe(code);
  expect(ran.stdout).toBe('');
});

test('an interrupted download ends at once with 130, and leaves no file that looks whole', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 100_000, times: 1e9 });
  const localDir = await scratch();
  const ran = await xetkit(['download', repo, 'big.bin', '--local-dir', localDir], {
    env: { HF_ENDPOINT: hub.url },
    interruptWhen: () => seen(hub, 'xorb').length > 0 || hub.requests.some(({ path }) => path.includes('/xorbs/')),
  });
  expect(ran).toMatchObject({ code: 130, stdout: '' });
  expect(ran.stderr).toMatch(/Interrupted\. .*run the same command to resume/);
  expect(await contentUnder(localDir)).not.toContain('big.bin');
});

test('a retry is told as it happens, with its reason', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  hub.faults.add({ kind: 'xorb', action: 'status', status: 503, headers: { 'retry-after': '0' } });
  hub.faults.add({ kind: 'resolve', action: 'refuse' });
  const localDir = await scratch();
  const args = ['download', repo, 'big.bin', '--local-dir', localDir];
  const { code, stderr } = await xetkit(args, { env: { HF_ENDPOINT: hub.url } });
  expect(code, stderr).toBe(0);
  const told = stderr.split('\n').filter((line) => line.includes('retrying: '));
  expect(told).toHaveLength(2);
  expect(told[0]).toMatch(/retrying: .*connection.*\(attempt 1 of \d+, again in .+\)/i);
  expect(told[1]).toMatch(/retrying: .*503.*\(attempt 1 of \d+, again in .+\)/);
});

test('what gives up in the end says why, in its last line', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  hub.faults.add({ kind: 'resolve', action: 'status', status: 503, headers: { 'retry-after': '0' }, times: 1e9 });
  const args = ['download', repo, 'big.bin', '--local-dir', await scratch()];
  const { code, stdout, stderr } = await xetkit(args, { env: { HF_ENDPOINT: hub.url } });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  const told = stderr.trim().split('\n');
  expect(told.filter((line) => line.includes('retrying: ')).length).toBeGreaterThan(1);
  expect(told.at(-1)).toMatch(/^xetkit: .*503/);
});

test("help teaches, and the version is the package's", async () => {
  const help = await xetkit(['download', '--help']);
  expect(help).toMatchObject({ code: 0, stderr: '' });
  for (const option of ['--include', '--revision', '--local-dir', '--memory', '--json'])
    expect(help.stdout).toContain(option);
  expect((await xetkit(['--version'])).stdout.trim()).toBe(version);
  expect(VERSION).toBe(version);
});
