import { execFileSync } from 'node:child_process';
import { mkdir, realpath, rename, rmdir, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { nodeLocalFiles } from '../../src/upload/local-files.node.ts';
import type { UploadOptions } from '../../src/upload/upload-types.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes, text } from '../support/samples.ts';
import { scratchFolder } from '../support/scratch.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const encode = (words: string) => new TextEncoder().encode(words);
const SECRET = 'a secret that nobody named';

async function station() {
  const hub = await sourceHub();
  await hub.createRepo(repo);
  const warnings: string[] = [];
  const client = sourceClient(hub, { accessToken: 'hf_local', onWarning: (message) => warnings.push(message) });
  return { hub, client, warnings };
}
type Station = Awaited<ReturnType<typeof station>>;

async function pathsIn({ client }: Station): Promise<string[]> {
  const found: string[] = [];
  for await (const { path, type } of client.listFiles({ repo, recursive: true })) {
    if (type === 'file' && path !== '.gitattributes') found.push(path);
  }
  return found.sort();
}

async function folderOf(files: Record<string, string>): Promise<string> {
  const root = await realpath(await scratchFolder());
  for (const [path, words] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), words);
  }
  return root;
}

describe('files given as a single item', () => {
  test.each<[string, (folder: string) => UploadOptions['files'], string[]]>([
    ['the path of a folder', (folder) => folder, ['a.txt', 'in/b.txt']],
    ['the path of a file', (folder) => join(folder, 'a.txt'), ['a.txt']],
    ['a file: address', (folder) => pathToFileURL(folder), ['a.txt', 'in/b.txt']],
    ['a File', () => new File(['x'], 'x.txt'), ['x.txt']],
    ['a String object', (folder) => new String(folder) as string, ['a.txt', 'in/b.txt']],
    ['a path and content', () => ({ path: 'x.txt', content: encode('x') }), ['x.txt']],
    ['a path and a folder', (folder) => ({ path: './to/', content: folder }), ['to/a.txt', 'to/in/b.txt']],
    ['a list', (folder) => [folder], ['a.txt', 'in/b.txt']],
    ['a set', (folder) => new Set([join(folder, 'a.txt')]), ['a.txt']],
  ])('%s is uploaded as a single item', async (_, make, expected) => {
    const folder = await folderOf({ 'a.txt': 'a', 'in/b.txt': 'b' });
    const at = await station();
    await at.client.upload({ repo, files: make(folder) });
    expect(await pathsIn(at)).toEqual(expected);
  });

  test('a relative path is not treated as a list of characters', async () => {
    const folder = await folderOf({ 'ck/a.txt': 'a', 'k/other.txt': SECRET });
    const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder);
    const opened = vi.spyOn(nodeLocalFiles, 'open');
    try {
      const { client } = await station();
      await client.upload({ repo, files: './ck' }).catch(() => undefined);
      expect(opened.mock.calls.map(([path]) => path)).toEqual(['./ck']);
    } finally {
      cwd.mockRestore();
      opened.mockRestore();
    }
  });

  test.each<[string, unknown]>([
    ['null', null],
    ['a number', 5],
    ['bytes', encode('x')],
    ['an object without content', { path: 'x' }],
    ['a Blob without a name', new Blob(['x'])],
    ['a list of numbers', [5]],
    ['a list of nothing', [null]],
  ])('%s as files is INVALID_ARGUMENT', async (_, files) => {
    const { client } = await station();
    expect(await rejectionOf(client.upload({ repo, files: files as string }))).toMatchObject({
      name: 'XetError',
      code: 'INVALID_ARGUMENT',
    });
  });

  test('a string is a single path in every option that takes a list', async () => {
    const at = await station();
    await at.client.upload({ repo, files: await folderOf({ zz: 'z', z: 'z', 'd/a.txt': 'a', 'd/b.bin': 'b' }) });
    await at.client.deleteFiles({ repo, paths: 'zz' });
    expect(await pathsIn(at)).toEqual(['d/a.txt', 'd/b.bin', 'z']);
    const files = await folderOf({ 'new.txt': 'n', 'new.bin': 'n' });
    await at.client.upload({ repo, files, include: '*.txt', deletions: 'z', deletePatterns: '*.bin' });
    expect(await pathsIn(at)).toEqual(['d/a.txt', 'new.txt']);
  });

  test.each(['deletions', 'deletePatterns', 'include', 'exclude'])(
    '%s that is no text is INVALID_ARGUMENT',
    async (name) => {
      const { client } = await station();
      const files = await folderOf({ a: 'a' });
      for (const value of [/x/, 5, [5], {}]) {
        expect(await rejectionOf(client.upload({ repo, files, [name]: value }))).toMatchObject({
          code: 'INVALID_ARGUMENT',
          message: expect.stringContaining(name),
        });
      }
    },
  );
});

describe('folders that are too broad to be meant', () => {
  const broad = ['/', homedir(), `${homedir()}/`, dirname(homedir()), '//'];
  test.each(broad)('the folder %j is refused, and nothing in it is read', async (path) => {
    const { client, hub } = await station();
    for (const files of [path, [path], { path: 'to', content: path }, pathToFileURL(path)]) {
      expect(await rejectionOf(client.upload({ repo, files }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('force'),
      });
    }
    expect(hub.requests.filter(({ kind }) => kind === 'preupload' || kind === 'commit')).toEqual([]);
  });

  test('another path to a refused folder is refused', async ({ skip }) => {
    const home = await folderOf({ 'a.txt': SECRET });
    const other = `${home}-mounted`;
    await mkdir(other);
    try {
      execFileSync('mount', ['--bind', home, other], { stdio: 'ignore' });
    } catch {
      skip('Folders cannot be mounted here.');
    }
    vi.stubEnv('HOME', home);
    try {
      const { client } = await station();
      expect(await rejectionOf(client.upload({ repo, files: other }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    } finally {
      vi.unstubAllEnvs();
      execFileSync('umount', [other]);
      await rmdir(other);
    }
  });

  test('a link to a refused folder is refused', async () => {
    const { client } = await station();
    const folder = await folderOf({});
    await symlink('/', join(folder, 'innocent'));
    expect(await rejectionOf(client.upload({ repo, files: join(folder, 'innocent') }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test('a home folder is uploaded with force, and folders in it without', async () => {
    const home = await folderOf({ 'project/a.txt': 'a' });
    vi.stubEnv('HOME', home);
    try {
      const at = await station();
      expect(await rejectionOf(at.client.upload({ repo, files: home }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
      await at.client.upload({ repo, files: join(home, 'project') });
      await at.client.upload({ repo, files: home, force: true });
      expect(await pathsIn(at)).toEqual(['a.txt', 'project/a.txt']);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test('an empty path is refused', async () => {
    const { client } = await station();
    for (const files of ['', [''], { path: 'to', content: '' }]) {
      expect(await rejectionOf(client.upload({ repo, files, force: true }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('empty'),
      });
    }
  });
});

describe('links in a folder', () => {
  test('links within the folder are followed, and links out of it are skipped with a warning', async () => {
    const outside = await folderOf({ 'secret.txt': SECRET, 'dir/secret.txt': SECRET });
    const folder = await folderOf({ 'a.txt': 'a', 'in/b.txt': 'b' });
    await symlink(join(outside, 'secret.txt'), join(folder, 'out.txt'));
    await symlink(join(outside, 'dir'), join(folder, 'outdir'));
    await symlink('nowhere', join(folder, 'dangling'));
    await symlink('../a.txt', join(folder, 'in', 'linked.txt'));
    const at = await station();
    await at.client.upload({ repo, files: folder });
    expect(await pathsIn(at)).toEqual(['a.txt', 'in/b.txt', 'in/linked.txt']);
    expect(at.warnings).toHaveLength(3);
    expect(at.warnings.find((warning) => warning.includes('out.txt'))).toContain('leads out of the folder');
    await at.client.upload({ repo, files: folder, force: true });
    expect(await pathsIn(at)).toEqual(['a.txt', 'in/b.txt', 'in/linked.txt', 'out.txt']);
  });

  test.skipIf(process.platform === 'win32')('a link that cannot be followed is skipped with the reason', async () => {
    const folder = await folderOf({ 'a.txt': 'a' });
    // Longer than a name may be: neither absent nor readable.
    await symlink('x'.repeat(300), join(folder, 'long'));
    await symlink('loop', join(folder, 'loop'));
    const at = await station();
    await at.client.upload({ repo, files: folder });
    expect(await pathsIn(at)).toEqual(['a.txt']);
    expect(at.warnings).toEqual([
      expect.stringMatching(/long' is skipped: the link cannot be followed \(ENAMETOOLONG\)/),
      expect.stringMatching(/loop' is skipped: the link is broken/),
    ]);
  });

  test('links of a snapshot in the Hub cache folder are followed to its blobs', async () => {
    const at = await station();
    await at.client.upload({
      repo,
      files: [{ path: 'model.bin', content: randomBytes(300_000, 1) }, await folderOf({ 'in/a.txt': 'a' })],
    });
    const reader = sourceClient(at.hub, { cacheDir: await scratchFolder() });
    const { folder: path } = await reader.snapshot({ repo });
    await at.hub.createRepo('owner/copy');
    const { files } = await at.client.upload({ repo: 'owner/copy', files: path });
    expect(files.map((file) => file.path).sort()).toEqual(['.gitattributes', 'in/a.txt', 'model.bin']);
    expect(at.warnings).toEqual([]);
  });

  test.each(['its folder', 'itself'])(
    'that take the place of a file, or of a folder above it, end the upload (%s)',
    async (which) => {
      const outside = await folderOf({ 'b.txt': text(9000, 5).toString() });
      const folder = await folderOf({ 'in/b.txt': text(9000, 6).toString() });
      const at = await station();
      const swap = async () => {
        const [place, target] = which === 'itself' ? ['in/b.txt', 'b.txt'] : ['in', ''];
        await rename(join(folder, place), join(folder, '..', `kept-${process.pid}-${Math.random()}`));
        await symlink(join(outside, target), join(folder, place));
      };
      const client = sourceClient(at.hub, {
        accessToken: 'hf_local',
        fetch: async (url, init) => {
          // It was looked at by now, and is read after this.
          if (url.includes('/preupload/')) await swap();
          return fetch(url, init);
        },
      });
      expect(await rejectionOf(client.upload({ repo, files: folder }))).toMatchObject({ code: 'CONFLICT' });
      expect(await pathsIn(at)).toEqual([]);
    },
  );

  test.skipIf(process.platform === 'win32')(
    'and files whose names no repository can have are told of, with what to do',
    async () => {
      const folder = await folderOf({ 'a.txt': 'a', 'bs/a\\b.txt': 'b' });
      const at = await station();
      const error = await rejectionOf(at.client.upload({ repo, files: folder }));
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('--exclude') });
      await at.client.upload({ repo, files: folder, exclude: 'bs/*' });
      expect(await pathsIn(at)).toEqual(['a.txt']);
    },
  );

  test('links to folders and pipes are skipped without blocking', async () => {
    const folder = await folderOf({ 'a.txt': 'a' });
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const at = await station();
    await at.client.upload({ repo, files: folder });
    expect(await pathsIn(at)).toEqual(['a.txt']);
    expect(at.warnings).toEqual([expect.stringContaining('not a regular file')]);
  });
});
