import { describe, expect, test } from 'vitest';
import * as compat from 'xetkit/compat';
import { hubFor } from '../support/hub.ts';

type Call = (params: unknown) => unknown;

/** Calls that take their parameters in one object, with a complete and valid example of those that must be given. */
const CALLS: Record<string, Record<string, unknown>> = {
  downloadFile: { repo: 'owner/model', path: 'config.json' },
  fileDownloadInfo: { repo: 'owner/model', path: 'config.json' },
  fileExists: { repo: 'owner/model', path: 'config.json' },
  listFiles: { repo: 'owner/model' },
  pathsInfo: { repo: 'owner/model', paths: ['config.json'] },
  uploadFile: { repo: 'owner/model', file: { path: 'a.txt', content: new Blob(['a']) } },
  uploadFiles: { repo: 'owner/model', files: [{ path: 'a.txt', content: new Blob(['a']) }] },
  uploadFilesWithProgress: { repo: 'owner/model', files: [{ path: 'a.txt', content: new Blob(['a']) }] },
  commit: { repo: 'owner/model', title: 'Delete a file', operations: [{ operation: 'delete', path: 'a.txt' }] },
  deleteFile: { repo: 'owner/model', path: 'a.txt' },
  deleteFiles: { repo: 'owner/model', paths: ['a.txt'] },
  createRepo: { repo: 'owner/other' },
  deleteRepo: { repo: 'owner/other' },
  createBranch: { repo: 'owner/model', branch: 'dev' },
  deleteBranch: { repo: 'owner/model', branch: 'dev' },
  repoExists: { repo: 'owner/model' },
  checkRepoAccess: { repo: 'owner/model' },
  listCommits: { repo: 'owner/model' },
  downloadFileToCacheDir: { repo: 'owner/model', path: 'config.json' },
  hfHubDownload: { repoId: 'owner/model', filename: 'config.json' },
};

const NOT_OBJECTS = [undefined, null, 5, '', 'owner/model', Symbol('none'), () => 1];
/** Values of the wrong type for every parameter of the examples. */
const WRONG = [5, {}, () => 1, true];

/** The error that a call rejects with; a generator is asked for its first value. */
async function refusal(call: Call, params: unknown): Promise<unknown> {
  const running = call(params) as Promise<unknown> | AsyncGenerator;
  const first = 'next' in running ? running.next() : running;
  return first.then(
    (value: unknown) => expect.fail(`It accepted the parameters and returned ${String(value)}.`),
    (error: unknown) => error,
  );
}

/** Programs of `@huggingface/hub` expect a TypeError for wrong arguments; ours explains itself. */
function expectExplained(error: unknown): void {
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({ cause: { name: 'XetError', code: 'INVALID_ARGUMENT' } });
}

describe('wrong parameters are explained', () => {
  const all = compat as unknown as Record<string, Call>;

  test('every call that takes parameters is in the table', () => {
    const others = ['getHFHubCachePath', 'getRepoFolderName', 'parseRepoType', 'scanCacheDir', 'scanCachedRepo'];
    const tested = [...Object.keys(CALLS), ...others, 'isXetError', 'snapshotDownload', 'useOriginal', 'whoAmI'];
    const calls = Object.entries(compat).filter(([name, value]) => typeof value === 'function' && !/Error$/.test(name));
    expect(calls.map(([name]) => name).filter((name) => !tested.includes(name))).toEqual([]);
  });

  test.each(Object.entries(CALLS))('of %s', async (name, example) => {
    const call = all[name] as Call;
    for (const params of NOT_OBJECTS) expectExplained(await refusal(call, params));
    for (const missing of Object.keys(example)) {
      const { [missing]: _, ...rest } = example;
      const error = await refusal(call, rest);
      expectExplained(error);
      expect(String(error)).toContain(`'${missing}'`);
      expectExplained(await refusal(call, { ...rest, [missing]: null }));
    }
    for (const value of WRONG) {
      for (const parameter of Object.keys(example)) {
        expectExplained(await refusal(call, { ...example, [parameter]: value }));
      }
      if (typeof value !== 'function') expectExplained(await refusal(call, { ...example, fetch: value }));
      expectExplained(await refusal(call, { ...example, hubUrl: value }));
    }
  });

  test('of calls that need none', async () => {
    for (const params of [[], [null], 5, 'text']) expectExplained(await refusal(all.whoAmI as Call, params));
  });

  test.each([undefined, null, 5, 10n, {}, ''])('of the calls that take a folder: %s', async (folder) => {
    const scanRepo = compat.scanCachedRepo as Call;
    expectExplained(await refusal(scanRepo, folder));
    if (folder !== undefined) expectExplained(await refusal(compat.scanCacheDir as Call, folder));
  });

  test('of snapshotDownload', async () => {
    for (const params of NOT_OBJECTS) expectExplained(await refusal(compat.snapshotDownload as Call, params));
    for (const params of [{}, { repo: null }, { repo: 5 }, { repoId: 5 }, { repo: 'owner/model', cacheDir: 5 }])
      expectExplained(await refusal(compat.snapshotDownload as Call, params));
  });
});

test('null counts as absent, and names that only later versions know are ignored', async () => {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', { 'config.json': new TextEncoder().encode('{}') });
  const params = { repo: 'owner/model', path: 'config.json', revision: null, hubUrl: hub.url, later: true };
  expect(await (compat.fileExists as Call)(params)).toBe(true);
});
