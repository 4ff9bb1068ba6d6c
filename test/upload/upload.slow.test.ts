import { appendFile, mkdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { XetClient } from '../../src/client/xet-client.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { chunkCount, chunkHashHex, chunkLength } from '../../src/core/chunks.ts';
import { hashToHex } from '../../src/core/hash.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import type { UploadOptions } from '../../src/upload/upload-types.ts';
import { chunksOf } from '../support/engines.ts';
import { sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { scratchFolder } from '../support/scratch.ts';
import { freshCacheDir, sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const MIB = 1024 * 1024;
const encode = (words: string) => new TextEncoder().encode(words);

/** A Hub with an empty repository, and a client of it. */
async function station(): Promise<{ hub: LocalHub; client: XetClient; upload: Uploading }> {
  const hub = await sourceHub({ checkSha256: true });
  await hub.createRepo(repo);
  const client = sourceClient(hub, { accessToken: 'hf_local' });
  return { hub, client, upload: (files, options) => client.upload({ repo, files, ...options }) };
}
type Uploading = (files: UploadOptions['files'], options?: Partial<UploadOptions>) => ReturnType<XetClient['upload']>;

/** Writes files into a folder that goes when the test does. */
async function folderOf(files: Record<string, Uint8Array>): Promise<string> {
  const root = await scratchFolder();
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  }
  return root;
}

/** All files at a revision, as a client of no memory finds them; without the attributes that every repository has. */
async function contentOf(hub: LocalHub, revision = 'main'): Promise<Record<string, string>> {
  const reader = sourceClient(hub);
  const found: Record<string, string> = {};
  for await (const entry of reader.listFiles({ repo, revision, recursive: true })) {
    if (entry.type !== 'file' || entry.path === '.gitattributes') continue;
    const file = await reader.open({ repo, revision, path: entry.path });
    found[entry.path] = sha256(await file.arrayBuffer());
  }
  return found;
}

const hashesOf = (files: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)]));
const requestsOf = (hub: LocalHub, kind: string) => hub.requests.filter((request) => request.kind === kind);
const commitsOf = async (hub: LocalHub, branch = 'main') =>
  (await (await fetch(`${hub.url}/api/models/${repo}/commits/${encodeURIComponent(branch)}`)).json()) as {
    id: string;
    title: string;
    message: string;
  }[];

const FILES = {
  'config.json': encode('{"layers": 2}\n'),
  'model.safetensors': weights(3, 1),
  'nested/deep/noise.bin': randomBytes(1_500_000, 2),
  'nested/empty': new Uint8Array(),
  'odd name #1 % ü.txt': text(4000, 3),
};

describe('uploading a folder', () => {
  test('a folder is uploaded in one commit, small files to git and large ones over Xet, and a repetition changes nothing', async () => {
    const { hub, upload } = await station();
    const folder = await folderOf(FILES);
    const result = await upload([folder], { title: 'All of it', description: 'And why' });
    expect(await contentOf(hub)).toEqual(hashesOf(FILES));
    expect(Object.fromEntries(result.files.map(({ path, mode, status }) => [path, `${mode} ${status}`]))).toEqual({
      'config.json': 'regular uploaded',
      'model.safetensors': 'lfs uploaded',
      'nested/deep/noise.bin': 'lfs uploaded',
      'nested/empty': 'regular uploaded',
      'odd name #1 % ü.txt': 'regular uploaded',
    });
    const { records } = await chunksOf(FILES['model.safetensors']);
    const fileHash = hashToHex((await loadCodec()).fileHash(records));
    expect(result.files.find(({ path }) => path === 'model.safetensors')).toMatchObject({
      size: FILES['model.safetensors'].length,
      sha256: sha256(FILES['model.safetensors']),
      xetHash: fileHash,
    });
    expect((await commitsOf(hub))[0]).toMatchObject({ id: result.commit, title: 'All of it', message: 'And why' });
    expect(result.commits).toEqual([{ oid: result.commit, url: result.url, title: 'All of it' }]);
    const total = Object.values(FILES).reduce((sum, { length }) => sum + length, 0);
    expect(result.bytes).toMatchObject({ total, deduplicated: 0 });

    hub.resetRequests();
    const again = await upload([folder]);
    expect(again.files.map(({ status }) => status)).toEqual(Array(5).fill('unchanged'));
    expect(again).toMatchObject({ commit: result.commit, commits: [], url: undefined });
    expect(again.bytes).toEqual({ total, deduplicated: total, sent: 0 });
    expect(requestsOf(hub, 'xorb-upload')).toEqual([]);
    expect(requestsOf(hub, 'commit')).toEqual([]);
  });

  test('a folder is uploaded below a path, filtered by patterns, with linked files and without folders of other tools', async () => {
    const { hub, upload } = await station();
    const folder = await folderOf({
      'a.bin': randomBytes(3000, 4),
      'b.txt': text(30, 5),
      'in/c.bin': randomBytes(3000, 6),
      'in/d.bin': randomBytes(3000, 7),
      '.git/config': text(30, 8),
      'in/.git/HEAD': text(30, 9),
      '.cache/huggingface/note': text(30, 10),
    });
    await symlink(join(folder, 'a.bin'), join(folder, 'linked.bin'));
    await upload([{ path: 'to/here', content: folder }], { include: '*.bin', exclude: ['in/d*'] });
    expect(Object.keys(await contentOf(hub)).sort()).toEqual([
      'to/here/a.bin',
      'to/here/in/c.bin',
      'to/here/linked.bin',
    ]);
  });

  test('links out of a folder are not followed, except for the blobs of a snapshot in the Hub cache folder', async () => {
    const { hub, upload } = await station();
    const outside = await folderOf({ 'secret.txt': text(40, 30), 'in/secret.txt': text(40, 31) });
    const folder = await folderOf({ 'a.txt': text(30, 32) });
    await symlink(join(outside, 'secret.txt'), join(folder, 'file.txt'));
    await symlink(join(outside, 'in'), join(folder, 'folder'));
    await upload([folder]);
    expect(Object.keys(await contentOf(hub))).toEqual(['a.txt']);
    const repo = join(await scratchFolder(), 'models--owner--other');
    const snapshot = join(repo, 'snapshots', 'a'.repeat(40));
    for (const path of [join(repo, 'blobs'), snapshot]) await mkdir(path, { recursive: true });
    await writeFile(join(repo, 'blobs', 'etag'), text(50, 33));
    await symlink('../../blobs/etag', join(snapshot, 'b.txt'));
    await symlink(join(outside, 'secret.txt'), join(snapshot, 'c.txt'));
    await upload([snapshot]);
    expect(Object.keys(await contentOf(hub)).sort()).toEqual(['a.txt', 'b.txt']);
  });

  test('a folder in which no file is selected is an error that explains why', async () => {
    const { hub, upload } = await station();
    const folder = await folderOf({ 'a.bin': randomBytes(30, 4) });
    expect(await rejectionOf(upload([folder], { include: '*.bim' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining("'*.bim' matches nothing"),
    });
    const empty = await scratchFolder();
    expect(await rejectionOf(upload([empty]))).toMatchObject({ message: expect.stringContaining('contains no files') });
    expect(requestsOf(hub, 'commit')).toEqual([]);
  });

  test("files that match the repository's .gitignore, or the uploaded one, are ignored", async () => {
    const { hub, upload } = await station();
    const files = { '.gitignore': encode('*.log\n'), 'a.txt': text(50, 1), 'b.log': text(50, 2) };
    const result = await upload([await folderOf(files)]);
    expect(result.files.find(({ path }) => path === 'b.log')).toMatchObject({ status: 'ignored', sha256: undefined });
    expect(Object.keys(await contentOf(hub)).sort()).toEqual(['.gitignore', 'a.txt']);
    const onlyIgnored = await upload([{ path: 'c.log', content: text(9, 3) }]);
    expect(onlyIgnored).toMatchObject({ commit: result.commit, commits: [], files: [{ status: 'ignored' }] });
  });
});

describe('types of content', () => {
  const small = text(900, 20);
  const large = randomBytes(2_300_000, 21);
  async function* pieces(bytes: Uint8Array) {
    for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
  }
  const forms: [string, (bytes: Uint8Array, name: string) => Promise<NonNullable<UploadOptions['files']>>][] = [
    ['bytes', async (content, path) => [{ path, content }]],
    ['an ArrayBuffer', async (bytes, path) => [{ path, content: bytes.slice().buffer }]],
    ['a Blob', async (bytes, path) => [{ path, content: new Blob([bytes.slice()]) }]],
    ['a File, by its name', async (bytes, path) => [new File([bytes.slice()], path)]],
    ['an iterable', async (bytes, path) => [{ path, content: pieces(bytes) }]],
    ['a stream', async (bytes, path) => [{ path, content: new Blob([bytes.slice()]).stream() }]],
    ['a local file', async (bytes, path) => [join(await folderOf({ [path]: bytes }), path)]],
    ['a file: address', async (bytes, path) => [pathToFileURL(join(await folderOf({ [path]: bytes }), path))]],
    ['an address', async (bytes, path) => [new URL(`${(await serve(bytes)).url}/some/${path}?x=1`)]],
    [
      'files that come one by one',
      async (content, path) =>
        (async function* () {
          yield { path, content };
        })(),
    ],
  ];
  test.each(forms)('%s', async (_, make) => {
    const { hub, upload } = await station();
    const result = await upload(await make(large, 'large.bin'));
    await upload(await make(small, 'small.txt'));
    expect(await contentOf(hub)).toEqual(hashesOf({ 'large.bin': large, 'small.txt': small }));
    expect(result.files).toMatchObject([{ path: 'large.bin', mode: 'lfs', size: large.length, sha256: sha256(large) }]);
  });

  test('a short stream of text is stored in git, a longer one in the CAS', async () => {
    const { hub, upload } = await station();
    const long = text(2 * MIB, 22);
    const result = await upload([
      { path: 'short.txt', content: pieces(small) },
      { path: 'long.txt', content: pieces(long) },
      { path: 'none.txt', content: pieces(new Uint8Array()) },
    ]);
    expect(result.files.map(({ mode, size }) => ({ mode, size }))).toEqual([
      { mode: 'regular', size: small.length },
      { mode: 'lfs', size: long.length },
      { mode: 'regular', size: 0 },
    ]);
    expect(await contentOf(hub)).toEqual(
      hashesOf({ 'short.txt': small, 'long.txt': long, 'none.txt': new Uint8Array() }),
    );
  });

  /** A server of one content, which breaks off some answers. */
  async function serve(bytes: Uint8Array, { breaks = 0, tag = '"1"' as string | null } = {}) {
    const seen: { range: string | undefined; authorization: string | undefined }[] = [];
    const server = createServer((request, response) => {
      const { range, authorization } = request.headers;
      seen.push({ range, authorization });
      const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
      const start = Number(first ?? 0);
      const end = Math.min(bytes.length, last ? Number(last) + 1 : bytes.length);
      const body = Buffer.from(bytes.subarray(start, end));
      response.writeHead(range ? 206 : 200, {
        'content-length': body.length,
        ...(tag && { etag: tag }),
        ...(range && { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
      });
      if (body.length > 100_000 && breaks-- > 0) {
        response.write(body.subarray(0, body.length >> 1), () => response.destroy());
      } else response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
  }

  test('a broken download of a URL resumes, and sends no token', async () => {
    const { hub, upload } = await station();
    const { url, seen } = await serve(large, { breaks: 2 });
    await upload([{ path: 'a.bin', content: new URL(url) }]);
    expect(await contentOf(hub)).toEqual(hashesOf({ 'a.bin': large }));
    expect(seen.map(({ range }) => range?.replace(/\d{3,}-$/, 'N-'))).toEqual([
      'bytes=0-511',
      undefined,
      'bytes=N-',
      'bytes=N-',
    ]);
    expect(seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  test('a broken download of a URL that cannot resume commits nothing', async () => {
    const { hub, upload } = await station();
    const { url } = await serve(large, { breaks: 99, tag: null });
    expect(await rejectionOf(upload([{ path: 'a.bin', content: new URL(url) }]))).toMatchObject({ code: 'NETWORK' });
    expect(requestsOf(hub, 'commit')).toEqual([]);
  });
});

describe('commits of an upload', () => {
  test('a commit adds and deletes files and folders', async () => {
    const { hub, client, upload } = await station();
    await upload([await folderOf(FILES)]);
    const before = (await commitsOf(hub)).length;
    await upload([{ path: 'new.txt', content: encode('new') }], { deletions: ['config.json', 'nested/'] });
    const left = ['model.safetensors', 'new.txt', 'odd name #1 % ü.txt'];
    expect(Object.keys(await contentOf(hub)).sort()).toEqual(left);
    expect(await commitsOf(hub)).toHaveLength(before + 1);
    const { commit, files } = await client.deleteFiles({ repo, paths: ['new.txt'] });
    expect(files).toEqual([]);
    expect((await commitsOf(hub))[0]).toMatchObject({ id: commit, title: 'Delete new.txt with xetkit' });
    expect(await rejectionOf(client.deleteFiles({ repo, paths: ['new.txt'] }))).toMatchObject({
      code: 'ENTRY_NOT_FOUND',
    });
  });

  test('parentCommit rejects with CONFLICT if the head has moved, and commits nothing', async () => {
    const { hub, upload } = await station();
    const [first] = await commitsOf(hub);
    await upload([{ path: 'a.txt', content: encode('a') }], { parentCommit: first?.id });
    const error = await rejectionOf(upload([{ path: 'b.txt', content: encode('b') }], { parentCommit: first?.id }));
    expect(error).toMatchObject({ code: 'CONFLICT', status: 412 });
    expect(Object.keys(await contentOf(hub))).toEqual(['a.txt']);
  });

  test('a pull request can be opened on a branch without write permission', async () => {
    const hub = await sourceHub({ tokens: { hf_reader: { name: 'reader' } }, openWrites: false });
    await hub.createRepo(repo);
    const client = sourceClient(hub, { accessToken: 'hf_reader' });
    const files = [{ path: 'a.bin', content: randomBytes(1_200_000, 30) }];
    expect(await rejectionOf(client.upload({ repo, files }))).toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('may write'),
    });
    const result = await client.upload({ repo, files, createPr: true });
    expect(result.pullRequestUrl).toBe(`${hub.url}/${repo}/discussions/1`);
    expect(Object.keys(await contentOf(hub))).toEqual([]);
    expect(Object.keys(await contentOf(hub, 'refs/pr/1'))).toEqual(['a.bin']);
    await client.upload({ repo, files: [{ path: 'b.txt', content: encode('b') }], branch: 'refs/pr/1' });
    expect(Object.keys(await contentOf(hub, 'refs/pr/1')).sort()).toEqual(['a.bin', 'b.txt']);
  });

  test('a warning tells that a server committed instead of opening a pull request', async () => {
    const hub = await sourceHub();
    await hub.createRepo(repo);
    const warnings: string[] = [];
    const client = sourceClient(hub, {
      accessToken: 'hf_local',
      onWarning: (message) => warnings.push(message),
      fetch: (url, init) => fetch(url.replace('/commit/main?create_pr=1', '/commit/main'), init),
    });
    const files = [{ path: 'a.txt', content: encode('a') }];
    const { pullRequestUrl, commit } = await client.upload({ repo, files, createPr: true });
    expect(pullRequestUrl).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining(`made commit ${commit} on 'main'`)]);
  });

  test("an upload that exceeds the Hub's limits is committed in several parts", async () => {
    const { hub, upload } = await station();
    const [first] = await commitsOf(hub);
    const files = Array.from({ length: 1005 }, (_, at) => ({ path: `f/${at}.txt`, content: encode(`file ${at}`) }));
    const result = await upload(files, { title: 'Many', parentCommit: first?.id });
    expect(result.commits.map(({ title }) => title)).toEqual(['Many (part 1)', 'Many (part 2)']);
    expect((await commitsOf(hub)).slice(0, 3).map(({ id }) => id)).toEqual([
      result.commits[1]?.oid,
      result.commits[0]?.oid,
      first?.id,
    ]);
    expect(Object.keys(await contentOf(hub))).toHaveLength(1005);
    expect(requestsOf(hub, 'preupload')).toHaveLength(4);
    const request = await upload(
      files.map(({ path }) => ({ path, content: encode('new') })),
      { createPr: true },
    );
    expect(request.commits).toHaveLength(2);
    expect(request.pullRequestUrl).toMatch(/discussions\/1$/);
    expect((await commitsOf(hub, 'refs/pr/1')).slice(0, 2).map(({ id }) => id)).toEqual([
      request.commits[1]?.oid,
      request.commits[0]?.oid,
    ]);
  });

  test.each([
    ['whose answer is lost', { action: 'reset', afterBytes: 5 }],
    ['whose answer is cut off', { action: 'truncate', afterBytes: 9 }],
    ['whose answer is no JSON', { action: 'garbageJson' }],
    ['that is refused at first', { action: 'refuse' }],
    ['that is put off', { action: 'status', status: 429, headers: { 'retry-after': '0' } }],
    ['that a proxy gives up on', { action: 'status', status: 502 }],
  ] as const)('%s is made once', async (_, fault) => {
    const { hub, upload } = await station();
    // Another client's commit with the same message.
    await upload([{ path: 'other.txt', content: encode('other') }], { title: 'The same' });
    const before = await commitsOf(hub);
    hub.faults.add({ kind: 'commit', ...fault });
    const result = await upload([{ path: 'a.txt', content: encode('a') }], { title: 'The same' });
    const after = await commitsOf(hub);
    expect(after).toHaveLength(before.length + 1);
    expect(after[0]).toMatchObject({ id: result.commit, title: 'The same' });
    expect(result.commits).toMatchObject([{ oid: result.commit, title: 'The same' }]);
  });

  test('a commit that may have opened a pull request is not retried', async () => {
    const { hub, upload } = await station();
    hub.faults.add({ kind: 'commit', action: 'reset', afterBytes: 5 });
    const error = await rejectionOf(upload([{ path: 'a.txt', content: encode('a') }], { createPr: true }));
    expect(error).toMatchObject({ code: 'NETWORK', message: expect.stringContaining('pull requests') });
    expect(requestsOf(hub, 'commit')).toHaveLength(1);
  });
});

describe('failed uploads', () => {
  test.each([
    ['a path that leaves the repository', [{ path: '../a', content: encode('a') }]],
    ['a path of git', [{ path: 'x/.git/config', content: encode('a') }]],
    [
      'a path twice',
      [
        { path: 'a', content: encode('a') },
        { path: 'a', content: encode('b') },
      ],
    ],
    ['no content', [{ path: 'a', content: undefined as unknown as Uint8Array }]],
    ['content of a strange kind', [{ path: 'a', content: { text: 'a' } as unknown as Uint8Array }]],
    [
      'pieces of a strange kind',
      [
        {
          path: 'a',
          content: (async function* () {
            yield 'text' as unknown as Uint8Array;
          })(),
        },
      ],
    ],
    ['a local file that is not there', ['/nowhere/at all']],
    ['nothing at all', []],
  ] as [string, NonNullable<UploadOptions['files']>][])('of %s', async (_, files) => {
    const { hub, upload } = await station();
    expect(await rejectionOf(upload(files))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(requestsOf(hub, 'commit')).toEqual([]);
  });

  test('nothing is committed if the branch or repository does not exist', async () => {
    const { hub, client, upload } = await station();
    const files = [{ path: 'a/b.txt', content: encode('a') }];
    expect(await rejectionOf(upload(files, { branch: 'none' }))).toMatchObject({ code: 'REVISION_NOT_FOUND' });
    expect(await rejectionOf(client.upload({ repo: 'owner/none', files }))).toMatchObject({
      code: 'REPOSITORY_NOT_FOUND',
    });
    expect(requestsOf(hub, 'commit')).toEqual([]);
  });

  test.each([
    ['gets longer', (path: string) => appendFile(path, 'more')],
    ['gets shorter', (path: string) => truncate(path, 1000)],
    ['is written over', (path: string) => writeFile(path, randomBytes(2_000_000, 41))],
    [
      'is exchanged',
      async (path: string) => {
        await writeFile(`${path}.new`, randomBytes(2_000_000, 40));
        await rename(`${path}.new`, path);
      },
    ],
  ])('nothing is committed if a file %s while it is read', async (_, change) => {
    const hub = await sourceHub();
    await hub.createRepo(repo);
    const path = join(await folderOf({ 'a.bin': randomBytes(2_000_000, 40) }), 'a.bin');
    const client = sourceClient(hub, {
      accessToken: 'hf_local',
      fetch: async (url, init) => {
        if (url.includes('/preupload/')) await change(path);
        return fetch(url, init);
      },
    });
    const error = await rejectionOf(client.upload({ repo, files: [path] }));
    expect(error).toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('changed') });
    expect(requestsOf(hub, 'commit')).toEqual([]);
    expect(requestsOf(hub, 'shard-upload')).toEqual([]);
  });

  test.each([
    [
      'a full quota',
      { kind: 'commit', status: 403, body: '{"error":"Private repository storage limit reached"}' },
      'QUOTA',
    ],
    ['a shard that is refused', { kind: 'shard-upload', status: 400 }, 'PROTOCOL'],
    ['a xorb that is refused', { kind: 'xorb-upload', status: 403 }, 'FORBIDDEN'],
    ['a commit that is refused', { kind: 'commit', status: 403 }, 'FORBIDDEN'],
  ] as const)('with %s', async (_, { kind, ...fault }, code) => {
    const { hub, upload } = await station();
    hub.faults.add({ kind, action: 'status', times: 99, ...fault });
    hub.faults.add({ kind: 'grant', action: 'status', status: 404, times: 99 });
    const files = [{ path: 'a.bin', content: randomBytes(1_500_000, 41) }];
    expect(await rejectionOf(upload(files))).toMatchObject({ code });
    hub.faults.clear();
    expect(await contentOf(hub)).toEqual({});
    hub.resetRequests();
    await upload(files);
    // Stored data is not sent again.
    if (kind !== 'xorb-upload') expect(requestsOf(hub, 'xorb-upload')).toEqual([]);
    expect(await contentOf(hub)).toEqual(hashesOf({ 'a.bin': files[0]?.content ?? new Uint8Array() }));
  });

  test('nothing is committed if the Hub rejects the repository card', async () => {
    const hub = await sourceHub();
    await hub.createRepo(repo);
    const warnings: string[] = [];
    const bad = { status: 400 };
    const answers = [
      Response.json({ errors: [{ message: '"license" must be one of many' }], warnings: [] }),
      Response.json({ errors: [{ message: '"license" must be one of many' }], warnings: [] }, bad),
      Response.json({ errors: ['all of it must be one of many'], warnings: [] }, bad),
      Response.json({ error: 'What?' }, bad),
      Response.json({ errors: [], warnings: [{ message: 'no "tags"' }] }),
    ];
    const client = sourceClient(hub, {
      accessToken: 'hf_local',
      onWarning: (message) => warnings.push(message),
      fetch: (url, init) =>
        url.endsWith('/api/validate-yaml') ? Promise.resolve(answers.shift() as Response) : fetch(url, init),
    });
    const files = [{ path: 'README.md', content: encode('---\nlicense: none\n---\n# Model\n') }];
    for (const why of ['must be one of many', 'must be one of many', 'must be one of many', 'gives no reason']) {
      expect(await rejectionOf(client.upload({ repo, files }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(why),
      });
    }
    expect(requestsOf(hub, 'commit')).toEqual([]);
    await client.upload({ repo, files });
    expect(warnings).toEqual(['README.md: no "tags"']);
    expect(Object.keys(await contentOf(hub))).toEqual(['README.md']);
  });

  test('nothing is committed after an abort at any stage', async () => {
    for (const kind of ['preupload', 'token', 'xorb-upload', 'shard-upload', 'commit'] as const) {
      const { hub, client } = await station();
      hub.faults.add({ kind, action: 'delay', ms: 3_600_000, times: 99 });
      const stop = new AbortController();
      const files = [{ path: 'a.bin', content: randomBytes(1_500_000, 42) }];
      const ended = rejectionOf(client.upload({ repo, files, signal: stop.signal }));
      await expect.poll(() => requestsOf(hub, kind).length, { timeout: 10_000 }).toBeGreaterThan(0);
      stop.abort(new Error(`enough of ${kind}`));
      expect(await ended).toMatchObject({ message: `enough of ${kind}` });
      expect(client.metrics().memory.usedNowBytes).toBe(0);
      hub.faults.clear();
      expect(await contentOf(hub)).toEqual({});
    }
  });

  test('nothing is committed after an abort while a source is silent', async () => {
    const { hub, client } = await station();
    async function* silent(first: number) {
      if (first > 0) yield randomBytes(first, 43);
      await new Promise(() => undefined);
    }
    for (const first of [0, 3 * MIB]) {
      const stop = new AbortController();
      const ended = rejectionOf(
        client.upload({ repo, files: [{ path: 'a', content: silent(first) }], signal: stop.signal }),
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
      stop.abort(new Error('enough'));
      expect(await ended).toMatchObject({ message: 'enough' });
    }
    expect(requestsOf(hub, 'commit')).toEqual([]);
  });

  test('nothing is committed offline or after close()', async () => {
    const { hub, client } = await station();
    const files = [{ path: 'a', content: encode('a') }];
    const offline = sourceClient(hub, { offline: true });
    expect(await rejectionOf(offline.upload({ repo, files }))).toMatchObject({ code: 'OFFLINE' });
    await client.close();
    expect(await rejectionOf(client.upload({ repo, files }))).toMatchObject({ code: 'CLOSED' });
    expect(requestsOf(hub, 'commit')).toEqual([]);
  });
});

describe('what is stored is not sent again', () => {
  test('a variant with 5 % changes sends little more than the changes, from any machine', async () => {
    const { hub, upload } = await station();
    const base = randomBytes(24_000_000, 50);
    await upload([{ path: 'model.bin', content: base }]);
    const variant = base.slice();
    variant.set(randomBytes(600_000, 51), 5_000_000);
    variant.set(randomBytes(600_000, 52), 17_000_000);
    const known = await chunkLengths(base);
    let changed = 0;
    for (const [hash, length] of await chunkLengths(variant)) if (!known.has(hash)) changed += length;
    const other = sourceClient(hub, { accessToken: 'hf_local', chunkCache: { dir: freshCacheDir() } });
    const { bytes } = await other.upload({ repo, files: [{ path: 'variant.bin', content: variant }] });
    expect(bytes.sent).toBeLessThanOrEqual(1.15 * changed);
    expect(bytes.deduplicated).toBeGreaterThanOrEqual(variant.length - 1.15 * changed);
    expect(await contentOf(hub)).toEqual(hashesOf({ 'model.bin': base, 'variant.bin': variant }));
  });

  test('a fine-tune of a downloaded model finds its chunks without queries', async () => {
    const { hub, upload } = await station();
    const base = randomBytes(12_000_000, 53);
    await upload([{ path: 'model.bin', content: base }]);
    const other = sourceClient(hub, { accessToken: 'hf_local', chunkCache: { dir: freshCacheDir() } });
    await other.downloadFile({ repo, path: 'model.bin', localDir: await scratchFolder() });
    const tuned = base.slice();
    tuned.set(randomBytes(400_000, 54), 6_000_000);
    hub.resetRequests();
    const { bytes } = await other.upload({ repo, files: [{ path: 'tuned.bin', content: tuned }] });
    expect(bytes.sent).toBeLessThan(1_000_000);
    // Chunks that are new may be asked for: they are known nowhere.
    const known = await chunkLengths(base);
    const asked = requestsOf(hub, 'chunk-query').map(({ path }) => path.split('/').at(-1) ?? '');
    expect(asked.filter((hash) => known.has(hash))).toEqual([]);
  });

  test('an upload that failed resumes with the data it had stored', async () => {
    const { hub, client } = await station();
    const content = randomBytes(30_000_000, 55);
    const small = sourceClient(hub, { accessToken: 'hf_local', memoryBudget: 32 * MIB });
    hub.faults.add({ kind: 'xorb-upload', action: 'status', status: 403, after: 4, times: 1e9 });
    hub.faults.add({ kind: 'grant', action: 'status', status: 404, times: 1e9 });
    expect(await rejectionOf(small.upload({ repo, files: [{ path: 'a.bin', content }] }))).toMatchObject({
      code: 'FORBIDDEN',
    });
    hub.faults.clear();
    hub.resetRequests();
    const again = sourceClient(hub, { accessToken: 'hf_local', memoryBudget: 32 * MIB });
    await again.upload({ repo, files: [{ path: 'a.bin', content }] });
    // The same bytes make the same xorbs, and the server wants none of those that it has.
    const sent = requestsOf(hub, 'xorb-upload').length;
    expect(sent).toBeLessThan(8);
    expect(await contentOf(hub)).toEqual(hashesOf({ 'a.bin': content }));
    await client.close();
  });
});

describe('repositories and branches', () => {
  test('repositories and branches are created, and their URLs are returned', async () => {
    const hub = await sourceHub();
    const client = sourceClient(hub, { accessToken: 'hf_local' });
    expect(await client.createRepo({ repo: 'datasets/owner/data', private: true })).toEqual({
      url: `${hub.url}/datasets/owner/data`,
      created: true,
    });
    expect(await rejectionOf(client.createRepo({ repo: 'datasets/owner/data' }))).toMatchObject({ code: 'CONFLICT' });
    expect(await client.createRepo({ repo: 'datasets/owner/data', existOk: true })).toMatchObject({ created: false });
    await client.createBranch({ repo: 'datasets/owner/data', branch: 'next/one' });
    expect(await rejectionOf(client.createBranch({ repo: 'datasets/owner/data', branch: 'next/one' }))).toMatchObject({
      code: 'CONFLICT',
    });
    await client.createBranch({ repo: 'datasets/owner/data', branch: 'next/one', overwrite: true });
    const result = await client.upload({
      repo: 'datasets/owner/data',
      branch: 'next/one',
      files: [{ path: 'a.txt', content: encode('a') }],
    });
    expect(result.files).toMatchObject([{ path: 'a.txt', status: 'uploaded' }]);
  });
});

test('upload progress never decreases, knows its totals, and ends complete', async () => {
  const { client } = await station();
  const seen: Parameters<NonNullable<UploadOptions['onProgress']>>[0][] = [];
  const content = randomBytes(9_000_000, 60);
  await client.upload({
    repo,
    files: [
      { path: 'a.bin', content },
      { path: 'b.txt', content: text(500, 61) },
    ],
    onProgress: (progress) => seen.push(progress),
  });
  for (const [at, { bytes, files }] of seen.entries()) {
    const before = seen[at - 1];
    expect(bytes).toMatchObject({ total: content.length + 500 });
    expect(files.total).toBe(2);
    expect(bytes.done).toBeGreaterThanOrEqual(before?.bytes.done ?? 0);
    expect(bytes.hashed ?? 0).toBeGreaterThanOrEqual(before?.bytes.hashed ?? 0);
    expect(bytes.network).toBeGreaterThanOrEqual(before?.bytes.network ?? 0);
    expect(bytes.cache).toBe(0);
  }
  expect(seen.at(-1)).toMatchObject({
    phase: 'done',
    files: { done: 2 },
    bytes: { done: content.length + 500, hashed: content.length },
  });
  expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['uploading', 'committing', 'done']));
});

/** Hashes of the chunks of some bytes, and how long each is. */
async function chunkLengths(bytes: Uint8Array): Promise<Map<string, number>> {
  const { records } = await chunksOf(bytes);
  const at = Array.from({ length: chunkCount(records) }, (_, index) => index);
  return new Map(at.map((index) => [chunkHashHex(records, index), chunkLength(records, index)]));
}
