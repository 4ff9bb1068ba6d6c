import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as compat from 'xetkit/compat';
import { readSwitches } from '../../src/compat/platform.node.ts';
import { hubFor } from '../support/hub.ts';

// Which of the two packages makes a call.

const { downloadFile, fileExists, hfHubDownload, listFiles, snapshotDownload, uploadFile, useOriginal } = compat;

/** In place of the original: says what it was called with. */
const other = {
  downloadFile: vi.fn(async (_params: object) => new Blob(['of the other'])),
  fileExists: vi.fn(async (_params: object) => true),
  snapshotDownload: vi.fn(async (_params: object) => 'folder of the other'),
  uploadFile: vi.fn(async (_params: object) => undefined),
  listFiles: vi.fn(async function* (_params: object) {
    yield { type: 'file', path: 'of the other', size: 1 };
  }),
};

const warnings: string[] = [];
beforeEach(() => {
  vi.stubEnv('XETKIT_COMPAT', undefined);
  vi.stubEnv('HF_HUB_DISABLE_XET', undefined);
  vi.spyOn(console, 'warn').mockImplementation((text: string) => void warnings.push(text));
  warnings.length = 0;
});
afterEach(() => {
  useOriginal(undefined);
  vi.unstubAllEnvs();
  vi.clearAllMocks();
});

/** A Hub, and one that refuses everybody. */
async function someHub() {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', { 'a.txt': 'of the Hub' });
  return { hubUrl: hub.url };
}
const nowhere = { hubUrl: 'http://127.0.0.1:1' };

test('xetkit makes all calls, as long as nobody says otherwise', async () => {
  useOriginal(other);
  const blob = await downloadFile({ repo: 'owner/model', path: 'a.txt', ...(await someHub()) });
  expect(await blob?.text()).toBe('of the Hub');
  expect(other.downloadFile).not.toHaveBeenCalled();
});

describe('the original makes them', () => {
  test('with XETKIT_COMPAT=off', async () => {
    vi.stubEnv('XETKIT_COMPAT', 'off');
    useOriginal(other);
    const params = { repo: 'owner/model', path: 'a.txt', ...nowhere };
    expect(await (await downloadFile(params))?.text()).toBe('of the other');
    expect(await fileExists(params)).toBe(true);
    for await (const { path } of listFiles(params)) expect(path).toBe('of the other');
    // With the very parameters of the call: nothing about Xet was said.
    expect(other.downloadFile).toHaveBeenCalledWith(params);
  });

  test('with useOriginal(…, { always: true })', async () => {
    useOriginal(other, { always: true });
    expect(await fileExists({ repo: 'owner/model', path: 'a.txt', ...nowhere })).toBe(true);
  });

  test('with HF_HUB_DISABLE_XET=1, and is told to go without Xet', async () => {
    vi.stubEnv('HF_HUB_DISABLE_XET', '1');
    useOriginal(other);
    await downloadFile({ repo: 'owner/model', path: 'a.txt', ...nowhere });
    expect(other.downloadFile).toHaveBeenCalledWith(expect.objectContaining({ xet: false }));
    await uploadFile({ repo: 'owner/model', file: { path: 'a', content: new Blob() }, ...nowhere });
    expect(other.uploadFile).toHaveBeenCalledWith(expect.objectContaining({ useXet: false }));
  });

  test('as it is installed, where none was given', async () => {
    vi.stubEnv('XETKIT_COMPAT', 'off');
    const blob = await downloadFile({ repo: 'owner/model', path: 'a.txt', ...(await someHub()) });
    expect(blob?.constructor.name).toBe('WebBlob');
    expect(warnings).toEqual([]);
  });
});

describe('xetkit makes them in spite of the switch', () => {
  test('where the original cannot go without Xet', async () => {
    vi.stubEnv('HF_HUB_DISABLE_XET', '1');
    useOriginal(other);
    const error = await snapshotDownload({ repo: 'a/b/c', ...nowhere }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect(other.snapshotDownload).not.toHaveBeenCalled();
  });

  test('where the original does not know the words', async () => {
    vi.stubEnv('XETKIT_COMPAT', 'off');
    useOriginal(other);
    await expect(snapshotDownload({ repoId: 'a/b/c' })).rejects.toThrow(TypeError);
    await expect(hfHubDownload({ repoId: 'a/b/c', filename: 'a' })).rejects.toThrow(TypeError);
    expect(await snapshotDownload({ repo: 'owner/model', ...nowhere })).toBe('folder of the other');
  });

  test('where the original has no such call, which is told', async () => {
    vi.stubEnv('XETKIT_COMPAT', 'off');
    useOriginal({});
    expect(await fileExists({ repo: 'owner/model', path: 'a.txt', ...(await someHub()) })).toBe(true);
    expect(warnings).toEqual([expect.stringMatching(/no 'fileExists'/)]);
  });
});

describe('the way back', () => {
  const bucket = { repo: 'buckets/owner/b', path: 'a.txt', ...nowhere };

  test('what xetkit cannot do goes to the original, and that is told once', async () => {
    useOriginal(other);
    expect(await (await downloadFile(bucket))?.text()).toBe('of the other');
    expect(await (await downloadFile(bucket))?.text()).toBe('of the other');
    expect(warnings).toEqual([expect.stringMatching(/^xetkit\/compat: downloadFile failed .* XETKIT_COMPAT=strict/)]);
  });

  test('also what is given one by one, as long as nothing was given', async () => {
    useOriginal(other);
    for await (const { path } of listFiles(bucket)) expect(path).toBe('of the other');
    expect(other.listFiles).toHaveBeenCalledOnce();
  });

  test('not with XETKIT_COMPAT=strict', async () => {
    vi.stubEnv('XETKIT_COMPAT', 'strict');
    useOriginal(other);
    await expect(downloadFile(bucket)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(other.downloadFile).not.toHaveBeenCalled();
  });

  test.each([
    [
      'a file that is not there',
      async (on: object) => downloadFile({ repo: 'owner/model', path: randomUUID(), ...on }),
    ],
    ['a repository that is not there', async (on: object) => fileExists({ repo: 'owner/none', path: 'a', ...on })],
    ['words that mean nothing', async (on: object) => fileExists({ repo: 'a/b/c/d', path: 'a', ...on })],
    [
      'a call that was aborted',
      async (on: object) => fileExists({ repo: 'owner/model', path: 'a', signal: AbortSignal.abort(), ...on }),
    ],
  ])('not for %s', async (_what, call) => {
    useOriginal(other);
    await call(await someHub()).catch(() => undefined);
    expect([...other.downloadFile.mock.calls, ...other.fileExists.mock.calls]).toEqual([]);
  });
});

test.each([
  [{}, { mode: 'on', xetDisabled: false }],
  [{ XETKIT_COMPAT: 'OFF' }, { mode: 'off', xetDisabled: false }],
  [
    { XETKIT_COMPAT: 'strict', HF_HUB_DISABLE_XET: 'YES' },
    { mode: 'strict', xetDisabled: true },
  ],
  [
    { XETKIT_COMPAT: 'whatever', HF_HUB_DISABLE_XET: '0' },
    { mode: 'on', xetDisabled: false },
  ],
])('the environment %o means %o', (env, switches) => expect(readSwitches(env)).toEqual(switches));
