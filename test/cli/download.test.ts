import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type DownloadCommand, type Downloader, download } from '../../src/cli/download.ts';
import { Output, plainJson, plainText } from '../../src/cli/output.ts';
import type { DownloadResult } from '../../src/download/file.ts';
import type { SnapshotFile, SnapshotPreview } from '../../src/snapshot/snapshot.ts';

const commit = 'c'.repeat(40);
const repo = { type: 'model', name: 'owner/model' } as const;

let stdout = '';
let stderr = '';
beforeEach(() => {
  stdout = '';
  stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text;
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += text;
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

const result = (file: string, size = 1000): SnapshotFile => ({
  path: file,
  localPath: `/cache/${file}`,
  size,
  etag: 'e'.repeat(40),
  commit,
  xetHash: undefined,
  verified: 'git-sha1',
  bytes: { network: size, cache: 0, local: 0 },
  requests: 1,
  seconds: 0.5,
});

const preview: SnapshotPreview = {
  folder: '/cache',
  commit,
  files: [
    { path: 'config.json', localPath: '/cache/config.json', size: 300, etag: 'e', xetHash: undefined, held: true },
    { path: 'model.bin', localPath: undefined, size: 1_500_000_000, etag: 'f', xetHash: 'a'.repeat(64), held: false },
  ],
  totals: { files: 2, bytes: 1_500_000_300, heldFiles: 1, heldBytes: 300, fetchFiles: 1, fetchBytes: 1_500_000_000 },
  warnings: [],
  leftOut: [],
};

/** A client that only writes down what it is asked. */
function fakeClient() {
  const asked: { call: string; options: Record<string, unknown> }[] = [];
  const client: Downloader = {
    downloadFile: async (options) => {
      asked.push({ call: 'downloadFile', options: { ...options } });
      const { path: _, ...rest } = result(options.path);
      return rest as DownloadResult;
    },
    snapshot: async (options) => {
      asked.push({ call: 'snapshot', options: { ...options } });
      const files = [result('a'), result('b', 2000)];
      for (const file of files) options.onFile?.(file);
      const bytes = { network: 3000, cache: 0, local: 0 };
      return { folder: '/cache', commit, files, leftOut: [], bytes, requests: 4, seconds: 1 };
    },
    planSnapshot: async (options) => {
      asked.push({ call: 'planSnapshot', options: { ...options } });
      return preview;
    },
    listFiles: async function* () {},
    metrics: () => ({ requests: { hub: 3, cas: 2, xorb: 1 } }) as ReturnType<Downloader['metrics']>,
  };
  return { client, asked };
}

async function run(command: Partial<DownloadCommand> = {}, options: { json?: boolean; quiet?: boolean } = {}) {
  const { client, asked } = fakeClient();
  const whole: DownloadCommand = {
    target: { repo, revision: undefined, path: undefined },
    files: [],
    include: undefined,
    exclude: undefined,
    localDir: undefined,
    force: false,
    offline: false,
    dryRun: false,
    ...command,
  };
  await download(client, whole, new Output(options), new AbortController().signal);
  return asked;
}

const records = () =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('xetkit download', () => {
  test('of one file is one call, and prints its path', async () => {
    const asked = await run({ files: ['a.bin'], localDir: 'd', force: true });
    expect(asked).toMatchObject([{ call: 'downloadFile', options: { path: 'a.bin', localDir: 'd', force: true } }]);
    expect(stdout).toBe('/cache/a.bin\n');
    expect(stderr).toMatch(/^1 file, 1\.00 kB, verified, in /);
  });

  test('of several files prints their paths', async () => {
    const asked = await run({ files: ['a', 'b'] });
    expect(asked).toMatchObject([{ call: 'snapshot', options: { files: ['a', 'b'] } }]);
    expect(stdout).toBe('/cache/a\n/cache/b\n');
    expect(stderr).toMatch(/^2 files, 3\.00 kB, verified/);
  });

  test.each<[what: string, command: Partial<DownloadCommand>, options: Record<string, unknown>]>([
    ['a repository', {}, { allowPatterns: undefined }],
    ['what patterns select', { include: ['*.a'], exclude: ['b'] }, { allowPatterns: ['*.a'], ignorePatterns: ['b'] }],
    ['a folder', { files: ['data/'] }, { files: ['data/'] }],
    [
      'a folder of an address',
      { target: { repo, revision: 'dev', path: 'data/' } },
      { files: ['data/'], revision: 'dev' },
    ],
  ])('of %s prints the folder', async (_, command, options) => {
    expect(await run(command)).toMatchObject([{ call: 'snapshot', options }]);
    expect(stdout).toBe('/cache\n');
    expect(stderr).not.toContain('warning');
  });

  test('of a repository names no files', async () => {
    const [only] = await run();
    expect(only?.options).not.toHaveProperty('files');
  });

  test('--json is a line for each file, and one for all', async () => {
    await run({ files: ['a', 'b'] }, { json: true });
    const [first, second, summary] = records();
    expect(first).toEqual({
      path: 'a',
      localPath: '/cache/a',
      size: 1000,
      xetHash: null,
      etag: 'e'.repeat(40),
      verified: 'git-sha1',
      bytes: { network: 1000, cache: 0, local: 0 },
      requests: 1,
      seconds: 0.5,
    });
    expect(second).toMatchObject({ path: 'b' });
    expect(summary).toEqual({
      summary: true,
      files: 2,
      bytes: { network: 3000, cache: 0, local: 0 },
      requests: 6,
      seconds: expect.any(Number),
      folder: '/cache',
      commit,
    });
  });

  test('offline asks for one file as for many', async () => {
    expect(await run({ files: ['a'], offline: true })).toMatchObject([
      { call: 'snapshot', options: { files: ['a'], offline: true } },
    ]);
  });

  test.each<[command: Partial<DownloadCommand>, says: RegExp]>([
    [{ files: ['a'], include: ['*.bin'] }, /^warning: files that are named are taken in spite of --include\./],
    [{ files: ['a', 'b'], exclude: ['*'] }, /in spite of --exclude\./],
    [{ files: ['a', 'd/'], include: ['*'], exclude: ['*'] }, /in spite of --include and --exclude\./],
  ])('%j warns of patterns that say nothing', async (command, says) => {
    await run(command);
    expect(stderr).toMatch(says);
    stderr = '';
    await run(command, { quiet: true });
    expect(stderr).toBe('');
  });
});

describe('xetkit download --dry-run', () => {
  test('shows sizes in a column, what is held, and the totals', async () => {
    expect(await run({ dryRun: true, files: ['a'], exclude: ['b'], force: true })).toMatchObject([
      { call: 'planSnapshot', options: { files: ['a'], ignorePatterns: ['b'], force: true } },
    ]);
    expect(stdout).toBe(
      '    300 B  held   config.json\n' +
        '  1.50 GB  fetch  model.bin\n' +
        `2 files, 1.50 GB: 1 held (300 B), 1 to fetch (1.50 GB), at commit ${commit}\n`,
    );
  });

  test('--json says the same', async () => {
    await run({ dryRun: true }, { json: true });
    expect(records()).toEqual([
      { path: 'config.json', localPath: '/cache/config.json', size: 300, held: true, xetHash: null },
      { path: 'model.bin', localPath: null, size: 1_500_000_000, held: false, xetHash: 'a'.repeat(64) },
      {
        summary: true,
        dryRun: true,
        files: 2,
        heldFiles: 1,
        fetchFiles: 1,
        bytes: { total: 1_500_000_300, held: 300, fetch: 1_500_000_000 },
        folder: '/cache',
        commit,
        warnings: [],
        leftOut: [],
        seconds: expect.any(Number),
      },
    ]);
    expect(stderr).toBe('');
  });
});

test('names neither steer a terminal nor pretend to be two', () => {
  const bidi = '\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c';
  expect(plainText('a\u001b[31mb\u0007\u009b\tc\r\nd é🙂')).toBe('a\ufffd[31mb\ufffd\ufffd\ufffdc\ufffd\ufffdd é🙂');
  expect(plainText(`${bidi}\u00ad\ufeff\u2028\u2029\u{e0041}`)).toMatch(/^\ufffd+$/);
  expect(plainText('👩‍🚀 but no a\u200db')).toBe('👩‍🚀 but no a\ufffdb');
  expect(plainText('x'.repeat(100_000)).length).toBeLessThan(20_000);
});

test('JSON has the same names, with escapes', () => {
  const name = 'a\n\t\u001b[2J\u007f\u0085\u202ex\u2066\u{e0041}é🙂"\\';
  const line = plainJson({ [name]: name });
  expect(line).toMatch(/^[^\p{Cc}\p{Cf}]+$/u);
  expect(JSON.parse(line)).toEqual({ [name]: name });
});
