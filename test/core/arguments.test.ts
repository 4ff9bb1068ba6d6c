import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { saveFile, XetClient, XetError } from 'xetkit';
import { createXetCache, createXetFetch } from 'xetkit/fetch';
import { startLocalHub } from 'xetkit/local-hub';
import { XetReader } from 'xetkit/read';
import * as tables from '../../src/core/arguments.ts';

const repo = 'owner/model';
/** JavaScript, which passes what types would refuse. */
type Loose = Record<string, (...given: unknown[]) => unknown>;
const loose = (thing: object) => thing as unknown as Loose;

async function hubForAll() {
  const hub = await startLocalHub();
  afterAll(() => hub.close());
  return hub;
}

function clientOf(endpoint: string): XetClient {
  return new XetClient({ endpoint, accessToken: '', chunkCache: false });
}

/** The refusal of a call, which must not have been thrown at the caller's line. */
async function refusal(call: () => unknown): Promise<string> {
  const error = await Promise.resolve(call()).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(XetError);
  expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
  return (error as XetError).message;
}

function thrown(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    expect(error).toMatchObject({ name: 'XetError', code: 'INVALID_ARGUMENT' });
    return (error as XetError).message;
  }
  throw new Error('Nothing was thrown.');
}

const token = 'hf_abcdefghijklmnopqrstuvwxyz0123';

describe('a client is not made of', () => {
  test.each<[options: unknown, says: string]>([
    [{ accesstoken: token }, "XetClient has no option 'accesstoken'. Did you mean 'accessToken'?"],
    [{ token }, "'accessToken'?"],
    [{ hubUrl: 'http://a' }, "'endpoint'?"],
    [{ memorybudget: 1 }, "'memoryBudget'?"],
    [{ foo: 1 }, 'It has endpoint, accessToken,'],
    [token, 'XetClient takes its options in one object'],
    [null, 'XetClient takes its options in one object'],
    [[], 'one object'],
    [{ accessToken: 42 }, "'accessToken' must be a string, or a function that returns one, not a number."],
    [{ endpoint: 5 }, "'endpoint' must be the address of a Hub, not 5"],
    [{ fallback: 'maybe' }, "'fallback' must be 'http' or 'never', not 'maybe'."],
    [{ xet: 'false' }, "'xet' must be true or false, not 'false'."],
    [{ retry: 3 }, "'retry' must be an object, not 3."],
    [{ retry: { tries: 2 } }, "retry has no option 'tries'. Did you mean 'attempts'?"],
    [{ retry: { attempts: -3 } }, "'attempts' must be a whole number from 1 on, not -3."],
    [{ timeouts: 1000 }, "'timeouts' must be an object"],
    [{ timeouts: { connnectMs: 1000 } }, "'connectMs'?"],
    [{ chunkCache: 'no' }, 'chunkCache takes its options in one object'],
    [{ chunkCache: { maxbytes: 1 } }, "'maxBytes'?"],
    [{ cacheDir: 5 }, "'cacheDir' must be a string, not 5."],
    [{ memoryBudget: '64MB' }, "a number of bytes, such as 64 * 1024 * 1024, not '64MB'."],
    [{ memoryBudget: 64 }, '16 MiB'],
    [{ onRetry: true }, "'onRetry' must be a function, not true."],
    [{ signal: new AbortController().signal }, "XetClient has no option 'signal'."],
  ])('%o', (options, says) => {
    const message = thrown(() => new XetClient(options as object));
    expect(message).toContain(says);
    expect(message).not.toContain(token);
  });

  test('options that a smaller client has not', () => {
    expect(thrown(() => new XetReader({ files: {} } as object))).toContain("XetReader has no option 'files'.");
    expect(thrown(() => new XetReader({ tokem: '' } as object))).toContain("has no option 'tokem'.");
  });
});

describe('a call is refused that says', () => {
  test.each<[name: string, given: unknown[], says: string]>([
    [
      'downloadFile',
      ['a/b', 'config.json'],
      "downloadFile takes its options in one object: downloadFile({ repo: 'owner/model', path: 'config.json' }).",
    ],
    ['downloadFile', [], "downloadFile({ repo: 'owner/model', path: 'config.json' })"],
    ['downloadFile', [{ repoId: repo, filename: 'a' }], "no option 'repoId'. Did you mean 'repo'?"],
    ['downloadFile', [{ path: 'a' }], "downloadFile needs 'repo'."],
    ['downloadFile', [{ repo }], "downloadFile needs 'path'."],
    ['downloadFile', [{ repo, filename: 'a' }], "Did you mean 'path'?"],
    ['downloadFile', [{ repo, path: 'a', branch: 'x' }], "Did you mean 'revision'?"],
    ['downloadFile', [{ repo, path: 'a', rev: 'x' }], "Did you mean 'revision'?"],
    ['downloadFile', [{ repo, path: 'a', localdir: 'x' }], "Did you mean 'localDir'?"],
    ['downloadFile', [{ repo, path: 'a', dir: 'x' }], "Did you mean 'localDir'?"],
    ['downloadFile', [{ repo, path: 'a', outDir: 'x' }], "Did you mean 'localDir'?"],
    ['downloadFile', [{ repo, path: 'a', onProgress: true }], "'onProgress' must be a function, not true."],
    ['downloadFile', [{ repo, path: 'a', signal: new AbortController() }], 'Pass controller.signal.'],
    ['downloadFile', [{ repo, path: 'a', force: 'yes' }], "'force' must be true or false"],
    ['downloadFile', [{ repo, path: ['a'] }], "'path' must be a string, not [object Array]."],
    ['downloadFile', [{ repo: 5, path: 'a' }], "'repo' must be a repository, such as 'owner/model', not 5."],
    ['downloadFile', [{ repo: { name: repo }, path: 'a' }], "'repo' must be a repository"],
    ['fileInfo', [{ repo, path: null }], "'path' must be a string, not null."],
    ['fileInfo', [{ repo, path: 'a', localDir: '.' }], "fileInfo has no option 'localDir'."],
    ['open', ['https://huggingface.co/a/b'], "open({ repo: 'owner/model', path: 'config.json' })"],
    ['open', [new URL('https://huggingface.co/a/b')], 'open takes its options in one object'],
    ['snapshot', ['a/b'], "snapshot({ repo: 'owner/model' })"],
    [
      'snapshot',
      [{ repo, allow_patterns: 'a' }],
      "snapshot has no option 'allow_patterns'. Did you mean 'allowPatterns'?",
    ],
    ['snapshot', [{ repo, ignorePattern: 'a' }], "Did you mean 'ignorePatterns'?"],
    ['snapshot', [{ repo, include: /json$/ }], "'include' must be a string or a list of strings, not [object RegExp]."],
    ['snapshot', [{ repo, allowPatterns: 5 }], "'allowPatterns' must be a string or a list of strings, not 5."],
    ['snapshot', [{ repo, include: 'a', allowPatterns: 'a' }], "'include' and 'allowPatterns' are the same option"],
    [
      'planSnapshot',
      [{ repo, exclude: 'a', ignorePatterns: 'b' }],
      "'exclude' and 'ignorePatterns' are the same option",
    ],
    ['planSnapshot', [{ repo, onFile: () => 0 }], "planSnapshot has no option 'onFile'."],
    ['upload', [{ repo, files: [], message: 'x' }], "Did you mean 'title'?"],
    ['upload', [{ repo, files: [], allowPatterns: 'x' }], "Did you mean 'include'?"],
    ['upload', [{ repo, files: [], revision: 'x' }], "Did you mean 'branch'?"],
    ['upload', [{ repo, files: [], exclude: /x/ }], "'exclude' must be a string or a list of strings"],
    ['upload', [{ repo, files: [{ path: 'a', content: 5 }] }], "The content of 'a'"],
    ['upload', [{ repo, files: [{ path: 'a', content: 'hello world' }] }], 'For text use new Blob([text])'],
    ['deleteFiles', [{ repo, files: 'a' }], "Did you mean 'paths'?"],
    ['deleteFiles', [{ repo }], "deleteFiles({ repo: 'owner/model', paths: 'old.bin' })"],
    ['deleteFiles', [], 'deleteFiles takes its options in one object'],
    ['createRepo', [{ repo, exist_ok: true }], "Did you mean 'existOk'?"],
    ['createRepo', [{ repo, visibility: 'hidden' }], "'public' or 'private' or 'protected', not 'hidden'."],
    ['createBranch', [{ repo }], "createBranch needs 'branch'."],
  ])('%s %o', async (name, given, says) => {
    await using client = new XetClient({ endpoint: 'http://127.0.0.1:1', accessToken: '' });
    expect(await refusal(() => loose(client)[name]?.(...given))).toContain(says);
  });

  test('a listing is refused at its first step', async () => {
    await using client = new XetClient({ endpoint: 'http://127.0.0.1:1' });
    const listing = loose(client).listFiles?.('a/b') as AsyncGenerator;
    expect(await refusal(() => listing.next())).toContain("listFiles({ repo: 'owner/model' })");
    const misspelt = loose(client).listFiles?.({ repo, recurse: true }) as AsyncGenerator;
    expect(await refusal(() => misspelt.next())).toContain("Did you mean 'recursive'?");
  });

  test.each([
    ['usage', [{ sig: 1 }]],
    ['prune', [{ max_bytes: 1 }]],
    ['prune', [5]],
    ['remove', [repo, { dry: true }]],
    ['remove', [5]],
    ['remove', [[null]]],
    ['verify', [{ repos: repo, fix: true }]],
    ['verify', [{ repos: 5 }]],
  ])('cache.%s %o', async (name, given) => {
    await using client = new XetClient({ endpoint: 'http://127.0.0.1:1' });
    await refusal(() => loose(client.cache)[name]?.(...given));
  });
});

describe('a file that is open', async () => {
  const hub = await hubForAll();
  await hub.commitFiles(repo, { 'a.txt': 'hello' });
  const client = clientOf(hub.url);
  afterAll(() => client.close());
  const file = await client.open({ repo, path: 'a.txt' });

  test.each<[name: string, given: unknown[], says: string]>([
    ['read', [3], 'end is missing'],
    ['read', ['a', 'b'], 'No range'],
    ['read', [0, 1, { sig: 1 }], "Did you mean 'signal'?"],
    ['text', [{ signal: new AbortController() }], 'Pass controller.signal.'],
    ['arrayBuffer', [5], 'arrayBuffer takes its options in one object'],
  ])('refuses %s %o', async (name, given, says) => {
    expect(await refusal(() => loose(file)[name]?.(...given))).toContain(says);
  });

  test('gives a stream that fails where its options are wrong', async () => {
    const stream = loose(file).stream?.({ signal: 'x' }) as ReadableStream;
    expect(await refusal(() => stream.getReader().read())).toContain("'signal' must be an AbortSignal");
  });

  test('has no slice between texts', () => {
    expect(thrown(() => loose(file).slice?.('a'))).toContain('two numbers');
  });

  test('is saved as nothing but a file, with options that there are', async () => {
    const save = saveFile as unknown as (...given: unknown[]) => unknown;
    expect(await refusal(() => save({}, { opfs: 'a' }))).toContain('saveFile');
    expect(await refusal(() => save(file, null))).toContain('saveFile');
    expect(await refusal(() => save(file, 'a'))).toContain('saveFile');
    expect(await refusal(() => save(file, { opfs: 'a' }, { onprogress: 1 }))).toContain("Did you mean 'onProgress'?");
  });
});

test('what answers fetch, and a local Hub, have no other options either', async () => {
  expect(thrown(() => createXetFetch({ alias: [] } as object))).toContain("Did you mean 'aliases'?");
  expect(thrown(() => createXetFetch({ client: { token } } as object))).toContain("Did you mean 'accessToken'?");
  expect(thrown(() => createXetCache({ rset: {} } as object))).toContain("Did you mean 'rest'?");
  expect(await refusal(() => startLocalHub({ prot: 1 } as object))).toContain("Did you mean 'port'?");
  expect(await refusal(() => startLocalHub({ dir: 5 } as object))).toContain("'dir' must be a string, not 5.");
});

describe('with a Hub', async () => {
  const hub = await hubForAll();
  await hub.commitFiles(repo, { 'a.txt': 'hello', 'b.json': '{}', 'c/d.json': '[]' });
  await hub.commitFiles('datasets/owner/data', { 'a.csv': '1' });

  test('its address may be a URL', async () => {
    await using client = new XetClient({ endpoint: new URL(hub.url), accessToken: undefined });
    expect(await client.fileInfo({ repo, path: 'a.txt', revision: undefined })).toMatchObject({ size: 5 });
    await using downloader = new XetReader({
      endpoint: new URL(hub.url),
      retry: { attempts: undefined } as object,
    });
    expect(await (await downloader.open({ repo, path: 'a.txt' })).text()).toBe('hello');
  });

  test.each<[address: string, path?: string]>([
    ['hf://owner/model', 'a.txt'],
    ['hf://owner/model@main', 'a.txt'],
    ['hf://owner/model/a.txt'],
    ['hf://datasets/owner/data', 'a.csv'],
    ['https://huggingface.co/owner/model', 'a.txt'],
    ['https://hf.co/datasets/owner/data/tree/main', 'a.csv'],
    ['https://huggingface.co/owner/model/blob/main/a.txt'],
    [`${hub.url}/owner/model/resolve/main/a.txt`],
    [`${hub.url}/owner/model`, 'a.txt'],
  ])('%s stands for a repository', async (address, path) => {
    await using client = clientOf(hub.url);
    await using downloader = new XetReader({ endpoint: hub.url });
    const target = { repo: address, path } as { repo: string; path: string };
    const { size } = await client.fileInfo(target);
    expect(size).toBeGreaterThan(0);
    expect((await downloader.open(target)).size).toBe(size);
  });

  test('the revision of an address is used, and may be given again but not another one', async () => {
    await using client = clientOf(hub.url);
    const address = 'hf://owner/model@unknown';
    await expect(client.fileInfo({ repo: address, path: 'a.txt' })).rejects.toMatchObject({
      code: 'REVISION_NOT_FOUND',
    });
    const same = { repo: 'hf://owner/model@main', path: 'a.txt', revision: 'main' };
    expect(await client.fileInfo(same)).toMatchObject({ size: 5 });
    expect(await refusal(() => client.fileInfo({ ...same, revision: 'dev' }))).toContain("'revision' is 'dev'");
    expect(await refusal(() => client.planSnapshot({ repo: 'hf://owner/model/a.txt' }))).toContain("the path 'a.txt'");
  });

  test('include and exclude select the files of a snapshot, as the older names do', async () => {
    await using client = clientOf(hub.url);
    const names = async (more: object) =>
      (await client.planSnapshot({ repo, ...more })).files.map(({ path: file }) => file).sort();
    const json = ['b.json', 'c/d.json'];
    expect(await names({ include: '*.json' })).toEqual(json);
    expect(await names({ allowPatterns: ['*.json'] })).toEqual(json);
    expect(await names({ include: new Set(['*.json']), exclude: 'c/*' })).toEqual(['b.json']);
    expect(await names({ ignorePatterns: 'c/*', exclude: undefined })).toEqual(['a.txt', 'b.json']);
  });
});

// Each call by its name, as far as its options are concerned.
const described = Object.values<unknown>(tables).filter((table) => typeof table === 'string');
const namesIn = (table: string) => table.split(' ').map((one) => one.split(':')[0] as string);

test('a misspelt option is refused, and the right one suggested', () => {
  expect(described.length).toBeGreaterThan(15);
  const misspelt = fc
    .constantFrom(...described)
    .chain((table) => fc.record({ table: fc.constant(table), name: fc.constantFrom(...namesIn(table)) }))
    .chain(({ table, name }) =>
      fc.record({
        table: fc.constant(table),
        name: fc.constant(name),
        at: fc.nat(name.length - 1),
        letter: fc.constantFrom(...'qxzjk'),
        how: fc.constantFrom('drop', 'double', 'swap', 'replace', 'capitals', 'snake'),
      }),
    );
  fc.assert(
    fc.property(misspelt, ({ table, name, at, letter, how }) => {
      const [before, here, after] = [name.slice(0, at), name.charAt(at), name.slice(at + 1)];
      const written = {
        drop: before + after,
        double: before + here + here + after,
        swap: before + after.charAt(0) + here + after.slice(1),
        replace: before + letter + after,
        capitals: name.toUpperCase(),
        snake: name.replace(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`),
      }[how] as string;
      // Of `retry` and `onRetry` nobody can tell which one this was to be.
      fc.pre(!namesIn(table).includes(written) && !/^\w?retry$/i.test(written));
      const message = thrown(() => tables.checked('call', { [written]: 1 }, table));
      expect(message).toBe(`call has no option '${written}'. Did you mean '${name}'?`);
    }),
    { seed: 22, numRuns: 3000 },
  );
});

test('options that are undefined are as if they were not given', () => {
  for (const table of described) {
    const given = Object.fromEntries([...namesIn(table), 'other'].map((name) => [name, undefined]));
    const free = table.replace(/\w+:\w!/g, '').trim();
    if (free !== '') expect(tables.checked('call', given, free.replace(/ +/g, ' '))).toEqual({});
  }
});
