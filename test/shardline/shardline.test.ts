import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type UploadResult, XetClient, type XetClientOptions } from 'xetkit';
import { hfPath, type Ran, run, xetkitCommand } from '../interop/tools.ts';
import { sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { type Shardline, startShardline, withPython, withShardline } from './shardline.ts';

// A Hub and a CAS that others wrote. What it does in other ways than the Hub is at the end, and in docs/servers.md.

const encode = (words: string) => new TextEncoder().encode(words);
const base = randomBytes(70_000_000, 41);
const model = weights(24, 42);

/** shardline keeps files of up to 8 MiB beside the CAS, whatever is in them. */
const large: Record<string, Uint8Array> = {
  'constant.bin': new Uint8Array(9_000_000).fill(59),
  'in/a folder/shares-the-model.bin': Buffer.concat([text(100_000, 43), model, text(100_000, 44)]),
  'model.safetensors': model,
  'more-than-a-xorb.bin': base,
  'random.bin': randomBytes(9_000_000, 45),
  'text.txt': text(9_000_000, 46),
};
const small: Record<string, Uint8Array> = {
  'README.md': encode('---\nlicense: apache-2.0\n---\n# A model\n'),
  'config.json': encode('{"layers": 2}\n'),
  'empty.txt': new Uint8Array(),
  'in/medium.bin': randomBytes(1_500_000, 47),
  'odd name ü #1 % +.txt': text(4000, 48),
  'tiny.bin': Uint8Array.of(0),
};
const all = { ...large, ...small };
const repo = 'owner/model';

let folder: string;
let server: Shardline;

interface Seen {
  method: string;
  path: string;
  status: number;
}

interface Machine {
  client: XetClient;
  /** Every request that it made. */
  seen: Seen[];
}

/** A machine that has seen nothing yet. No Xet file comes another way unnoticed. */
async function freshMachine(of: string, options: XetClientOptions = {}): Promise<Machine> {
  const seen: Seen[] = [];
  const { fetch: send = fetch } = options;
  const client = new XetClient({
    endpoint: server.url,
    accessToken: await server.token(of),
    cacheDir: join(folder, randomUUID()),
    chunkCache: { dir: join(folder, randomUUID()) },
    fallback: 'never',
    ...options,
    fetch: async (url, init) => {
      const answer = await send(url, init);
      seen.push({ method: init?.method ?? 'GET', path: new URL(url).pathname, status: answer.status });
      return answer;
    },
  });
  return { client, seen };
}

/** One that is gone when the test is. */
async function machine(of: string, options: XetClientOptions = {}): Promise<Machine> {
  const made = await freshMachine(of, options);
  onTestFinished(() => made.client.close());
  return made;
}

const posted = (seen: Seen[], path: RegExp) => seen.filter((one) => one.method === 'POST' && path.test(one.path));

/** What another machine gets of all files of a repository. */
async function contentOf(of: string, revision = 'main'): Promise<Record<string, string>> {
  const { client } = await machine(of);
  const { folder: path, files } = await client.snapshot({ repo: of, revision, localDir: join(folder, randomUUID()) });
  const contents = files.map(async ({ path: file }) => [file, sha256(await readFile(join(path, file)))] as const);
  return Object.fromEntries(await Promise.all(contents));
}

const hashesOf = (files: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)]));

/** A user of the command line who has seen nothing yet. */
async function user(of: string): Promise<NodeJS.ProcessEnv> {
  const home = join(folder, randomUUID());
  return {
    HOME: home,
    HF_HOME: join(home, 'hf'),
    HF_ENDPOINT: server.url,
    HF_TOKEN: await server.token(of),
    HF_HUB_DISABLE_TELEMETRY: '1',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
    NO_COLOR: '1',
  };
}

async function xetkit(of: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const ran = await run(process.execPath, [xetkitCommand, ...args], { env: { ...(await user(of)), ...env } });
  expect(ran.code, ran.stderr).toBe(0);
  return ran;
}

withShardline(() => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'xetkit-shardline-test-'));
    server = await startShardline();
    for (const [path, bytes] of Object.entries(all)) {
      const at = join(folder, 'files', path);
      await mkdir(dirname(at), { recursive: true });
      await writeFile(at, bytes);
    }
  });

  afterAll(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  describe('a folder that xetkit uploads', () => {
    let uploaded: UploadResult;
    let seen: Seen[];
    /** What the machine that uploaded it remembers. */
    let memory: { dir: string };

    beforeAll(async () => {
      memory = { dir: join(folder, randomUUID()) };
      const writer = await freshMachine(repo, { chunkCache: memory });
      await using client = writer.client;
      seen = writer.seen;
      expect(await client.createRepo({ repo })).toEqual({ url: `${server.url}/${repo}`, created: true });
      uploaded = await client.upload({ repo, files: [join(folder, 'files')], title: 'All of it' });
    });

    test('goes to the CAS as far as it is large, and in one commit', async () => {
      const modes = uploaded.files.map(({ path, mode, status }) => [path, `${mode} ${status}`]);
      expect(Object.fromEntries(modes)).toEqual({
        ...Object.fromEntries(Object.keys(large).map((path) => [path, 'lfs uploaded'])),
        ...Object.fromEntries(Object.keys(small).map((path) => [path, 'regular uploaded'])),
      });
      expect(uploaded.commits).toMatchObject([{ oid: uploaded.commit, title: 'All of it' }]);
      // What two files share is sent once, and what repeats itself as well.
      expect(uploaded.bytes.deduplicated).toBeGreaterThan(model.length);
      expect(posted(seen, /^\/v1\/xorbs\//).every(({ status }) => status === 200)).toBe(true);
      expect(posted(seen, /^\/v1\/xorbs\//).length).toBeGreaterThan(1);
      expect(posted(seen, /^\/v2\/shards$/).map(({ status }) => status)).toEqual([200]);
    });

    test.each(Object.keys(all))('%s comes down byte for byte', async (path) => {
      const { client } = await machine(repo);
      const result = await client.downloadFile({ repo, path, localDir: join(folder, randomUUID()) });
      expect(sha256(await readFile(result.localPath))).toBe(sha256(all[path]!));
      expect(result).toMatchObject({
        size: all[path]!.length,
        commit: uploaded.commit,
        verified: path in large ? 'xet' : 'git-sha1',
        xetHash: uploaded.files.find((file) => file.path === path)?.xetHash,
      });
    });

    test('comes down as a snapshot, the large files over Xet', async () => {
      const { client, seen } = await machine(repo);
      const result = await client.snapshot({ repo });
      expect(result.commit).toBe(uploaded.commit);
      expect(result.files.map(({ path: file }) => file).sort()).toEqual(Object.keys(all).sort());
      for (const { path: file, localPath: path, verified } of result.files) {
        expect(sha256(await readFile(path)), file).toBe(sha256(all[file]!));
        expect(verified, file).toBe(file in large ? 'xet' : 'git-sha1');
      }
      expect(seen.some(({ path }) => path.startsWith('/transfer/xorb/'))).toBe(true);
      const again = await client.snapshot({ repo });
      expect(again.bytes).toMatchObject({ network: 0 });
    });

    test('is listed with sizes and hashes', async () => {
      const { client } = await machine(repo);
      const listed: Record<string, unknown> = {};
      for await (const entry of client.listFiles({ repo, recursive: true })) {
        if (entry.type === 'file') listed[entry.path] = [entry.size, entry.sha256];
      }
      const expected = Object.entries(all).map(([path, bytes]) => [
        path,
        [bytes.length, path in large ? sha256(bytes) : undefined],
      ]);
      expect(listed).toEqual(Object.fromEntries(expected));
      const inFolder: string[] = [];
      for await (const { path } of client.listFiles({ repo, path: 'in/a folder' })) inFolder.push(path);
      expect(inFolder).toEqual(['in/a folder/shares-the-model.bin']);
    });

    test('is read in ranges, also across xorbs', async () => {
      const { client, seen } = await machine(repo);
      for (const path of ['more-than-a-xorb.bin', 'in/a folder/shares-the-model.bin', 'in/medium.bin']) {
        const expected = all[path]!;
        const file = await client.open({ repo, path });
        const size = expected.length;
        const cuts: [start: number, end: number][] = [
          [0, 1],
          [size - 1, size],
          [99_990, 300_000],
          [size >> 1, (size >> 1) + 700_000],
          [Math.max(0, size - 8_000_000), size],
        ];
        for (const [start, end] of cuts) {
          expect(sha256(await file.read(start, end)), `${path} ${start}–${end}`).toBe(
            sha256(expected.subarray(start, end)),
          );
        }
      }
      expect(seen.filter(({ path }) => path.startsWith('/transfer/xorb/')).every(({ status }) => status === 206)).toBe(
        true,
      );
    });

    test('goes on where a connection broke, though shardline serves whole ranges only', async () => {
      const broken: string[] = [];
      const { client, seen } = await machine(repo, {
        retry: { baseDelayMs: 1, maxDelayMs: 5 },
        fetch: async (url, init) => {
          const answer = await fetch(url, init);
          if (!url.includes('/transfer/xorb/') || !answer.ok || broken.length >= 2) return answer;
          broken.push(url);
          return cutShort(answer, 3_000_000);
        },
      });
      const path = 'more-than-a-xorb.bin';
      const result = await client.downloadFile({ repo, path, localDir: join(folder, randomUUID()) });
      expect(sha256(await readFile(result.localPath))).toBe(sha256(base));
      expect(result.verified).toBe('xet');
      expect(broken).toHaveLength(2);
      expect(seen.filter(({ status }) => status === 404).length).toBeGreaterThan(0);
    });

    test('comes down over plain HTTP as well, checked by sha256', async () => {
      for (const path of ['model.safetensors', 'more-than-a-xorb.bin']) {
        const at = join(folder, randomUUID());
        const { stdout } = await xetkit(repo, ['download', repo, path, '--local-dir', at, '--no-xet', '--json']);
        expect(sha256(await readFile(join(at, path)))).toBe(sha256(all[path]!));
        expect(JSON.parse(stdout.split('\n')[0]!)).toMatchObject({ path, verified: 'sha256' });
      }
    });

    test('is sent a second time without any xorb', async () => {
      const { client, seen } = await machine(repo, { chunkCache: memory });
      const files = Object.keys(large).map((path) => ({ path, content: join(folder, 'files', path) }));
      const { bytes } = await client.upload({ repo, files, title: 'Again' });
      expect(bytes.sent).toBe(0);
      expect(bytes.deduplicated).toBe(Object.values(large).reduce((sum, { length }) => sum + length, 0));
      expect(posted(seen, /^\/v1\/xorbs\//)).toEqual([]);
      expect(await contentOf(repo)).toEqual(hashesOf(all));
    });

    // It tells of the xorbs of some file with a chunk, where the Hub tells of all that came with it.
    test('is sent again in part by who remembers nothing', async () => {
      const { client } = await machine(repo);
      const files = Object.keys(large).map((path) => ({ path, content: join(folder, 'files', path) }));
      const { bytes } = await client.upload({ repo, files, title: 'Once more' });
      expect(bytes.sent).toBeLessThan(uploaded.bytes.sent / 2);
      expect(await contentOf(repo)).toEqual(hashesOf(all));
    });

    test('costs its change when it changes, up and down', async () => {
      const path = 'more-than-a-xorb.bin';
      const variant = base.slice();
      variant.set(randomBytes(700_000, 49), 30_000_000);
      const [reader, writer] = [await machine(repo), await machine(repo)];
      for (const { client } of [reader, writer]) await client.downloadFile({ repo, path, revision: uploaded.commit });
      const sent = await writer.client.upload({ repo, files: [{ path, content: variant }] });
      expect(sent.bytes.sent).toBeLessThan(1_500_000);
      const result = await reader.client.downloadFile({ repo, path });
      expect(sha256(await readFile(result.localPath))).toBe(sha256(variant));
      expect(result.bytes.network).toBeLessThan(2_000_000);
      const before = await reader.client.downloadFile({ repo, path, revision: uploaded.commit });
      expect(sha256(await readFile(before.localPath))).toBe(sha256(base));
    });
  });

  test('a file that is there is not sent by who remembers nothing', async () => {
    const of = 'owner/known';
    const files = [{ path: 'weights.bin', content: base }];
    const writer = await machine(of);
    await writer.client.createRepo({ repo: of });
    await writer.client.upload({ repo: of, files });
    expect(posted(writer.seen, /^\/v1\/xorbs\//).length).toBeGreaterThan(1);
    const other = await machine(of);
    const { bytes } = await other.client.upload({ repo: of, files });
    expect(bytes).toMatchObject({ sent: 0, deduplicated: base.length });
    expect(posted(other.seen, /^\/v1\/xorbs\//)).toEqual([]);
  });

  describe('repositories', () => {
    test('that are there are told of', async () => {
      const { client } = await machine('owner/twice');
      const named = { repo: 'owner/twice' };
      expect(await client.createRepo({ ...named, private: true })).toMatchObject({ created: true });
      expect(await client.createRepo({ ...named, existOk: true })).toMatchObject({ created: false });
      expect(await rejectionOf(client.createRepo(named))).toMatchObject({ code: 'CONFLICT', status: 409 });
    });

    test.each(['datasets/owner/rows', 'spaces/owner/room'])('%s is one of its own type', async (of) => {
      const { client } = await machine(of);
      await client.createRepo({ repo: of, ...(of.startsWith('spaces') && { sdk: 'static' }) });
      const files = { 'rows.bin': large['random.bin']!, 'notes.txt': encode('notes') };
      await client.upload({
        repo: of,
        files: Object.entries(files).map(([path, bytes]) => ({ path, content: new Blob([bytes.slice()]) })),
      });
      expect(await contentOf(of)).toEqual(hashesOf(files));
    });

    test('have branches, and files are deleted', async () => {
      const of = 'owner/branches';
      const { client } = await machine(of);
      await client.createRepo({ repo: of });
      const files = ['a.txt', 'in/b.txt', 'in/c.txt', 'd.txt'].map((path) => ({ path, content: encode(path) }));
      const { commit } = await client.upload({ repo: of, files });
      await client.createBranch({ repo: of, branch: 'next' });
      const changed = await client.upload({
        repo: of,
        branch: 'next',
        files: [{ path: 'a.txt', content: encode('other') }],
        deletions: ['in/'],
        parentCommit: commit,
      });
      expect(await contentOf(of, 'next')).toEqual(hashesOf({ 'a.txt': encode('other'), 'd.txt': encode('d.txt') }));
      await client.deleteFiles({ repo: of, paths: ['d.txt'] });
      expect(Object.keys(await contentOf(of)).sort()).toEqual(['a.txt', 'in/b.txt', 'in/c.txt']);
      const late = client.upload({ repo: of, files, branch: 'next', parentCommit: commit });
      expect(await rejectionOf(late)).toMatchObject({ code: 'CONFLICT', status: 409 });
      expect((await client.fileInfo({ repo: of, path: 'a.txt', revision: 'next' })).commit).toBe(changed.commit);
    });

    test('that are missing, or of which something is, are named by the right error', async () => {
      const { client } = await machine('owner/none');
      const none = { repo: 'owner/none', path: 'a.txt' };
      expect(await rejectionOf(client.snapshot(none))).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
      await client.createRepo({ repo: 'owner/none' });
      expect(await rejectionOf(client.fileInfo(none))).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
      expect(await rejectionOf(client.fileInfo({ ...none, revision: 'nowhere' }))).toMatchObject({
        code: 'REVISION_NOT_FOUND',
      });
    });
  });

  test('the command line uploads, lists and downloads', async () => {
    const of = 'owner/by-command';
    const from = join(folder, 'files');
    const up = await xetkit(of, [
      'upload',
      of,
      from,
      '--create',
      '--exclude',
      'more-than*',
      '--message',
      'Up',
      '--json',
    ]);
    const summary = JSON.parse(up.stdout.trim().split('\n').at(-1)!) as { commit: string };
    const wanted = Object.keys(all).filter((path) => !path.startsWith('more-than'));
    const listing = await xetkit(of, ['ls', of, '--recursive', '--json']);
    const entries = listing.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { path: string; type: string });
    expect(entries.filter(({ type }) => type === 'file').map(({ path }) => path)).toEqual([...wanted].sort());
    const at = join(folder, 'by-command');
    await xetkit(of, ['download', of, '--revision', summary.commit, '--local-dir', at]);
    for (const path of wanted) expect(sha256(await readFile(join(at, path))), path).toBe(sha256(all[path]!));
  });

  withPython(() => {
    test("Python's client gets what xetkit uploaded, and the reverse", async () => {
      const hf = async (of: string, args: string[]) => {
        const { code, stdout, stderr } = await run(hfPath, args, { env: await user(of) });
        expect(code, `${stdout}${stderr}`).toBe(0);
      };
      const from = join(folder, 'files');
      const [ours, theirs] = ['owner/ours', 'owner/theirs'];
      const { client } = await machine(ours);
      await client.createRepo({ repo: ours });
      await client.upload({ repo: ours, files: [from] });
      const at = join(folder, 'by-python');
      await hf(ours, ['download', ours, '--local-dir', at]);
      for (const [path, bytes] of Object.entries(all)) {
        expect(sha256(await readFile(join(at, path))), path).toBe(sha256(bytes));
      }
      await hf(theirs, ['upload', theirs, from, '.']);
      const reader = await machine(theirs);
      const { files } = await reader.client.snapshot({ repo: theirs });
      for (const { path: file, localPath: path, verified } of files) {
        expect(sha256(await readFile(path)), file).toBe(sha256(all[file]!));
        expect(verified, file).toBe(file in large ? 'xet' : 'git-sha1');
      }
      expect(files.map(({ path: file }) => file).sort()).toEqual(Object.keys(all).sort());
    });
  });

  describe('other than on the Hub', () => {
    test('a token is for one repository, and nothing is read without one', async () => {
      const { client } = await machine('owner/another');
      await client.createRepo({ repo: 'owner/another' });
      const anonymous = await machine('owner/another', { accessToken: '' });
      const other = await machine('owner/elsewhere');
      const list = async (by: XetClient) => {
        for await (const _ of by.listFiles({ repo: 'owner/another' })) return;
      };
      expect(await rejectionOf(list(anonymous.client))).toMatchObject({ code: 'REPOSITORY_NOT_FOUND', status: 401 });
      expect(await rejectionOf(list(other.client))).toMatchObject({ code: 'FORBIDDEN', status: 403 });
      const reader = await machine('owner/another', { accessToken: await server.token('owner/another', 'read') });
      await list(reader.client);
      const write = reader.client.upload({ repo: 'owner/another', files: [{ path: 'a', content: encode('a') }] });
      expect(await rejectionOf(write)).toMatchObject({ code: 'FORBIDDEN', status: 403 });
    });

    test('a missing repository is a missing revision to who asks for a file of it, or uploads', async () => {
      const { client } = await machine('owner/nowhere');
      const [none, path] = ['owner/nowhere', 'a.txt'];
      expect(await rejectionOf(client.fileInfo({ repo: none, path }))).toMatchObject({ code: 'REVISION_NOT_FOUND' });
      const upload = client.upload({ repo: none, files: [{ path, content: encode('a') }] });
      expect(await rejectionOf(upload)).toMatchObject({ code: 'REVISION_NOT_FOUND' });
    });

    test('what has not changed is not told, so it is committed again', async () => {
      const of = 'owner/unchanged';
      const { client } = await machine(of);
      await client.createRepo({ repo: of });
      const files = [{ path: 'a.txt', content: encode('a') }];
      const first = await client.upload({ repo: of, files });
      const second = await client.upload({ repo: of, files });
      expect(second.files).toMatchObject([{ status: 'uploaded' }]);
      expect(second.commit).not.toBe(first.commit);
    });

    test('there are no pull requests: what is meant for one is committed, and told of', async () => {
      const of = 'owner/proposals';
      const warnings: string[] = [];
      const { client } = await machine(of, { onWarning: (message) => warnings.push(message) });
      await client.createRepo({ repo: of });
      const files = [{ path: 'a.txt', content: encode('a') }];
      const { commit, pullRequestUrl } = await client.upload({ repo: of, files, createPr: true });
      expect(pullRequestUrl).toBeUndefined();
      expect(warnings).toEqual([expect.stringContaining(`made commit ${commit} on 'main'`)]);
      expect(await contentOf(of)).toEqual(hashesOf({ 'a.txt': encode('a') }));
    });
  });
});

/** An answer whose body breaks off. */
function cutShort(answer: Response, afterBytes: number): Response {
  let left = afterBytes;
  const body = answer.body?.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        if (bytes.length > left) controller.error(new TypeError('The connection broke.'));
        else controller.enqueue(bytes);
        left -= bytes.length;
      },
    }),
  );
  return new Response(body, { status: answer.status, headers: answer.headers });
}
