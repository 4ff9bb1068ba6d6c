import { readFile, realpath, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { targetOf } from '../../src/cli/cache-commands.ts';
import { type CachePruneCommand, cachePrune, cacheRm } from '../../src/cli/cache-remove.ts';
import { askFor, type Confirm } from '../../src/cli/confirm.ts';
import { Output } from '../../src/cli/output.ts';
import { run } from '../../src/cli/run.ts';
import { tableLines } from '../../src/cli/table.ts';
import { formatAgo, formatCount } from '../../src/cli/units.ts';
import type { CacheControl, RemovalReport } from '../../src/manage/types.ts';
import { clientOf, hubFor, scratch, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

const MODEL = 'owner/model';
const DATA = 'datasets/owner/data';
const base = randomBytes(1_200_000, 1);
const config = new TextEncoder().encode('{"version": 1}\n');
const other = new TextEncoder().encode('{"version": 2}\n');
const table = randomBytes(70_000, 2);

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
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const records = () =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** A folder with two commits of a model, of which `main` is the last, and a data set; the environment names it. */
async function filled() {
  const hub = await hubFor();
  const cacheDir = join(await realpath(await scratch()), 'hub');
  const dir = await scratch();
  vi.stubEnv('HF_HUB_CACHE', cacheDir);
  vi.stubEnv('XETKIT_CACHE', dir);
  const client = clientOf(hub, { cacheDir, chunkCache: { dir } });
  const one = await hub.commitFiles(MODEL, { 'base.bin': base, 'config.json': config });
  await client.snapshot({ repo: MODEL });
  const two = await hub.commitFiles(MODEL, { 'config.json': other });
  await client.snapshot({ repo: MODEL });
  await hub.commitFiles(DATA, { 'table.bin': table });
  await client.snapshot({ repo: DATA });
  const blob = join(cacheDir, 'models--owner--model', 'blobs', sha256(base));
  return { hub, client, cacheDir, dir, blob, commits: [one.commit, two.commit] as const };
}

async function flip(path: string): Promise<void> {
  const { atime, mtime } = await stat(path);
  const bytes = await readFile(path);
  bytes[1000]! ^= 4;
  await writeFile(path, bytes);
  await utimes(path, atime, mtime);
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

describe('xetkit cache ls', () => {
  test('shows repositories, the biggest first, and what else there is', async () => {
    const { hub, client, cacheDir, dir } = await filled();
    await hub.commitFiles('owner/read', { 'read.bin': randomBytes(70_000, 3) }, { xet: 'always' });
    await (await client.open({ repo: 'owner/read', path: 'read.bin' })).arrayBuffer();
    expect(await run(['cache', 'ls'])).toBe(0);
    const [header, first, second, blank, hubLine, ...rest] = stdout.split('\n');
    expect(header).toBe('REPO                 TYPE        SIZE  LAST USED  REVISIONS');
    expect(first).toBe('owner/model          model    1.20 MB  just now   main, 1 detached');
    expect(second).toBe('datasets/owner/data  dataset  70.0 kB  just now   main');
    expect(blank).toBe('');
    expect(hubLine).toBe(`  1.27 MB  2 repositories in ${cacheDir}; revisions share 1.20 MB of it`);
    expect(rest.join('\n')).toMatch(
      new RegExp(
        ` kB {2}of chunks that were read, 10\\.7 GB at most, in ${dir}\n` +
          '.* kB {2}of recipes of 3 files\n' +
          '.* kB {2}of notes on 4 verified files\n' +
          ' {2}1\\.\\d\\d MB {2}in all\n$',
      ),
    );
    expect(stderr).toBe("'xetkit cache prune' would free 15 B, 1 revision without a branch or tag among them.\n");
  });

  test('--revisions shows commits', async () => {
    const { commits } = await filled();
    await run(['cache', 'ls', '--revisions']);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^REPO +COMMIT +SIZE +FILES +CHANGED +REFS$/);
    expect(lines.slice(1, 4).sort()).toEqual([
      expect.stringMatching(/^datasets\/owner\/data {2}[0-9a-f]{40} {2}70\.0 kB {6}1 {2}just now {2}main$/),
      ...commits
        .map(
          (commit, index) => `owner/model          ${commit}  1.20 MB      2  just now  ${index ? 'main' : 'detached'}`,
        )
        .sort(),
    ]);
  });

  test('--json is a line for each repository, and one for all', async () => {
    const { client, cacheDir } = await filled();
    const usage = await client.cache.usage();
    await run(['cache', 'ls', '--json']);
    const [model, data, summary] = records();
    expect(model).toMatchObject({ repo: MODEL, type: 'model', bytes: base.length + 30, sharedBytes: base.length });
    expect(model?.lastAccessed).toMatch(/^20\d\d-\d\d-\d\dT/);
    expect(data).toMatchObject({ repo: DATA, revisions: [{ refs: ['main'], bytes: table.length, fileCount: 1 }] });
    expect(summary).toMatchObject({
      summary: true,
      folder: cacheDir,
      repos: 2,
      hubBytes: usage.hubBytes,
      totalBytes: usage.totalBytes,
      xetkit: { recipes: usage.xetkit.recipes },
      prunable: { bytes: config.length, revisions: 1 },
      warnings: [],
    });
  });

  test('tells what is damaged on stderr, and goes on', async () => {
    const { cacheDir, blob } = await filled();
    await rm(blob);
    await writeFile(join(cacheDir, 'stray\u001b[31m'), '');
    for (let index = 0; index < 25; index++) await writeFile(join(cacheDir, `x${index}`), '');
    expect(await run(['cache', 'ls'])).toBe(0);
    expect(stderr).toMatch(/^warning: .*base\.bin: Its target .* does not exist\.$/m);
    expect(stderr).toMatch(/^warning: … and \d more things; --json lists them all\.$/m);
    expect(stderr).not.toContain('\u001b');
    stdout = '';
    await run(['cache', 'ls', '--json']);
    expect(records().at(-1)?.warnings).toHaveLength(28);
  });

  test('of nothing, and of a folder that is a file', async () => {
    const at = join(await scratch(), 'none');
    vi.stubEnv('XETKIT_CACHE', at);
    expect(await run(['cache', 'ls', '--cache-dir', at])).toBe(0);
    expect(stdout).toBe(`      0 B  0 repositories in ${at}\n`);
    await writeFile(at, '');
    expect(await run(['cache', 'ls', '--cache-dir', at])).toBe(2);
    expect(stderr).toBe(`xetkit: ${at} is a file, not a cache folder.\n`);
  });
});

describe('xetkit cache verify', () => {
  test('says that all is well', async () => {
    await filled();
    expect(await run(['cache', 'verify'])).toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^4 files, 1\.27 MB, hashed in .*: all as they should be\n$/);
  });

  test('names what is wrong, says what to do, and ends with 1', async () => {
    const { blob, cacheDir, commits } = await filled();
    await flip(blob);
    expect(await run(['cache', 'verify', DATA])).toBe(0);
    expect(await run(['cache', 'verify', 'hf://owner/model'])).toBe(1);
    const snapshots = join(cacheDir, 'models--owner--model', 'snapshots');
    const [first] = [...commits].sort();
    expect(stdout).toBe(
      `wrong    stays    owner/model  ${join(snapshots, first!, 'base.bin')} and 1 more with the same content\n`,
    );
    expect(stderr).toMatch(/: 1 wrong or missing\nxetkit: 1 file is wrong or missing\. 'xetkit cache verify --repair'/);
    expect(await exists(blob)).toBe(true);
  });

  test('--repair removes it, and the next download fetches it', async () => {
    const { blob, client } = await filled();
    await flip(blob);
    expect(await run(['cache', 'verify', MODEL, '--repair'])).toBe(0);
    expect(stdout).toMatch(/^wrong {4}removed {2}owner\/model {2}/);
    expect(stderr).toMatch(/To fetch what was removed: xetkit download owner\/model\n$/);
    expect(await exists(blob)).toBe(false);
    await client.snapshot({ repo: MODEL });
    expect(sha256(await readFile(blob))).toBe(sha256(base));
    expect(await run(['cache', 'verify'])).toBe(0);
  });

  test('--json is a line for each file, and one for all', async () => {
    const { blob } = await filled();
    await flip(blob);
    expect(await run(['cache', 'verify', '--json'])).toBe(1);
    const [summary, ...files] = records().reverse();
    expect(files).toHaveLength(4);
    expect(files.find(({ verdict }) => verdict === 'wrong')).toMatchObject({
      repo: MODEL,
      localPath: blob,
      etag: sha256(base),
      size: base.length,
      removed: false,
    });
    expect(summary).toMatchObject({ summary: true, checked: 4, wrong: 1, removed: 0, unknown: 0, warnings: [] });
  });

  test('shows how far it is', async () => {
    await filled();
    const progress = vi.spyOn(Output.prototype, 'progress');
    await run(['cache', 'verify']);
    expect(progress.mock.calls[0]?.[0]).toMatchObject({ phase: 'verifying', bytes: { done: 0 } });
    expect(progress.mock.lastCall?.[0]).toMatchObject({ phase: 'done', files: { done: 4, total: 4 } });
  });

  test.each<[args: string[], says: RegExp]>([
    [['owner/other'], /Not in the cache folder .*'xetkit cache ls'/],
    [['owner/data'], /There is datasets\/owner\/data\./],
    [['hf://owner/model@main'], /Whole repositories are verified: leave 'main' off/],
  ])('%j is wrong usage', async (args, says) => {
    await filled();
    expect(await run(['cache', 'verify', ...args])).toBe(2);
    expect(stderr).toMatch(says);
  });
});

describe('xetkit cache prune', () => {
  test('--dry-run says what would go, --yes takes it', async () => {
    const { cacheDir, commits } = await filled();
    const snapshot = join(cacheDir, 'models--owner--model', 'snapshots', commits[0]);
    expect(await run(['cache', 'prune', '--dry-run'])).toBe(0);
    const listed = `owner/model@${commits[0]}  1.20 MB  detached\n     15 B  1 file that no other revision needs\n`;
    expect(stdout).toBe(`${listed}Would free 15 B.\n`);
    expect(await exists(snapshot)).toBe(true);
    stdout = '';
    expect(await run(['cache', 'prune', '--keep-detached', '--yes'])).toBe(0);
    expect(stdout).toBe('Nothing to remove.\n');
    stdout = '';
    expect(await run(['cache', 'prune', '-y'])).toBe(0);
    expect(stdout).toBe(`${listed}Freed 15 B.\n`);
    expect(await exists(snapshot)).toBe(false);
    stdout = '';
    expect(await run(['cache', 'prune', '--yes', '--json'])).toBe(0);
    expect(records()).toEqual([
      { summary: true, dryRun: false, freedBytes: 0, chunkBytes: 0, revisions: 0, removals: 0, failures: [] },
    ]);
    expect(stderr).toBe('');
  });

  test('--max-size is for chunks', async () => {
    const { hub, client } = await filled();
    await hub.commitFiles('owner/read', { 'read.bin': randomBytes(70_000, 3) }, { xet: 'always' });
    await (await client.open({ repo: 'owner/read', path: 'read.bin' })).arrayBuffer();
    // Whoever reads does not wait for what is kept; whoever asks what there is does.
    expect((await client.cache.usage()).xetkit.chunks?.bytes).toBeGreaterThan(70_000);
    expect(await run(['cache', 'prune', '--keep-detached', '--max-size', '0', '--yes'])).toBe(0);
    expect(stdout).toMatch(/^ +\d+\.\d kB {2}chunks of earlier reads\nFreed \d+\.\d kB\.\n$/);
    expect((await client.cache.usage()).xetkit.chunks).toMatchObject({ bytes: 0 });
    expect(await run(['cache', 'prune', '--max-size', 'lots', '--yes'])).toBe(2);
    expect(stderr).toContain('64MB');
  });
});

describe('xetkit cache rm', () => {
  test('removes repositories, revisions and commits', async () => {
    const { cacheDir, commits, client } = await filled();
    expect(await run(['cache', 'rm', commits[0].slice(0, 7), '--yes'])).toBe(0);
    expect(stdout).toMatch(/^owner\/model@.* {2}1\.20 MB {2}detached\n +15 B {2}1 file .*\nFreed 15 B\.\n$/);
    stdout = '';
    expect(await run(['cache', 'rm', `${MODEL}@main`, DATA, '--yes', '--json'])).toBe(0);
    expect(records().filter(({ kind }) => kind === 'repo')).toEqual([
      { kind: 'repo', localPath: join(cacheDir, 'models--owner--model'), bytes: base.length + other.length },
      { kind: 'repo', localPath: join(cacheDir, 'datasets--owner--data'), bytes: table.length },
    ]);
    expect(records().at(-1)).toMatchObject({ summary: true, dryRun: false, revisions: 2, failures: [] });
    expect((await client.cache.usage()).repos).toEqual([]);
  });

  test.each<[args: string[], code: number, says: RegExp]>([
    [[MODEL], 2, /no terminal to ask on .*--yes.*--dry-run/],
    [[], 2, /missing required argument 'target'/],
    [['owner/modle', '--yes'], 2, /Not in the cache folder/],
    [[`${MODEL}@dev`, '--dry-run'], 2, /no revision 'dev' here/],
    [['hf://owner/model/base.bin', '--yes'], 2, /leave 'base\.bin' off/],
  ])('%j changes nothing', async (args, code, says) => {
    const { blob } = await filled();
    expect(await run(['cache', 'rm', ...args])).toBe(code);
    expect(stderr).toMatch(says);
    expect(stdout).toBe('');
    expect(await exists(blob)).toBe(true);
  });
});

describe('before something is removed', () => {
  const signal = new AbortController().signal;
  const report: RemovalReport = {
    dryRun: false,
    freedBytes: 3000,
    chunkBytes: 1000,
    revisions: [{ repo: MODEL, commit: 'c'.repeat(40), refs: ['main', 'v1'], bytes: 5000 }],
    removals: [
      { kind: 'link', localPath: '/cache/l', bytes: 0 },
      { kind: 'snapshot', localPath: '/cache/s', bytes: 0 },
      { kind: 'ref', localPath: '/cache/r', bytes: 0 },
      { kind: 'blob', localPath: '/cache/b', bytes: 1500 },
      { kind: 'blob', localPath: '/cache/c', bytes: 500 },
    ],
    failures: [],
  };
  const nothing = { ...report, freedBytes: 0, chunkBytes: 0, revisions: [], removals: [] };
  const listed =
    `owner/model@${'c'.repeat(40)}  5.00 kB  main, v1\n` +
    '  2.00 kB  2 files that no other revision needs\n' +
    '      0 B  1 link to nothing\n' +
    '  1.00 kB  chunks of earlier reads\n';

  /** What is asked, of a cache and of a person who gives this answer. */
  async function pruned(
    answer: boolean | undefined,
    found = report,
    command: Partial<CachePruneCommand> = {},
    json = false,
  ) {
    const asked: unknown[] = [];
    const prune: CacheControl['prune'] = async ({ dryRun, maxBytes, detached } = {}) => {
      asked.push({ dryRun, maxBytes, detached });
      return { ...found, dryRun: dryRun ?? false };
    };
    const confirm: Confirm = {
      possible: () => answer !== undefined,
      ask: async (question) => {
        asked.push(question);
        return answer ?? false;
      },
    };
    const whole = { maxBytes: undefined, detached: true, dryRun: false, yes: false, ...command };
    const client = { cache: { prune } as unknown as CacheControl };
    const done = cachePrune(client, whole, new Output({ json }), signal, confirm);
    return { asked, done };
  }
  const call = (dryRun: boolean) => ({ dryRun, maxBytes: undefined, detached: true });

  test('a yes is asked for, with what it means', async () => {
    const { asked, done } = await pruned(true);
    await done;
    expect(asked).toEqual([call(true), 'Remove this, and free 3.00 kB?', call(false)]);
    expect(stdout).toBe(`${listed}Freed 3.00 kB.\n`);
  });

  test('a no removes nothing', async () => {
    const { asked, done } = await pruned(false);
    await done;
    expect(asked).toEqual([call(true), 'Remove this, and free 3.00 kB?']);
    expect([stdout, stderr]).toEqual([listed, 'Nothing was removed.\n']);
  });

  test('nothing is no question', async () => {
    const { asked, done } = await pruned(true, nothing);
    await done;
    expect(asked).toEqual([call(true)]);
    expect(stdout).toBe('Nothing to remove.\n');
  });

  test.each([
    [{ yes: true, maxBytes: 7, detached: false }, [{ dryRun: false, maxBytes: 7, detached: false }]],
    [{ dryRun: true }, [call(true)]],
    [{ dryRun: true, yes: true }, [call(true)]],
  ])('%j is no question either, also without a terminal', async (command, calls) => {
    const { asked, done } = await pruned(undefined, report, command);
    await done;
    expect(asked).toEqual(calls);
  });

  test('without a terminal nothing is looked at', async () => {
    const { asked, done } = await pruned(undefined);
    await expect(done).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(asked).toEqual([]);
  });

  test('--json says what was done in the end', async () => {
    await (await pruned(false, report, {}, true)).done;
    expect(records()).toMatchObject([{ summary: true, freedBytes: 0, revisions: 0, removals: 0 }]);
    stdout = '';
    await (await pruned(true, report, {}, true)).done;
    expect(records()).toMatchObject([{ repo: MODEL }, ...report.removals, { summary: true, freedBytes: 3000 }]);
  });

  test('what could not be removed is named, and ends with a failure', async () => {
    const failures = [{ localPath: '/cache/b', message: 'It is in use.' }];
    const { done } = await pruned(undefined, { ...report, failures }, { yes: true });
    await expect(done).rejects.toMatchObject({ code: 'CACHE', message: expect.stringContaining('1 thing could not') });
    expect(stderr).toBe('warning: /cache/b stays: It is in use.\n');
    expect(stdout).toMatch(/Freed 3\.00 kB\.\n$/);
  });

  test('targets are handed on', async () => {
    const remove = vi.fn(async () => report);
    const client = { cache: { remove } as unknown as CacheControl };
    await cacheRm(client, { targets: [MODEL], dryRun: false, yes: true }, new Output({}), signal);
    expect(remove).toHaveBeenCalledWith([MODEL], { dryRun: false, signal });
  });
});

describe('a question', () => {
  const ask = (text: string | undefined, signal = new AbortController().signal) => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const answer = askFor(input, output, 'Really?', signal);
    if (text !== undefined) input.end(text);
    return { answer, output };
  };

  test.each([
    ['y\n', true],
    ['YES\n', true],
    ['n\n', false],
    ['\n', false],
    ['yeah\n', false],
    ['', false],
  ])('%j', async (text, yes) => {
    const { answer, output } = ask(text);
    expect(await answer).toBe(yes);
    expect(String(output.read())).toBe('Really? [y/N] ');
  });

  test('ends with the command', async () => {
    const stop = new AbortController();
    const { answer } = ask(undefined, stop.signal);
    stop.abort();
    await expect(answer).rejects.toThrow();
  });
});

test('what a target on the command line stands for', () => {
  const endpoint = 'http://127.0.0.1:9';
  const model = { type: 'model', name: MODEL };
  expect(targetOf(MODEL, endpoint)).toBe(MODEL);
  expect(targetOf(`${MODEL}@v1`, endpoint)).toBe(`${MODEL}@v1`);
  expect(targetOf('abcdef0', endpoint)).toBe('abcdef0');
  expect(targetOf(`hf://${MODEL}`, endpoint)).toEqual({ repo: model, revision: undefined });
  expect(targetOf(`hf://models/${MODEL}@refs/pr/1`, endpoint)).toEqual({ repo: model, revision: 'refs/pr/1' });
  expect(targetOf(`${endpoint}/${MODEL}/tree/v1`, endpoint)).toEqual({ repo: model, revision: 'v1' });
  expect(targetOf(`https://huggingface.co/${DATA}`, endpoint)).toMatchObject({ repo: { type: 'dataset' } });
  expect(() => targetOf(`${endpoint}/${MODEL}/blob/main/a/b.bin`, endpoint)).toThrow("leave 'a/b.bin' off");
});

test('how long ago something was, and how many there are', () => {
  const now = Date.UTC(2026, 5, 30, 12);
  const minute = 60_000;
  const ago = (minutes: number) => formatAgo(now - minutes * minute, now);
  expect([-5, 0, 1, 2, 89, 91, 36 * 60 - 1].map(ago)).toEqual([
    ...['just now', 'just now', 'just now', '2 min ago', '89 min ago', '2 h ago', '36 h ago'],
  ]);
  expect([36 * 60, 59 * 24 * 60, 60 * 24 * 60].map(ago)).toEqual(['2 days ago', '59 days ago', '2026-05-01']);
  expect([formatCount(1, 'file'), formatCount(0, 'file')]).toEqual(['1 file', '0 files']);
  expect(formatCount(2, 'repository', 'repositories')).toBe('2 repositories');
});

test('a table has its columns in line', () => {
  expect(
    tableLines([{ title: 'A' }, { title: 'NUMBER', right: true }, { title: 'C' }], [['ää', '1', ''], ['b']]),
  ).toEqual(['A   NUMBER  C', 'ää       1', 'b']);
});

test('help teaches', async () => {
  for (const [args, words] of [
    [['cache'], ['ls', 'verify', 'prune', 'rm', 'XETKIT_CACHE']],
    [
      ['cache', 'ls', '--help'],
      ['--revisions', '--json', 'detached'],
    ],
    [
      ['cache', 'verify', '--help'],
      ['--repair', 'Examples'],
    ],
    [
      ['cache', 'prune', '--help'],
      ['--max-size', '--keep-detached', '--dry-run', '--yes'],
    ],
    [
      ['cache', 'rm', '--help'],
      ['owner/model@main', '--dry-run'],
    ],
  ] as const) {
    stdout = '';
    stderr = '';
    expect(await run([...args])).toBe(args.length === 1 ? 2 : 0);
    for (const word of words) expect(stdout + stderr, args.join(' ')).toContain(word);
  }
});
