import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run } from '../interop/tools.ts';
import { hubFor, scratch } from '../support/hub.ts';
import { startMirror } from '../support/mirror.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const repo = 'owner/model';

/** A Hub, a folder to upload from, and the command; the Hub sees what is created. */
async function station(files: Record<string, string> = {}) {
  const hub = await hubFor();
  const mirror = await startMirror(hub.url);
  const folder = await scratch();
  for (const [path, words] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), words);
  }
  const home = await scratch();
  const env = { PATH: process.env.PATH, HOME: home, HF_HOME: join(home, 'hf'), NO_COLOR: '1', HF_TOKEN: 'hf_local' };
  const xetkit = (args: string[], more: NodeJS.ProcessEnv = {}) =>
    run(process.execPath, [command, ...args], { env: { ...env, HF_ENDPOINT: mirror.url, ...more }, cwd: folder });
  const created = () =>
    mirror.passed.filter(({ path }) => path === '/api/repos/create').map(({ body }) => JSON.parse(body));
  const paths = async (name = repo) => {
    const { stdout } = await xetkit(['ls', name, '--recursive', '--json']);
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { path: string; type: string });
    return rows.flatMap(({ path, type }) => (type === 'file' && path !== '.gitattributes' ? path : [])).sort();
  };
  return { hub, mirror, folder, home, xetkit, created, paths };
}

test('--create says nothing of visibility unless --private or --public does', async () => {
  const { xetkit, created } = await station({ 'x.txt': 'x' });
  const results = await Promise.all([
    xetkit(['upload', 'owner/a', 'x.txt', '--create']),
    xetkit(['upload', 'owner/b', 'x.txt', '--create', '--private']),
    xetkit(['upload', 'owner/c', 'x.txt', '--create', '--public']),
    xetkit(['upload', 'spaces/owner/d', 'x.txt', '--create']),
    xetkit(['upload', 'spaces/owner/e', 'x.txt', '--create', '--sdk', 'static']),
  ]);
  for (const { code, stderr } of results) expect(code, stderr).toBe(0);
  const sent = created().sort((a, b) => a.name.localeCompare(b.name));
  expect(sent).toEqual([
    { name: 'a', organization: 'owner', type: 'model' },
    { name: 'b', organization: 'owner', type: 'model', visibility: 'private' },
    { name: 'c', organization: 'owner', type: 'model', visibility: 'public' },
    { name: 'd', organization: 'owner', type: 'space', sdk: 'gradio' },
    { name: 'e', organization: 'owner', type: 'space', sdk: 'static' },
  ]);
});

test.each([
  ['both visibilities', ['--create', '--private', '--public'], /exclude each other/],
  ['a visibility without --create', ['--private'], /add --create/],
  ['an unknown sdk', ['--create', '--sdk', 'x'], /gradio/],
  ['an sdk of a model', ['--create', '--sdk', 'static'], /space/],
])('%s is a usage error', async (_, flags, says) => {
  const { xetkit, mirror } = await station({ 'x.txt': 'x' });
  const { code, stdout, stderr } = await xetkit(['upload', repo, 'x.txt', ...flags]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(says);
  expect(mirror.passed).toEqual([]);
});

test('a folder replaces another one with --delete, and patterns reach no further than it', async () => {
  const { hub, xetkit, paths } = await station({ 'new/same.txt': 'same', 'new/a.txt': 'a' });
  const bytes = (words: string) => new TextEncoder().encode(words);
  const before = { 'd/same.txt': 'same', 'd/old.bin': 'o', 'd/e/old.txt': 'o', 'other.txt': 'x', 'other.bin': 'x' };
  await hub.commitFiles(repo, Object.fromEntries(Object.entries(before).map(([path, words]) => [path, bytes(words)])));
  const patterns = await xetkit(['upload', repo, 'new', 'd', '--delete', '*.bin']);
  expect(patterns.code, patterns.stderr).toBe(0);
  expect(await paths()).toEqual(['d/a.txt', 'd/e/old.txt', 'd/same.txt', 'other.bin', 'other.txt']);
  const whole = await xetkit(['upload', repo, './new', './d/', '--delete', 'd/', '--delete', './other.bin']);
  expect(whole.code, whole.stderr).toBe(0);
  expect(await paths()).toEqual(['d/a.txt', 'd/same.txt', 'other.txt']);
  const file = await xetkit(['upload', repo, 'new/a.txt', 'd/a.txt', '--delete', '*']);
  expect(file.code, file.stderr).toBe(0);
  expect(await paths()).toEqual(['d/a.txt', 'other.txt']);
});

test('paths in the repository may begin with ./ or /, and the page of the commit is printed each time', async () => {
  const { hub, mirror, xetkit, paths } = await station({ 'x.txt': 'x' });
  await hub.createRepo(repo);
  for (const path of ['./x.txt', '/x.txt', 'x.txt', '.', './', '/', '']) {
    const { code, stdout, stderr } = await xetkit(['upload', repo, 'x.txt', path]);
    expect(code, stderr).toBe(0);
    expect(stdout.trim()).toMatch(new RegExp(`^${mirror.url}/${repo}/commit/[0-9a-f]{40}$`));
  }
  expect(await paths()).toEqual(['x.txt']);
  const { code, stderr } = await xetkit(['upload', repo, 'x.txt', '../x.txt']);
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('../x.txt') });
});

test('what is too broad to be meant is a usage error without --force', async () => {
  const { hub, home, folder, xetkit, paths } = await station({ 'x.txt': 'x' });
  await hub.createRepo(repo);
  for (const local of ['/', home, '']) {
    const { code, stderr } = await xetkit(['upload', repo, local]);
    expect({ code, stderr }).toMatchObject({ code: 2 });
  }
  const here = await xetkit(['upload', repo, '.'], { HOME: folder });
  expect(here).toMatchObject({ code: 2, stderr: expect.stringContaining('--force') });
  await writeFile(join(home, 'secret'), 'secret');
  await symlink(join(home, 'secret'), join(folder, 'linked'));
  const linked = await xetkit(['upload', repo, '.']);
  expect(linked.stderr).toMatch(/linked' is skipped/);
  expect(await paths()).toEqual(['x.txt']);
  const forced = await xetkit(['upload', repo, '.', '--force'], { HOME: folder });
  expect(forced.code, forced.stderr).toBe(0);
  expect(await paths()).toEqual(['linked', 'x.txt']);
});

test('addresses that people paste name the branch, the folder and the file that their page shows', async () => {
  const { hub, mirror, folder, xetkit } = await station();
  const bytes = (words: string) => new TextEncoder().encode(words);
  const branches = ['feat/a#1', 'feature', 'a%20b', 'refs/pr/1'];
  await hub.commitFiles(repo, { 'dir/100%25.txt': bytes('wrong'), 'dir/100%.txt': bytes('wrong') });
  for (const branch of branches) {
    if (!branch.startsWith('refs/')) {
      const made = await fetch(`${hub.url}/api/models/${repo}/branch/${encodeURIComponent(branch)}`, {
        method: 'POST',
        headers: { authorization: 'Bearer hf_local', 'content-type': 'application/json' },
        body: '{}',
      });
      expect(made.status).toBe(200);
    }
    const file = join(folder, 'content');
    await writeFile(file, `of ${branch}`);
    const to = branch.startsWith('refs/') ? ['--create-pr'] : ['--revision', branch];
    const { code, stderr } = await xetkit(['upload', repo, file, 'dir/100%25.txt', ...to]);
    expect(code, stderr).toBe(0);
  }
  for (const branch of branches) {
    const encoded = encodeURIComponent(branch);
    const pages = [`${mirror.url}/${repo}/blob/${encoded}/dir/100%2525.txt`, `hf://${repo}@${encoded}/dir/100%25.txt`];
    if (branch.startsWith('refs/'))
      pages.push(
        `hf://${repo}@${branch}/dir/100%25.txt`,
        `${mirror.url}/${repo}/resolve/${branch}/dir/100%2525.txt?download=true`,
      );
    for (const page of pages) {
      const { code, stdout, stderr } = await xetkit(['download', page, '--local-dir', await scratch(), '--force']);
      expect(code, `${page}: ${stderr}`).toBe(0);
      expect(await readFile(stdout.trim(), 'utf8'), page).toBe(`of ${branch}`);
    }
    const to = await scratch();
    const { code, stderr } = await xetkit(['download', `${mirror.url}/${repo}/tree/${encoded}/dir`, '--local-dir', to]);
    expect(code, stderr).toBe(0);
    expect(await readFile(join(to, 'dir', '100%25.txt'), 'utf8')).toBe(`of ${branch}`);
  }
});
