import { lstat, mkdtemp, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { hfHubDownload, snapshotDownload } from 'xetkit/compat';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { filesUnder, sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';
import { hfCommand, run } from './tools.ts';

// The calls in Python's words, by Python's client and by ours: each on folders of its own, which must come out alike.

const REPO = 'owner/model';
const DATA = 'owner/data';

let folder: string;
let hub: LocalHub;
let firstCommit: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-interop-compat-'));
  hub = await startLocalHub();
  const first = await hub.commitFiles(REPO, {
    'config.json': text(300, 1),
    'README.md': text(900, 2),
    'model.safetensors': randomBytes(3_000_000, 3),
    'data/ü text #1.bin': Buffer.concat([Uint8Array.of(0), text(200_000, 4)]),
    'data/more/notes.txt': text(50, 5),
    'empty.txt': new Uint8Array(),
  });
  firstCommit = typeof first === 'string' ? first : first.commit;
  await hub.commitFiles(REPO, { 'config.json': text(310, 6) });
  await hub.commitFiles(`datasets/${DATA}`, { 'train/0.parquet': randomBytes(500_000, 7), 'README.md': text(80, 8) });
});

afterAll(async () => {
  await hub?.close();
  await rm(folder, { recursive: true, force: true });
});

afterEach(() => vi.unstubAllEnvs());

type Call = [name: 'download' | 'snapshot', options: Record<string, unknown>];

/** In Python's words; `local_dir` is a name in the folder of the client. `FIRST` is the first commit. */
const cases: Record<string, Call[]> = {
  'a file': [['download', { filename: 'config.json' }]],
  'a large file': [['download', { filename: 'model.safetensors' }]],
  'an empty file': [['download', { filename: 'empty.txt' }]],
  'a file with an odd name': [['download', { filename: 'data/ü text #1.bin' }]],
  'a file in a folder': [['download', { filename: 'notes.txt', subfolder: 'data/more' }]],
  'a file of a commit': [['download', { filename: 'config.json', revision: 'FIRST' }]],
  'a file of two revisions': [
    ['download', { filename: 'config.json', revision: 'FIRST' }],
    ['download', { filename: 'config.json', revision: 'main' }],
  ],
  'a file again, by force': [
    ['download', { filename: 'model.safetensors' }],
    ['download', { filename: 'model.safetensors', force_download: true }],
  ],
  'a file that is here, without a server': [
    ['download', { filename: 'config.json' }],
    ['download', { filename: 'config.json', local_files_only: true }],
  ],
  'a file that is not here, without a server': [['download', { filename: 'config.json', local_files_only: true }]],
  'a file into a folder': [['download', { filename: 'data/more/notes.txt', local_dir: 'mine' }]],
  'a file of a dataset': [['download', { repo_id: DATA, repo_type: 'dataset', filename: 'train/0.parquet' }]],
  'a file that there is not': [['download', { filename: 'none.bin' }]],
  'a repository that there is not': [['download', { repo_id: 'owner/none', filename: 'config.json' }]],
  'a revision that there is not': [['download', { filename: 'config.json', revision: 'none' }]],
  'a repository': [['snapshot', {}]],
  'a repository at a commit': [['snapshot', { revision: 'FIRST' }]],
  'a dataset': [['snapshot', { repo_id: DATA, repo_type: 'dataset' }]],
  'some of a repository': [['snapshot', { allow_patterns: ['*.json', 'data/*'], ignore_patterns: '*.txt' }]],
  'a repository into a folder': [['snapshot', { local_dir: 'mine' }]],
  'the rest of a repository': [
    ['download', { filename: 'model.safetensors' }],
    ['snapshot', { ignore_patterns: ['data/*'] }],
  ],
  'a repository that is here, without a server': [
    ['snapshot', {}],
    ['snapshot', { local_files_only: true }],
  ],
};

/** A path below the client's folder, or that the call failed. */
type Outcome = { path: string } | 'failed';

/** What both take: with the folders of one client. */
const given = (home: string, [, options]: Call): Record<string, unknown> => ({
  repo_id: REPO,
  cache_dir: join(home, 'cache'),
  ...options,
  ...('local_dir' in options && { local_dir: join(home, String(options.local_dir)) }),
  ...(options.revision === 'FIRST' && { revision: firstCommit }),
});

async function byPython(home: string, call: Call): Promise<Outcome> {
  const { repo_id: repo, filename: path, ...options } = given(home, call);
  const script = join(dirname(fileURLToPath(import.meta.url)), 'hub_cache.py');
  const said = JSON.stringify({ name: call[0], arguments: { repo, ...(path !== undefined && { path }), ...options } });
  const python = join(dirname(hfCommand()), 'python');
  const env = {
    HF_ENDPOINT: hub.url,
    HF_HOME: join(home, 'home'),
    HF_TOKEN: 'hf_local',
    // Content that repositories share has a place of its own, which xetkit uses where Python's client made it.
    HF_HUB_DISABLE_SHARED_BLOBS: '1',
  };
  const { code, stdout, stderr } = await run(python, [script], { env, input: `${said}\n` });
  expect(code, stderr).toBe(0);
  const result: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  return typeof result === 'string' ? { path: relative(home, result) } : 'failed';
}

async function byUs(home: string, call: Call): Promise<Outcome> {
  const words = Object.entries(given(home, call)).map(([name, value]) => [
    name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  const params = { ...Object.fromEntries(words), endpoint: hub.url, token: 'hf_local' };
  try {
    return { path: relative(home, await (call[0] === 'download' ? hfHubDownload : snapshotDownload)(params)) };
  } catch {
    return 'failed';
  }
}

/** Every file below a client's folder that is not its own business: content, or where a link leads. */
async function stateOf(home: string, intoFolder: boolean): Promise<Record<string, string>> {
  const state: Record<string, string> = {};
  for (const path of await filesUnder(home)) {
    // Locks, lists of files and marks are of one client; notes say when they were made. Of a folder of the user's, Python's
    // client notes the commit in the cache folder, and xetkit beside its other notes.
    if (/^home\/|(^|\/)(\.locks|trees)\/|CACHEDIR\.TAG$|\.gitignore$|\.lock$|\/xetkit\//.test(path)) continue;
    if (intoFolder && path.startsWith('cache/')) continue;
    const full = join(home, path);
    const isLink = (await lstat(full)).isSymbolicLink();
    const content = isLink ? Buffer.from(await readlink(full)) : await readFile(full);
    state[path] = path.endsWith('.metadata')
      ? content.toString().split('\n').slice(0, 2).join(' ')
      : sha256(content) + (isLink ? ' link' : '');
  }
  return state;
}

test.each(Object.entries(cases))('%s', async (name, calls) => {
  const homes = { python: join(folder, name, 'python'), ours: join(folder, name, 'ours') };
  vi.stubEnv('XETKIT_CACHE', join(folder, name, 'known'));
  vi.stubEnv('HF_HOME', join(homes.ours, 'home'));
  const outcomes: Record<string, Outcome[]> = { python: [], ours: [] };
  for (const call of calls) {
    outcomes.python?.push(await byPython(homes.python, call));
    outcomes.ours?.push(await byUs(homes.ours, call));
  }
  expect(outcomes.ours).toEqual(outcomes.python);
  const intoFolder = calls.some(([, options]) => 'local_dir' in options);
  expect(await stateOf(homes.ours, intoFolder)).toEqual(await stateOf(homes.python, intoFolder));
});
