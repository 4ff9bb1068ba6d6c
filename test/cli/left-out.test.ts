import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { XetClient } from 'xetkit';
import { contentUnder, hubFor, scratch } from '../support/hub.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const repo = 'owner/model';
const bytes = (content: string) => new TextEncoder().encode(content);

async function xetkit(args: string[], env: Record<string, string> = {}) {
  const home = await scratch();
  const child = spawn(process.execPath, [command, ...args], {
    cwd: home,
    env: { PATH: process.env.PATH, HOME: home, HF_HOME: join(home, 'hf'), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, stdout, stderr, home };
}

/** A Hub in front of the local one that lists files under names which that one would not take. */
async function renaming(names: Record<string, string>): Promise<string> {
  const hub = await hubFor();
  await hub.commitFiles(repo, {
    'ok.txt': bytes('fine\n'),
    ...Object.fromEntries(Object.keys(names).map((name) => [name, bytes(`${name}\n`)])),
  });
  const server = createServer(async ({ url = '/', headers, method = 'GET' }, response) => {
    const sent = Object.fromEntries(
      ['accept', 'range'].flatMap((name) => (headers[name] ? [[name, String(headers[name])]] : [])),
    );
    const answer = await fetch(`${hub.url}${url}`, { method, headers: sent });
    const body = Buffer.from(await answer.arrayBuffer());
    const kept = [...answer.headers].filter(
      ([name]) => !/^(content-length|content-encoding|transfer-encoding|connection)$/.test(name),
    );
    response.writeHead(answer.status, Object.fromEntries(kept));
    if (!url.includes('/tree/')) return response.end(body);
    const entries = JSON.parse(body.toString()) as { path: string }[];
    const listed = JSON.stringify(entries.map((entry) => ({ ...entry, path: names[entry.path] ?? entry.path })));
    return response.end(listed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const ODD = {
  'wwwwwwwwwww.txt': 'bs/a\\b.txt',
  xxxxxxxxxxxxxxxxxxxxxxx: '.git/hooks/commit-msg',
  yyyyyyyyyyy: 't:1.txt',
  zzzzzzzzzzzzzzzzzz: 'dir/c:2.txt',
};

test('files that cannot be stored under their names are left out, the rest comes, and the exit code says so', async () => {
  const endpoint = await renaming(ODD);
  const localDir = await scratch();
  const { code, stdout, stderr } = await xetkit(['download', repo, '--local-dir', localDir], { HF_ENDPOINT: endpoint });
  expect({ code, stdout }).toEqual({ code: 1, stdout: `${localDir}\n` });
  const last = stderr.trim().split('\n').at(-1) ?? '';
  expect(last).toMatch(/^xetkit: Left out, as this system cannot store their names: /);
  for (const name of Object.values(ODD)) expect(last).toContain(`'${name}' (it `);
  expect(last).toMatch(/Everything else is in place\.$/);
  expect(await contentUnder(localDir)).toEqual(['ok.txt']);

  const again = await xetkit(['download', repo, '--local-dir', localDir, '--json', '--quiet'], {
    HF_ENDPOINT: endpoint,
  });
  expect(again.code).toBe(1);
  const lines = again.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.filter((line) => 'leftOut' in line)).toEqual(
    Object.values(ODD).map((path) => ({ path, leftOut: expect.stringMatching(/^it /) })),
  );
  const without = ['--exclude', '*\\*', '--exclude', '.git/*', '--exclude', '*:*'];
  expect(
    await xetkit(['download', repo, '--local-dir', localDir, ...without], { HF_ENDPOINT: endpoint }),
  ).toMatchObject({ code: 0 });
});

test('a program gets the names and the reasons', async () => {
  const endpoint = await renaming({ wwwwwwwwwww: 'a\\b.txt' });
  const warnings: string[] = [];
  await using client = new XetClient({ endpoint, onWarning: (warning) => warnings.push(warning) });
  const options = { repo, localDir: await scratch() };
  const leftOut = [{ path: 'a\\b.txt', reason: expect.stringContaining("'\\'") }];
  expect(await client.planSnapshot(options)).toMatchObject({ leftOut, totals: { files: 1 } });
  expect(await client.snapshot(options)).toMatchObject({ leftOut, files: [{ path: 'ok.txt' }] });
  expect(warnings).toHaveLength(2);
});

test.each([
  ['download', repo, '--local-dir', ''],
  ['download', repo, '--cache-dir', ''],
  ['cache', 'ls', '--cache-dir', ''],
  ['serve', '--dir', ''],
  ['serve', '--seed', ''],
])('xetkit %s %s %s %j is a usage error', async (...args) => {
  const { code, stdout, stderr, home } = await xetkit(args, { HF_ENDPOINT: 'http://127.0.0.1:1' });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^xetkit: --[a-z-]+ is empty\. Name a folder/);
  expect(await contentUnder(home)).toEqual([]);
});

test('an empty folder is refused as an option of the library as well', async () => {
  const invalid = { code: 'INVALID_ARGUMENT', message: expect.stringMatching(/is empty/) };
  expect(() => new XetClient({ cacheDir: '' })).toThrow(/cacheDir is empty/);
  expect(() => new XetClient({ chunkCache: { dir: '' } })).toThrow(/chunkCache\.dir is empty/);
  await using client = new XetClient({ endpoint: 'http://127.0.0.1:1' });
  await expect(client.snapshot({ repo, localDir: '' })).rejects.toMatchObject(invalid);
  await expect(client.planSnapshot({ repo, localDir: '' })).rejects.toMatchObject(invalid);
  await expect(client.downloadFile({ repo, path: 'a', localDir: '' })).rejects.toMatchObject(invalid);
});

test.each([
  ['sub', "it is a folder, write 'sub/'"],
  ['sub/*.txt', 'it is a pattern, not a name: use allowPatterns (--include)'],
  ['OK.TXT', "'ok.txt' differs in case"],
])('a name that is not there, %s, is told what was probably meant', async (name, hint) => {
  const hub = await hubFor();
  await hub.commitFiles(repo, { 'ok.txt': bytes('fine\n'), 'sub/a.txt': bytes('a\n') });
  const { code, stderr } = await xetkit(['download', repo, name], { HF_ENDPOINT: hub.url });
  expect(code).toBe(1);
  expect(stderr).toContain(`'${name}': ${hint}.`);
});
