import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as original from '@huggingface/hub';
import { describe, expect, test, vi } from 'vitest';
import * as compat from 'xetkit/compat';
import type { LocalHub } from 'xetkit/local-hub';
import { hubFor, scratch } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';
import { type Api, all } from './calls.ts';

// What the original does wrong, and the drop-in does not repeat. Each row shows both.

vi.spyOn(console, 'debug').mockReturnValue(undefined);

const repo = 'owner/model';
const big = randomBytes(1_000_000, 1);

interface Fault {
  is: string;
  /** Gets the Hub ready. */
  given?: (hub: LocalHub) => Promise<unknown> | unknown;
  call: (api: Api, on: { hubUrl: string }, cacheDir: string) => Promise<unknown>;
  original: unknown;
  ours: unknown;
}

/** What was thrown, in place of it. */
const thrown = async (call: () => Promise<unknown>): Promise<unknown> =>
  call().then(
    (value) => value,
    (error: unknown) => (error instanceof Error ? { threw: error.constructor.name } : { threw: `a ${typeof error}` }),
  );
const blob = async (api: Api, path: string, on: { hubUrl: string }): Promise<Blob> => {
  const found = await api.downloadFile({ repo, path, ...on });
  if (!found) throw new Error(`no ${path}`);
  return found;
};

const odd = 'odd #1 %41 ?ü.bin';
const faults: Fault[] = [
  {
    is: 'paths are not encoded: a file whose name has # or ? in it is not found',
    call: async (api, on) => (await api.downloadFile({ repo, path: odd, ...on }))?.size ?? null,
    original: null,
    ours: 3000,
  },
  {
    is: 'paths are not encoded: such a folder cannot be listed',
    call: (api, on) =>
      thrown(async () => (await all(api.listFiles({ repo, path: 'a#b', ...on }))).map(({ path }) => path)),
    // It asks for what is before the #.
    original: { threw: 'HubApiError' },
    ours: ['a#b/c.txt'],
  },
  {
    is: 'a whole repository with such a file cannot be had',
    call: (api, on, cacheDir) =>
      thrown(async () => (await readdir(await api.snapshotDownload({ repo, cacheDir, ...on }))).length),
    original: { threw: 'Error' },
    ours: 5,
  },
  {
    is: 'corrupt data is given as if it were right',
    // The CAS's own data is as it was; one byte of a stored chunk turns on the way.
    given: (hub) => hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5000, times: 1 }),
    call: async (api, on) => Buffer.compare(Buffer.from(await (await blob(api, 'big.bin', on)).arrayBuffer()), big),
    original: expect.not.toSatisfy((order: number) => order === 0),
    ours: 0,
  },
  {
    is: 'a server that fails once is not asked again',
    given: (hub) => hub.faults.add({ kind: 'resolve', action: 'status', status: 503 }),
    call: (api, on) => thrown(async () => (await api.downloadFile({ repo, path: 'big.bin', ...on }))?.size),
    original: { threw: 'HubApiError' },
    ours: 1_000_000,
  },
  {
    is: 'only tokens that begin with hf_ are taken',
    call: (api, on) => thrown(() => api.fileExists({ repo, path: 'big.bin', accessToken: 'eyJhbGciOi', ...on })),
    original: { threw: 'TypeError' },
    ours: true,
  },
  {
    is: 'a slice with negative positions is refused',
    call: (api, on) =>
      thrown(async () => Buffer.from(await (await blob(api, 'big.bin', on)).slice(-100).arrayBuffer()).length),
    original: { threw: 'TypeError' },
    ours: 100,
  },
  {
    is: 'a slice that ends before it starts has a negative size',
    call: async (api, on) => (await blob(api, 'big.bin', on)).slice(80, 20).size,
    original: -60,
    ours: 0,
  },
  {
    is: 'a slice has no type of its own',
    call: async (api, on) => (await blob(api, 'big.bin', on)).slice(0, 10, 'Image/PNG').type,
    original: '',
    ours: 'image/png',
  },
  {
    is: 'a Blob of it has its size and none of its bytes',
    call: (api, on) => thrown(async () => (await new Blob([await blob(api, 'big.bin', on)]).arrayBuffer()).byteLength),
    original: 0,
    ours: { threw: 'XetError' },
  },
  {
    is: 'streams fail with a text, so that nobody can tell why',
    given: (hub) => hub.faults.add({ kind: 'reconstruction', action: 'status', status: 404, times: 9 }),
    call: (api, on) => thrown(async () => all((await blob(api, 'big.bin', on)).stream())),
    original: { threw: 'a string' },
    // Over plain HTTP it is all there.
    ours: expect.any(Array),
  },
  {
    is: 'three calls at once for one file of the cache folder come into each other’s way',
    call: async (api, on, cacheDir) => {
      const calls = [1, 2, 3].map(() => api.downloadFileToCacheDir({ repo, path: 'big.bin', cacheDir, ...on }));
      return (await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled').length;
    },
    original: expect.toSatisfy((done: number) => done < 3),
    ours: 3,
  },
  {
    is: 'an answer that ends early is kept under the name of the whole',
    given: (hub) => hub.faults.add({ kind: 'resolve-cache', action: 'shorten', toBytes: 10, after: 1 }),
    call: (api, on, cacheDir) =>
      thrown(async () => {
        const path = await api.downloadFileToCacheDir({ repo, path: 'note.txt', cacheDir, ...on });
        return (await readFile(path)).length;
      }),
    original: 10,
    ours: 2000,
  },
  {
    is: 'a branch in the cache folder is not where Python looks: no ref says which commit it is',
    call: async (api, on, cacheDir) => {
      await api.downloadFileToCacheDir({ repo, path: 'note.txt', cacheDir, ...on });
      return readdir(join(cacheDir, 'models--owner--model/refs')).catch(() => []);
    },
    original: [],
    ours: ['main'],
  },
  {
    is: 'files in folders of the cache folder are not counted',
    call: async (_api, on, cacheDir) => {
      // Filled by one of them, for both to look at.
      const wanted = { repo, path: 'deep/er/a.txt', cacheDir, ...on };
      await compat.downloadFileToCacheDir(wanted);
      await compat.downloadFileToCacheDir({ ...wanted, path: 'note.txt' });
      const { repos } = await _api.scanCacheDir(cacheDir);
      return repos[0]?.revisions[0]?.files.length;
    },
    original: 1,
    ours: 2,
  },
  {
    is: 'the pointer of a large file is kept as if it were the file',
    call: async (api, on, cacheDir) => {
      await api.downloadFileToCacheDir({ repo, path: 'big.bin', raw: true, cacheDir, ...on });
      return (await readdir(join(cacheDir, 'models--owner--model/blobs')).catch(() => [])).length;
    },
    original: 1,
    ours: 0,
  },
  {
    is: 'whether a revision exists is answered for the repository',
    call: (api, on) => api.repoExists({ repo, revision: 'nope', ...on }),
    original: true,
    ours: false,
  },
];

describe.each([
  { name: 'the original', api: original as Api, side: 'original' as const },
  { name: 'the drop-in', api: compat as Api, side: 'ours' as const },
])('$name', ({ api, side }) => {
  test.each(faults)('$is', async ({ given, call, [side]: expected }) => {
    const hub = await hubFor();
    await hub.commitFiles(
      repo,
      {
        'big.bin': big,
        'note.txt': text(2000, 2),
        'deep/er/a.txt': 'a',
        'a#b/c.txt': 'c',
        [odd]: randomBytes(3000, 3),
      },
      { compression: 'none' },
    );
    await given?.(hub);
    expect(await call(api, { hubUrl: hub.url }, await scratch())).toEqual(expected);
  });
});

test('a tag of 64 digits is believed to be a sha256 only where the server says so', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, { 'config.json': text(300, 9) });
  const tagged: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init);
    if (!String(input).includes('/resolve/')) return answer;
    // As shardline, which has the BLAKE3 of small files there.
    const headers = new Headers(answer.headers);
    headers.set('etag', `"${'b'.repeat(64)}"`);
    return new Response(answer.body, { status: answer.status, headers });
  };
  const got = await compat.downloadFile({ repo, path: 'config.json', hubUrl: hub.url, fetch: tagged });
  expect(Buffer.from((await got?.arrayBuffer()) ?? new ArrayBuffer(0))).toEqual(Buffer.from(text(300, 9)));
});
