import { mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { XetClient } from 'xetkit';
import { createXetFetch } from 'xetkit/fetch';
import type { LocalHub } from 'xetkit/local-hub';
import type { Output } from '../../src/cli/output.ts';
import { type UploadCommand, upload } from '../../src/cli/upload.ts';
import { clientOf, contentUnder, hubFor, scratch } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes as noise } from '../support/samples.ts';

const repo = 'buckets/ann/data';
const bytesOf = (text: string) => new TextEncoder().encode(text);

async function listed(client: XetClient, path?: string, recursive = true): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of client.listFiles({ repo, recursive, ...(path !== undefined && { path }) })) {
    found.push(entry.type === 'directory' ? `${entry.path}/` : entry.path);
  }
  return found.sort();
}

const calls = (hub: LocalHub) =>
  hub.requests.map(({ method, path }) => `${method} ${path.replace(/\/[0-9a-f]{40,}.*/, '/…')}`);

const FILES = {
  'a.txt': bytesOf('alpha'),
  'empty.bin': new Uint8Array(),
  'logs/1.txt': bytesOf('one'),
  'logs/deep/2.bin': noise(300_000, 2),
  'logs.json': bytesOf('{}'),
  'logs_backup/1.txt': bytesOf('backup'),
};

async function filled(options: Parameters<typeof hubFor>[0] = {}) {
  const hub = await hubFor(options);
  const client = clientOf(hub, { accessToken: 'hf_local' });
  await client.createRepo({ repo });
  const files = Object.entries(FILES).map(([path, content]) => ({ path, content }));
  const result = await client.upload({ repo, files });
  return { hub, client, result };
}

describe('an upload into a bucket', () => {
  test('stores every file over Xet, and adds all of them with one call', async () => {
    const { hub, client, result } = await filled();
    expect(result).toMatchObject({ commit: '', commits: [], url: undefined });
    expect(result.files.map(({ path, size }) => [path, size])).toEqual(
      Object.entries(FILES).map(([path, content]) => [path, content.length]),
    );
    expect(result.files.every(({ sha256, mode }) => sha256 === undefined && mode === 'lfs')).toBe(true);
    const asked = calls(hub);
    expect(asked.filter((call) => call.endsWith('/batch'))).toEqual(['POST /api/buckets/ann/data/batch']);
    expect(asked.filter((call) => /preupload|\/commit\//.test(call))).toEqual([]);
    expect(asked.filter((call) => call.includes('xet-write-token'))).toHaveLength(1);
    expect(await listed(client)).toEqual(Object.keys(FILES).sort());
  });

  test('of more than a thousand files takes one call for each thousand', async () => {
    const hub = await hubFor();
    const client = clientOf(hub, { accessToken: 'hf_local' });
    await client.createRepo({ repo });
    const files = Array.from({ length: 2001 }, (_, index) => ({ path: `${index}`, content: bytesOf(`${index % 7}`) }));
    await client.upload({ repo, files });
    expect(calls(hub).filter((call) => call.endsWith('/batch'))).toHaveLength(3);
    hub.resetRequests();
    expect(await listed(client)).toHaveLength(2001);
    expect(calls(hub)).toHaveLength(1);
  });

  test('reports each file that the Hub refuses; the others are in place, and a repeat sends no content', async () => {
    const { hub, client } = await filled();
    const real = hub.url;
    let refuse = true;
    const fetching: typeof fetch = async (input, init) => {
      if (!refuse || !String(input).endsWith('/batch')) return fetch(input, init);
      refuse = false;
      // What a Hub does whose storage fails for one file: all other changes are made.
      const lines = String(init?.body).trim().split('\n');
      const kept = lines.filter((line) => !line.includes('"b/2"'));
      await fetch(input, { ...init, body: kept.join('\n') });
      const failed = [{ path: 'b/2', error: 'storage is busy' }];
      return Response.json({ success: false, processed: lines.length, succeeded: kept.length, failed });
    };
    const other = clientOf(hub, { accessToken: 'hf_local', endpoint: real, fetch: fetching });
    const files = ['b/1', 'b/2', 'b/3'].map((path, seed) => ({ path, content: noise(100_000, seed + 10) }));
    const error = await rejectionOf(other.upload({ repo, files }));
    expect(error).toMatchObject({
      name: 'XetError',
      code: 'SERVER',
      retryable: true,
      failures: [{ path: 'b/2', message: 'storage is busy' }],
    });
    expect(await listed(client, 'b')).toEqual(['b/1', 'b/3']);
    const again = await other.upload({ repo, files });
    expect(again.bytes.sent).toBe(0);
    expect(await listed(client, 'b')).toEqual(['b/1', 'b/2', 'b/3']);
  });

  test('whose changes all fail is told by their reasons', async () => {
    const { hub } = await filled();
    const refusing: typeof fetch = async (input, init) =>
      String(input).endsWith('/batch')
        ? Response.json({ success: false, failed: [{ path: 'x', error: 'too large' }] }, { status: 422 })
        : fetch(input, init);
    const client = clientOf(hub, { accessToken: 'hf_local', fetch: refusing });
    const error = await rejectionOf(client.upload({ repo, files: [{ path: 'x', content: bytesOf('x') }] }));
    expect(error).toMatchObject({ code: 'SERVER', failures: [{ path: 'x', message: 'too large' }] });
  });

  test.each([
    ['branch', { branch: 'dev' }, "'dev'"],
    ['title', { title: 'Add x' }, "'Add x'"],
    ['description', { description: 'more' }, "'more'"],
    ['parentCommit', { parentCommit: 'abc' }, "'abc'"],
    ['createPr', { createPr: true }, "'true'"],
  ])('with a %s is INVALID_ARGUMENT that names it, and sends nothing', async (name, option, value) => {
    const hub = await hubFor();
    const files = [{ path: 'x', content: bytesOf('x') }];
    const error = await rejectionOf(clientOf(hub).upload({ repo, files, ...option }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`${name} is ${value}`) });
    expect(hub.requests).toEqual([]);
  });

  test('of a name that buckets forbid sends nothing', async () => {
    const hub = await hubFor();
    const files = [
      { path: 'ok', content: bytesOf('x') },
      { path: 'folder../x', content: bytesOf('x') },
    ];
    const error = await rejectionOf(clientOf(hub).upload({ repo, files }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining("'folder../x'") });
    expect(hub.requests).toEqual([]);
  });

  test('deletes files, folders and what patterns match', async () => {
    const { client } = await filled();
    await client.deleteFiles({ repo, paths: ['a.txt', 'logs/'] });
    expect(await listed(client)).toEqual(['empty.bin', 'logs.json', 'logs_backup/1.txt']);
    await client.upload({ repo, files: [{ path: 'x.txt', content: bytesOf('x') }], deletePatterns: '*.json' });
    expect(await listed(client)).toEqual(['empty.bin', 'logs_backup/1.txt', 'x.txt']);
    expect(await rejectionOf(client.deleteFiles({ repo, paths: 'none/' }))).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
  });
});

describe('a bucket is read', () => {
  test('by folder, as components of the path and not as text', async () => {
    const { client } = await filled();
    expect(await listed(client, 'logs')).toEqual(['logs/1.txt', 'logs/deep/2.bin']);
    expect(await listed(client, 'logs/', false)).toEqual(['logs/1.txt', 'logs/deep/']);
    expect(await listed(client, undefined, false)).toEqual([
      'a.txt',
      'empty.bin',
      'logs.json',
      'logs/',
      'logs_backup/',
    ]);
    expect(await rejectionOf(listed(client, 'log'))).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
  });

  test('as empty while it is', async () => {
    const client = clientOf(await hubFor(), { accessToken: 'hf_local' });
    await client.createRepo({ repo });
    expect(await listed(client)).toEqual([]);
    expect(await rejectionOf(client.listFiles({ repo: 'buckets/ann/none' }).next())).toMatchObject({
      code: 'REPOSITORY_NOT_FOUND',
    });
  });

  test.each(Object.keys(FILES))('%s is opened, and its information has no commit', async (path) => {
    const { client } = await filled();
    const expected = FILES[path as keyof typeof FILES];
    const info = await client.fileInfo({ repo, path });
    expect(info).toMatchObject({ path, size: expected.length, commit: '', etag: info.xetHash });
    const file = await client.open({ repo: `hf://buckets/ann/data/${path}`, path });
    expect(new Uint8Array(await file.arrayBuffer())).toEqual(new Uint8Array(expected));
    const end = Math.min(3, expected.length);
    expect(await file.read(0, end)).toEqual(expected.slice(0, end));
  });

  test('at a revision is INVALID_ARGUMENT that names it, without a request', async () => {
    const hub = await hubFor();
    const client = clientOf(hub);
    const localDir = await scratch();
    const wrong = { code: 'INVALID_ARGUMENT', message: expect.stringContaining("'v1'") };
    const at = { repo, path: 'a', revision: 'v1' };
    expect(await rejectionOf(client.fileInfo(at))).toMatchObject(wrong);
    expect(await rejectionOf(client.open(at))).toMatchObject(wrong);
    expect(await rejectionOf(client.downloadFile({ ...at, localDir }))).toMatchObject(wrong);
    expect(await rejectionOf(client.snapshot({ repo, revision: 'v1', localDir }))).toMatchObject(wrong);
    expect(await rejectionOf(client.listFiles({ repo, revision: 'v1' }).next())).toMatchObject(wrong);
    expect(await rejectionOf(client.createBranch({ repo, branch: 'v1' }))).toMatchObject(wrong);
    expect(await rejectionOf(client.createTag({ repo, tag: 'v1' }))).toMatchObject(wrong);
    expect(hub.requests).toEqual([]);
  });

  test('into the Hub cache folder is INVALID_ARGUMENT: that keeps files by commit', async () => {
    const client = clientOf(await hubFor());
    expect(await rejectionOf(client.snapshot({ repo }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await rejectionOf(client.downloadFile({ repo, path: 'a' }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('a download from a bucket', () => {
  test('of everything takes one listing, one token and the reconstructions; a repeat takes the listing', async () => {
    const { hub } = await filled();
    const client = clientOf(hub, { accessToken: 'hf_local' });
    const localDir = await scratch();
    hub.resetRequests();
    const { files, commit, folder } = await client.snapshot({ repo, localDir });
    expect([commit, folder]).toEqual(['', localDir]);
    expect(files.map(({ verified }) => verified)).toEqual(files.map(() => 'xet'));
    for (const [path, content] of Object.entries(FILES)) {
      expect(new Uint8Array(await readFile(join(localDir, path)))).toEqual(new Uint8Array(content));
    }
    expect(calls(hub).filter((call) => call.includes('/api/'))).toEqual([
      'GET /api/buckets/ann/data/tree',
      'GET /api/buckets/ann/data/xet-read-token',
    ]);
    hub.resetRequests();
    const again = await clientOf(hub, { accessToken: 'hf_local' }).snapshot({ repo, localDir });
    // A client with caches of its own knows nothing of the files, so it hashes them.
    expect(again.bytes).toEqual({ network: 0, cache: 0, local: 300_000 + 5 + 3 + 2 + 6 });
    expect(calls(hub)).toEqual(['GET /api/buckets/ann/data/tree']);
  });

  test('selects by pattern, file and folder', async () => {
    const { client } = await filled();
    const taken = async (selection: object) => {
      const localDir = await scratch();
      await client.snapshot({ repo, localDir, ...selection });
      return contentUnder(localDir);
    };
    expect(await taken({ include: 'logs/*' })).toEqual(['logs/1.txt', 'logs/deep/2.bin']);
    expect(await taken({ files: ['logs/', 'a.txt'] })).toEqual(['a.txt', 'logs/1.txt', 'logs/deep/2.bin']);
    expect(await rejectionOf(taken({ files: ['logs'] }))).toMatchObject({
      code: 'ENTRY_NOT_FOUND',
      message: expect.stringContaining('buckets/ann/data'),
    });
  });

  test('keeps the times that were uploaded, and finds unchanged files without fetching', async () => {
    const { hub, client } = await filled();
    const source = await scratch();
    const at = new Date('2024-02-03T04:05:06.789Z');
    await mkdir(join(source, 'sub'));
    await writeFile(join(source, 'sub', 'old.txt'), 'old');
    await utimes(join(source, 'sub', 'old.txt'), at, at);
    await client.upload({ repo, files: source });
    const localDir = await scratch();
    const { localPath } = await client.downloadFile({ repo, path: 'sub/old.txt', localDir });
    // A head knows whole seconds only.
    expect(Math.abs((await stat(localPath)).mtimeMs - at.getTime())).toBeLessThan(1000);
    const whole = await scratch();
    await client.snapshot({ repo, localDir: whole, include: 'sub/*' });
    expect(Math.round((await stat(join(whole, 'sub', 'old.txt'))).mtimeMs)).toBe(at.getTime());
    hub.resetRequests();
    const again = await client.snapshot({ repo, localDir: whole, include: 'sub/*' });
    expect(again.bytes.local).toBe(3);
    expect(calls(hub)).toEqual(['GET /api/buckets/ann/data/tree']);
    await writeFile(join(whole, 'sub', 'old.txt'), 'new');
    await client.snapshot({ repo, localDir: whole, include: 'sub/*' });
    expect(await readFile(join(whole, 'sub', 'old.txt'), 'utf8')).toBe('old');
  });

  test('while the Hub may not be asked is OFFLINE', async () => {
    const client = clientOf(await hubFor());
    const options = { repo, localDir: await scratch(), offline: true };
    expect(await rejectionOf(client.snapshot(options))).toMatchObject({ code: 'OFFLINE' });
  });

  test('over plain HTTP alone is refused, as nothing could verify it', async () => {
    const { hub } = await filled();
    const client = clientOf(hub, { accessToken: 'hf_local', xet: false });
    const options = { repo, path: 'a.txt', localDir: await scratch() };
    expect(await rejectionOf(client.downloadFile(options))).toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe('a bucket is served', () => {
  test('by createXetFetch under its page and its hf:// URI, without a commit', async () => {
    const { hub, client } = await filled();
    const xetFetch = createXetFetch({ client });
    for (const base of [`${hub.url}/buckets/ann/data/resolve`, 'hf://buckets/ann/data']) {
      for (const path of ['a.txt', 'empty.bin', 'logs/deep/2.bin'] as const) {
        expect(xetFetch.handles(`${base}/${path}`)).toBe(true);
        const response = await xetFetch(`${base}/${path}`);
        expect(new Uint8Array(await response.arrayBuffer())).toEqual(new Uint8Array(FILES[path]));
        expect(response.headers.has('x-repo-commit')).toBe(false);
      }
    }
  });

  test('by the upload command, which reports what was sent and the page of the bucket', async () => {
    const { hub, client } = await filled();
    const folder = await scratch();
    await writeFile(join(folder, 'n.txt'), 'new');
    const lines: string[] = [];
    const output = {
      record: (row: object) => lines.push(JSON.stringify(row)),
      note: (text: string) => lines.push(text),
      result: (text: string) => lines.push(text),
      progress: () => undefined,
      end: () => undefined,
    } as unknown as Output;
    const target = { repo: { type: 'bucket', name: 'ann/data' }, revision: undefined, path: undefined } as const;
    const command = { target, local: folder, pathInRepo: 'up' } as UploadCommand;
    await upload(client, command, output, new AbortController().signal);
    const text = lines.join('\n');
    expect(text).not.toMatch(/nothing changed|commit\//);
    expect(text).toContain('1 file, 3 B');
    expect(lines.at(-1)).toBe(`${hub.url}/buckets/ann/data`);
  });
});

describe('the management of repositories', () => {
  test('buckets are created once, moved, hidden and deleted', async () => {
    const hub = await hubFor();
    const client = clientOf(hub, { accessToken: 'hf_local' });
    expect(await client.createRepo({ repo, region: 'eu' })).toMatchObject({ created: true });
    expect(await rejectionOf(client.createRepo({ repo }))).toMatchObject({ code: 'CONFLICT' });
    expect(await client.createRepo({ repo, existOk: true })).toMatchObject({ created: false });
    await client.updateRepo({ repo, visibility: 'private' });
    expect(await rejectionOf(clientOf(hub).listFiles({ repo }).next())).toMatchObject({ name: 'XetError' });
    await client.moveRepo({ from: repo, to: 'buckets/ann/renamed' });
    await client.deleteRepo({ repo: 'hf://buckets/ann/renamed' });
    const gone = rejectionOf(client.deleteRepo({ repo: 'buckets/ann/renamed' }));
    expect(await gone).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
    await client.deleteRepo({ repo: 'buckets/ann/renamed', missingOk: true });
  });

  test('repositories have branches and tags that come and go', async () => {
    const hub = await hubFor();
    const client = clientOf(hub, { accessToken: 'hf_local' });
    const model = 'ann/model';
    await client.createRepo({ repo: model });
    await client.upload({ repo: model, files: [{ path: 'a', content: bytesOf('a') }] });
    await client.createBranch({ repo: model, branch: 'dev/1' });
    await client.createTag({ repo: model, tag: 'v1%', message: 'First' });
    const at = (revision: string) => client.fileInfo({ repo: model, path: 'a', revision });
    expect((await at('dev/1')).commit).toBe((await at('v1%')).commit);
    await client.deleteBranch({ repo: model, branch: 'dev/1' });
    await client.deleteTag({ repo: model, tag: 'v1%' });
    expect(await rejectionOf(at('dev/1'))).toMatchObject({ code: 'REVISION_NOT_FOUND' });
    expect(await rejectionOf(at('v1%'))).toMatchObject({ code: 'REVISION_NOT_FOUND' });
    await client.moveRepo({ from: model, to: 'ann/moved' });
    expect((await client.fileInfo({ repo: 'ann/moved', path: 'a' })).size).toBe(1);
    await client.deleteRepo({ repo: 'ann/moved' });
  });

  test('a bucket cannot become a model, and nothing to change is INVALID_ARGUMENT', async () => {
    const hub = await hubFor();
    const client = clientOf(hub);
    expect(await rejectionOf(client.moveRepo({ from: repo, to: 'ann/model' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await rejectionOf(client.updateRepo({ repo }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(hub.requests).toEqual([]);
  });

  test('kernels are repositories like models', async () => {
    const hub = await hubFor();
    const client = clientOf(hub, { accessToken: 'hf_local' });
    const kernel = 'kernels/ann/kernel';
    await client.createRepo({ repo: kernel });
    await client.upload({ repo: kernel, files: [{ path: 'build/a.so', content: noise(100_000, 1) }] });
    const cacheDir = await scratch();
    const { localPath } = await clientOf(hub, { cacheDir }).downloadFile({ repo: kernel, path: 'build/a.so' });
    expect(localPath).toContain('kernels--ann--kernel');
    expect(new Uint8Array(await readFile(localPath))).toEqual(noise(100_000, 1));
  });
});
