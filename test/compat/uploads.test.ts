import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as original from '@huggingface/hub';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as compat from 'xetkit/compat';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { CommitEvents, type CommitProgressEvent } from '../../src/compat/commit-events.ts';
import { splice, spliced } from '../../src/compat/splice.ts';
import { scratch } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';
import { type Api, all } from './calls.ts';
import { outcomeOf } from './outcome.ts';

// One program that writes, run on both packages: what it gets, and what is in the repository then, must be the same.

const accessToken = 'hf_local';
const bytes = (length: number, seed: number) => new Blob([new Uint8Array(randomBytes(length, seed))]);
const big = bytes(1_200_000, 1);
const note = new Blob([new Uint8Array(text(300, 2))]);

let hub: LocalHub;
beforeAll(async () => {
  hub = await startLocalHub();
});
afterAll(() => hub.close());
// Nothing is to be handed to the original.
beforeEach(() => void vi.stubEnv('XETKIT_COMPAT', 'strict'));
afterEach(() => void vi.unstubAllEnvs());

interface To {
  repo: string;
  hubUrl: string;
  accessToken: string;
}

const rows: { does: string; call: (api: Api, to: To) => unknown }[] = [
  { does: 'one small file', call: (api, to) => api.uploadFile({ ...to, file: { path: 'a/note.txt', content: note } }) },
  { does: 'one large file', call: (api, to) => api.uploadFile({ ...to, file: { path: 'big.bin', content: big } }) },
  {
    does: 'a File by its name',
    call: (api, to) => api.uploadFile({ ...to, file: new File([note], 'named.txt') }),
  },
  {
    does: 'an empty file',
    call: (api, to) => api.uploadFile({ ...to, file: { path: 'empty.txt', content: new Blob([]) } }),
  },
  {
    does: 'several files, with a message',
    call: async (api, to) => {
      const files = [
        { path: 'big.bin', content: big },
        { path: 'odd name #1.bin', content: bytes(100_000, 3) },
        { path: 'note.txt', content: note },
      ];
      const made = await api.uploadFiles({ ...to, files, commitTitle: 'Title', commitDescription: 'More' });
      const [commit] = await all(api.listCommits({ ...to }));
      return [made, commit?.title, commit?.message];
    },
  },
  {
    does: 'files told of as they go',
    call: async (api, to) => {
      const files = [{ path: 'big.bin', content: big }];
      const events = api.uploadFilesWithProgress({ ...to, files });
      const phases: string[] = [];
      let last: CommitProgressEvent | undefined;
      for (;;) {
        const { done, value } = await events.next();
        if (done) return [phases, value?.commit, last];
        if (value.event === 'phase') phases.push(value.phase);
        else last = { ...value, state: 'uploading' };
      }
    },
  },
  {
    does: 'a file over another one',
    call: async (api, to) => {
      await api.uploadFile({ ...to, file: { path: 'note.txt', content: note } });
      return api.uploadFile({ ...to, file: { path: 'note.txt', content: new Blob(['new']) } });
    },
  },
  {
    does: 'a part of a file that is there',
    call: async (api, to) => {
      await api.uploadFile({ ...to, file: { path: 'big.bin', content: big } });
      const edits = [{ start: 500_000, end: 500_010, content: new Blob(['in its middle']) }];
      return api.uploadFile({ ...to, file: { path: 'big.bin', originalContent: big, edits } });
    },
  },
  {
    does: 'a file that was downloaded',
    call: async (api, to) => {
      await api.uploadFile({ ...to, file: { path: 'big.bin', content: big } });
      const content = await api.downloadFile({ ...to, path: 'big.bin' });
      return content && api.uploadFile({ ...to, file: { path: 'copy.bin', content } });
    },
  },
  {
    does: 'to a branch',
    call: async (api, to) => {
      await api.createBranch({ ...to, branch: 'next' });
      const made = await api.uploadFile({ ...to, branch: 'next', file: { path: 'note.txt', content: note } });
      return [made, await api.fileExists({ ...to, path: 'note.txt' })];
    },
  },
  {
    does: 'as a pull request',
    call: (api, to) => api.uploadFile({ ...to, isPullRequest: true, file: { path: 'note.txt', content: note } }),
  },
  {
    does: 'the end of a file',
    call: async (api, to) => {
      await api.uploadFiles({ ...to, files: ['a', 'b', 'c'].map((path) => ({ path, content: note })) });
      return [await api.deleteFile({ ...to, path: 'a' }), await api.deleteFiles({ ...to, paths: ['b'] })];
    },
  },
  {
    does: 'additions and deletions in one commit',
    call: async (api, to) => {
      await api.uploadFile({ ...to, file: { path: 'old.txt', content: note } });
      return api.commit({
        ...to,
        title: 'Both',
        operations: [
          { operation: 'addOrUpdate', path: 'new.txt', content: note },
          { operation: 'delete', path: 'old.txt' },
        ],
      });
    },
  },
  { does: 'no such file to delete', call: (api, to) => api.deleteFile({ ...to, path: 'nope' }) },
  {
    does: 'no such branch',
    call: (api, to) => api.uploadFile({ ...to, branch: 'nope', file: { path: 'note.txt', content: note } }),
  },
  {
    does: 'no such repository',
    call: (api, to) => api.uploadFile({ ...to, repo: 'owner/none', file: { path: 'note.txt', content: note } }),
  },
  {
    does: 'another commit than the parent that was named',
    call: (api, to) =>
      api.uploadFile({ ...to, parentCommit: '0'.repeat(40), file: { path: 'note.txt', content: note } }),
  },
];

/** Commits are named by what is in them and by when they were made. */
const withoutCommits = (outcome: unknown) => JSON.parse(JSON.stringify(outcome).replace(/[0-9a-f]{40}/g, '<commit>'));

async function run(api: Api, call: (api: Api, to: To) => unknown) {
  const repo = `owner/${randomUUID()}`;
  await hub.createRepo(repo);
  const to = { repo, hubUrl: hub.url, accessToken };
  const outcome = await outcomeOf(() => call(api, to), { [repo]: '<repo>', [hub.url]: '<hub>' });
  const tree = await all(original.listFiles({ repo, hubUrl: hub.url, recursive: true }));
  return {
    outcome: withoutCommits(outcome),
    files: tree.map(({ path, size, oid, lfs, xetHash }) => ({ path, size, oid, lfs, xetHash })),
  };
}

describe('what is written', () => {
  test.each(rows)('$does', async ({ call }) => {
    expect(await run(compat, call)).toEqual(await run(original, call));
  });
});

test('a local folder by its address', async () => {
  const folder = await scratch();
  await mkdir(join(folder, 'of mine/sub'), { recursive: true });
  await writeFile(join(folder, 'of mine/sub/a.txt'), 'a');
  const call = (api: Api, to: To) => api.uploadFiles({ ...to, files: [pathToFileURL(join(folder, 'of mine'))] });
  const [own, theirs] = [await run(compat, call), await run(original, call)];
  const within = ({ files }: typeof own, name: string) =>
    files.map(({ path }) => path).filter((path) => path.startsWith(name));
  expect(within(own, 'of')).toEqual(['of mine', 'of mine/sub', 'of mine/sub/a.txt']);
  // The original takes the name as it is written in the address.
  expect(within(theirs, 'of')).toEqual(['of%20mine', 'of%20mine/sub', 'of%20mine/sub/a.txt']);
});

test('an abort ends an upload before it is committed, as it does not with the original', async () => {
  const reason = new Error('enough');
  const call = (api: Api, to: To) =>
    api.uploadFile({ ...to, abortSignal: AbortSignal.abort(reason), file: { path: 'note.txt', content: note } });
  const before = hub.requests.length;
  const { outcome } = await run(compat, call);
  expect(outcome).toEqual({ threw: 'Error' });
  expect(hub.requests.slice(before).filter(({ kind }) => kind === 'commit')).toEqual([]);
});

test('a way without Xet is the original’s', async () => {
  const to = { repo: 'owner/any', hubUrl: hub.url, accessToken };
  const file = { path: 'note.txt', content: note };
  await expect(compat.uploadFile({ ...to, file, useXet: false })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

describe('events', () => {
  const told = (phase: 'uploading' | 'committing', current: string, done: number) => ({
    phase,
    current,
    bytes: { done, total: 100, network: 0, cache: 0, local: 0 },
  });

  test('say of each file that it began and that it is done', () => {
    const events: CommitProgressEvent[] = [];
    const tell = new CommitEvents((event) => events.push(event));
    tell.begin();
    tell.told(told('uploading', 'a', 0));
    tell.told(told('uploading', 'a', 20));
    tell.told(told('uploading', 'b', 40));
    tell.told(told('uploading', 'b', 70));
    tell.told(told('committing', 'b', 100));
    tell.finish(['a', 'b', 'c']);
    const at = (path: string, progress: number) => ({ event: 'fileProgress', path, progress, state: 'uploading' });
    expect(events).toEqual([
      { event: 'phase', phase: 'preuploading' },
      { event: 'phase', phase: 'uploadingLargeFiles' },
      at('a', 0),
      at('a', 0.2),
      at('a', 1),
      at('b', 0),
      at('b', 0.5),
      at('b', 1),
      { event: 'phase', phase: 'committing' },
      at('c', 1),
    ]);
  });
});

describe('edits', () => {
  const original = new Blob(['0123456789']);
  const edit = (start: number, end: number, content: string) => ({ start, end, content: new Blob([content]) });
  const result = async (...edits: ReturnType<typeof edit>[]) =>
    Buffer.concat(await all(splice(original, edits))).toString();

  test('in any order, at the edges, and without anything in their place', async () => {
    expect(await result()).toBe('0123456789');
    expect(await result(edit(8, 10, 'x'), edit(0, 2, 'abc'))).toBe('abc234567x');
    expect(await result(edit(3, 3, '+'), edit(10, 10, '!'), edit(5, 7, ''))).toBe('012+34789!');
  });

  test.each([[edit(4, 2, '')], [edit(-1, 2, '')], [edit(5, 11, '')], [edit(0, 5, ''), edit(4, 6, '')]])(
    'that lie outside or over each other are refused',
    (...edits) => expect(() => spliced(original, edits)).toThrow(/apart from each other/),
  );
});

test('a single file, path or operation is a list of one, and a text no list of its characters', async () => {
  const repo = `owner/single-${randomUUID()}`;
  const to = { repo, hubUrl: hub.url, accessToken };
  await hub.createRepo(repo);
  const file = { path: 'zz', content: note };
  // Programs in JavaScript are held by no types.
  await compat.uploadFiles({ ...to, files: file as unknown as (typeof file)[] });
  await compat.uploadFiles({ ...to, files: ['z', 'd/a.txt'].map((path) => ({ path, content: note })) });
  await compat.deleteFiles({ ...to, paths: 'zz' as unknown as string[] });
  const operations = { operation: 'delete', path: 'd/a.txt' } as const;
  await compat.commit({ ...to, title: 'One', operations: operations as unknown as (typeof operations)[] });
  const folder = await scratch();
  await writeFile(join(folder, 'local.txt'), 'local');
  await compat.uploadFiles({ ...to, files: folder as unknown as (typeof file)[] });
  const paths = (await all(compat.listFiles(to))).map(({ path }) => path);
  expect(paths.sort()).toEqual(['.gitattributes', 'local.txt', 'z']);
  for (const files of ['/', '']) {
    await expect(compat.uploadFiles({ ...to, files: files as unknown as (typeof file)[] })).rejects.toThrow(TypeError);
  }
});
