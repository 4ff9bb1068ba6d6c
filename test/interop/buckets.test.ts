import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  copyFile,
  copyFolder,
  createRepo,
  deleteFiles,
  deleteRepo,
  downloadFile,
  fileDownloadInfo,
  fileExists,
  listFiles,
  pathsInfo,
  type RepoDesignation,
  uploadFiles,
} from '@huggingface/hub';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { filesUnder, sha256 } from '../support/hub.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { hfCommand, native, run } from './tools.ts';

const files: Record<string, Uint8Array> = {
  'notes.txt': Buffer.from('a small file\n'),
  empty: new Uint8Array(),
  'd/weights.bin': weights(4, 1),
  'd/deep/random.bin': randomBytes(3_000_000, 2),
  'd.log': text(200_000, 3),
  'odd name ü %41.bin': randomBytes(100_000, 4),
};
const digests = Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)]));

let folder: string;
let hub: LocalHub;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-interop-buckets-'));
  hub = await startLocalHub({ dir: join(folder, 'hub') });
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, 'files', path)), { recursive: true });
    await writeFile(join(folder, 'files', path), bytes);
  }
});

afterAll(async () => {
  await hub?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs `hf`, and gives what it prints. */
async function hf(...args: string[]): Promise<string> {
  const env = {
    HF_ENDPOINT: hub.url,
    HF_HOME: join(folder, 'home'),
    HF_TOKEN: 'hf_local',
    HF_HUB_DISABLE_TELEMETRY: '1',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
  };
  const { code, stdout, stderr } = await run(hfCommand(), args, { env, cwd: folder });
  expect(code, `hf ${args.join(' ')}: ${stdout}${stderr}`).toBe(0);
  return stdout;
}

const uri = (bucket: string, path = '') => `hf://buckets/${bucket}${path === '' ? '' : `/${path}`}`;
const asBucket = (name: string): RepoDesignation => ({ type: 'bucket', name });
const access = () => ({ hubUrl: hub.url, accessToken: 'hf_local' });
const asFile = (path: string, bytes: Uint8Array) => ({ path, content: new Blob([new Uint8Array(bytes)]) });

async function digestsIn(at: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of await filesUnder(at)) found[path] = sha256(await readFile(join(at, path)));
  return found;
}

/** Everything in a bucket by digest, as each client reads it. */
const readers: Record<string, (bucket: string) => Promise<Record<string, string>>> = {
  'hf sync': async (bucket) => {
    const to = await mkdtemp(join(folder, 'sync-'));
    await hf('sync', uri(bucket), to);
    return digestsIn(to);
  },
  '@huggingface/hub': async (bucket) => {
    const found: Record<string, string> = {};
    for await (const { path, type } of listFiles({ repo: asBucket(bucket), recursive: true, ...access() })) {
      expect(type).toBe('file');
      // It does not percent-encode paths, so such names are out of its reach on any server.
      const reachable = path.replaceAll('%', '%25');
      const blob = await downloadFile({ repo: asBucket(bucket), path: reachable, ...access() });
      found[path] = sha256(new Uint8Array(await (blob as Blob).arrayBuffer()));
    }
    return found;
  },
  'plain HTTP': async (bucket) => {
    const answer = await fetch(`${hub.url}/api/buckets/${bucket}/tree?recursive=true`);
    const found: Record<string, string> = {};
    for (const { path } of (await answer.json()) as { path: string }[]) {
      const got = await fetch(`${hub.url}/buckets/${bucket}/resolve/${encodeURIComponent(path)}`);
      found[path] = sha256(new Uint8Array(await got.arrayBuffer()));
    }
    return found;
  },
};

const writers: Record<string, (bucket: string) => Promise<void>> = {
  'hf sync': async (bucket) => {
    await hf('buckets', 'create', bucket);
    hub.resetRequests();
    await hf('sync', join(folder, 'files'), uri(bucket));
    const kinds = hub.requests.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'batch')).toHaveLength(1);
    expect(kinds).toContain('shard-upload');
    expect(kinds).not.toContain('preupload');
  },
  'the Python API': async (bucket) => {
    await native('bucket_write', { endpoint: hub.url, bucket, folder: join(folder, 'files') });
  },
  '@huggingface/hub': async (bucket) => {
    await createRepo({ repo: asBucket(bucket), ...access() });
    const sent = Object.entries(files).map(([path, bytes]) => asFile(path, bytes));
    await uploadFiles({ repo: asBucket(bucket), files: sent, ...access() });
  },
  'the local Hub itself': async (bucket) => {
    await hub.putFiles(`buckets/${bucket}`, files);
  },
};

describe.each(Object.entries(writers))('a bucket written by %s', (writer, write) => {
  const bucket = `ann/${writer.replaceAll(/[^a-z]+/gi, '-').replace(/^-/, '')}`;
  beforeAll(() => write(bucket));

  test.each(Object.entries(readers))('is read by %s, byte for byte', async (_, read) => {
    expect(await read(bucket)).toEqual(digests);
  });

  test('is listed alike by all', async () => {
    const listed = JSON.parse(await hf('buckets', 'list', bucket, '-R', '--format', 'json')) as {
      path: string;
      size: number;
    }[];
    const expected = Object.entries(files).map(([path, bytes]) => [path, bytes.length]);
    expect(listed.map(({ path, size }) => [path, size]).sort()).toEqual(expected.sort());
    const info = JSON.parse(await hf('buckets', 'info', bucket, '--format', 'json')) as Record<string, unknown>;
    const bytes = Object.values(files).reduce((sum, { length }) => sum + length, 0);
    expect(info).toMatchObject({ id: bucket, size: bytes, total_files: 6 });
    const top: string[] = [];
    for await (const { path } of listFiles({ repo: asBucket(bucket), path: 'd', ...access() })) top.push(path);
    expect(top).toEqual(['d.log', 'd/deep', 'd/weights.bin']);
    // Python filters what begins with the same text.
    expect(await hf('buckets', 'list', `${bucket}/d`)).not.toContain('d.log');
  });
});

test('hf sync sends what changed, deletes what is gone, and then has nothing to do', async () => {
  const bucket = 'ann/synced';
  const source = join(folder, 'synced');
  await mkdir(join(source, 'd'), { recursive: true });
  await writeFile(join(source, 'a'), 'one');
  await writeFile(join(source, 'd/b'), 'two');
  await hf('buckets', 'create', bucket);
  await hf('sync', source, uri(bucket));
  expect(await hf('sync', source, uri(bucket))).toContain('Nothing to sync');
  await writeFile(join(source, 'a'), 'other');
  await rm(join(source, 'd/b'));
  const plan = join(folder, 'plan.jsonl');
  await hf('sync', source, uri(bucket), '--delete', '--plan', plan);
  expect(Object.keys(await readers['plain HTTP']!(bucket))).toEqual(['a', 'd/b']);
  await hf('sync', '--apply', plan);
  expect(await readers['plain HTTP']!(bucket)).toEqual({ a: sha256(Buffer.from('other')) });
});

describe('copies', () => {
  const repo = 'ann/model';
  const lines = Buffer.from('a text in git\n');
  beforeAll(async () => {
    await hub.commitFiles(repo, { 'x/w.bin': files['d/weights.bin'] as Uint8Array, 'x/t.txt': lines });
    await hub.putFiles('buckets/ann/source', { 'x/a.bin': files['d/deep/random.bin'] as Uint8Array, 'x/e': '' });
  });

  /** Runs a copy, and counts the bytes of content that moved. */
  async function counted(copy: () => Promise<unknown>): Promise<number> {
    hub.resetRequests();
    await copy();
    return hub.requests
      .filter(({ kind }) => kind === 'xorb' || kind === 'bridge')
      .reduce((sum, r) => sum + r.bytesSent, 0);
  }

  test.each<[string, (bucket: string) => Promise<unknown>]>([
    ['hf cp', (bucket) => hf('cp', uri('ann/source', 'x/'), uri(bucket, 'to/'))],
    [
      '@huggingface/hub',
      (bucket) =>
        copyFolder({
          source: { repo: asBucket('ann/source'), path: 'x' },
          destination: { repo: asBucket(bucket) as never, path: 'to' },
          ...access(),
        }),
    ],
  ])('%s copies a folder between buckets without its content', async (name, copy) => {
    const bucket = `ann/copied-${name.replaceAll(/\W/g, '')}`;
    await hub.createRepo(`buckets/${bucket}`);
    expect(await counted(() => copy(bucket))).toBe(0);
    expect(await readers['plain HTTP']!(bucket)).toEqual({
      'to/a.bin': digests['d/deep/random.bin'],
      'to/e': digests.empty,
    });
  });

  test.each<[string, (bucket: string) => Promise<unknown>]>([
    ['hf cp', (bucket) => hf('cp', `hf://${repo}/x/`, uri(bucket))],
    [
      '@huggingface/hub',
      async (bucket) => {
        for (const path of ['w.bin', 't.txt']) {
          await copyFile({
            source: { repo, path: `x/${path}` },
            destination: { repo: asBucket(bucket) as never, path },
            ...access(),
          });
        }
      },
    ],
  ])('%s copies large files of a repository by hash and small ones by content', async (name, copy) => {
    const bucket = `ann/from-repo-${name.replaceAll(/\W/g, '')}`;
    await hub.createRepo(`buckets/${bucket}`);
    expect(await counted(() => copy(bucket))).toBe(0);
    expect(await readers['plain HTTP']!(bucket)).toEqual({
      'w.bin': digests['d/weights.bin'],
      't.txt': sha256(lines),
    });
  });

  test('hf cp copies between repositories with a call on the source and a commit', async () => {
    await hub.createRepo('datasets/ann/target');
    hub.resetRequests();
    await hf('cp', `hf://${repo}/x/`, 'hf://datasets/ann/target/y/');
    const paths = hub.requests.map(({ method, path }) => `${method} ${path}`);
    expect(paths).toContain('POST /api/models/ann/model/lfs-files/duplicate');
    expect(hub.requests.filter(({ kind }) => kind === 'xorb' || kind === 'bridge')).toEqual([]);
    for (const [path, digest] of [
      ['w.bin', digests['d/weights.bin']],
      ['t.txt', sha256(lines)],
    ]) {
      const got = await fetch(`${hub.url}/datasets/ann/target/resolve/main/y/${path}`);
      expect(sha256(new Uint8Array(await got.arrayBuffer()))).toBe(digest);
    }
  });
});

test('one bucket is written, read and emptied by all clients in turn', async () => {
  const bucket = 'ann/mixed';
  await hf('buckets', 'create', bucket, '--private');
  const mine = asBucket(bucket);
  await uploadFiles({ repo: mine, files: [asFile('js.txt', files['notes.txt'] as Uint8Array)], ...access() });
  await hf('cp', join(folder, 'files/d/deep/random.bin'), uri(bucket, 'py.bin'));
  await hub.putFiles(`buckets/${bucket}`, { 'hub.txt': 'put' });
  await copyFile({
    source: { repo: mine, path: 'py.bin' },
    destination: { repo: mine as never, path: 'js-copy.bin' },
    ...access(),
  });
  await hf('cp', uri(bucket, 'js.txt'), join(folder, 'back.txt'));
  expect(sha256(await readFile(join(folder, 'back.txt')))).toBe(digests['notes.txt']);
  const facts = await fileDownloadInfo({ repo: mine, path: 'js-copy.bin', ...access() });
  expect(facts).toMatchObject({ size: 3_000_000, xet: { hash: expect.any(String) } });
  expect(await fileExists({ repo: mine, path: 'hub.txt', ...access() })).toBe(true);
  expect(await fileExists({ repo: mine, path: 'none', ...access() })).toBe(false);
  const found = await pathsInfo({ repo: mine, paths: ['py.bin', 'none'], ...access() });
  expect(found.map(({ path, size }) => [path, size])).toEqual([['py.bin', 3_000_000]]);
  await hf('buckets', 'rm', `${bucket}/js.txt`, '--yes');
  await deleteFiles({ repo: mine, paths: ['py.bin'], ...access() });
  const left: string[] = [];
  for await (const { path } of listFiles({ repo: mine, ...access() })) left.push(path);
  expect(left).toEqual(['hub.txt', 'js-copy.bin']);
  await hf('buckets', 'move', bucket, 'ann/moved');
  await hf('buckets', 'settings', 'ann/moved', '--public');
  expect((await fetch(`${hub.url}/api/buckets/ann/moved`)).status).toBe(200);
  await deleteRepo({ repo: asBucket('ann/moved'), ...access() });
  expect((await fetch(`${hub.url}/api/buckets/ann/moved`)).status).toBe(401);
});

test('the Python file system reads, writes, lists and deletes in a bucket', async () => {
  await hub.createRepo('buckets/ann/fs');
  const result = await native('bucket_file_system', { endpoint: hub.url, bucket: 'ann/fs' });
  expect(result).toEqual({ listed: ['d/a.txt', 'd/b.txt'], text: 'one', left: ['d/b.txt'], partial: 'w' });
});
