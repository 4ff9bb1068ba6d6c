import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  apiUrl,
  checkPath,
  checkPathIn,
  givenFolder,
  givenPath,
  parseLocation,
  parseRepo,
  repoText,
  resolveUrl,
  revisionOf,
  revisionUrl,
} from '../../src/hub/repo.ts';
import type { RepoDesignation, RepoId } from '../../src/hub/types.ts';
import { holds, thrownBy } from '../support/property.ts';

const HUB = 'https://huggingface.co';
const invalid = { name: 'XetError', code: 'INVALID_ARGUMENT' };

describe('parseRepo', () => {
  test.each([
    ['owner/name', 'model', 'owner/name'],
    ['models/owner/name', 'model', 'owner/name'],
    ['owner/name/', 'model', 'owner/name'],
    ['datasets/owner/name/', 'dataset', 'owner/name'],
    ['datasets/owner/name', 'dataset', 'owner/name'],
    ['spaces/owner/name', 'space', 'owner/name'],
    ['gpt2', 'model', 'gpt2'],
    ['datasets/squad', 'dataset', 'squad'],
    // Without a name behind it, this is a name.
    ['datasets', 'model', 'datasets'],
    ['o/n.v1_2-x', 'model', 'o/n.v1_2-x'],
    ['_o_/_n_', 'model', '_o_/_n_'],
    ['0/1', 'model', '0/1'],
    [`o/${'n'.repeat(96)}`, 'model', `o/${'n'.repeat(96)}`],
    // Names that objects have by themselves are as good as any.
    ['constructor/name', 'model', 'constructor/name'],
    ['toString/name', 'model', 'toString/name'],
    ['__proto__/name', 'model', '__proto__/name'],
    ['datasets/hasOwnProperty/name', 'dataset', 'hasOwnProperty/name'],
    [{ type: 'space', name: 'owner/name' }, 'space', 'owner/name'],
    ['kernels/owner/name', 'kernel', 'owner/name'],
    [{ type: 'kernel', name: 'owner/name' }, 'kernel', 'owner/name'],
    ['buckets/owner/name', 'bucket', 'owner/name'],
    ['buckets/owner/name/', 'bucket', 'owner/name'],
    [{ type: 'bucket', name: 'owner/name' }, 'bucket', 'owner/name'],
  ] as [RepoDesignation, string, string][])('%j', (given, type, name) => {
    expect(parseRepo(given)).toEqual({ type, name });
  });

  test.each([
    '',
    '/',
    'owner/',
    '/name',
    'owner//name',
    'a/b/c',
    'datasets/a/b/c',
    'datasets/',
    'buckets/a/b/c',
    'buckets/',
    'owner/na me',
    'owner/name\n',
    '\nowner/name',
    'owner/n\u0000',
    'owner/näme',
    'owner/..',
    '../name',
    '../../etc',
    'o..o/name',
    'owner/na..me',
    'owner/na--me',
    '.owner/name',
    'owner/.name',
    'owner/name.',
    '-owner/name',
    'owner/name-',
    `owner/${'n'.repeat(97)}`,
    'owner/name?x=1',
    'owner/name#x',
    'owner/name@main',
    'owner/%2e%2e',
    'owner\\name',
    'owner:name',
    'owner/name:x',
    '<script>/x',
    'https://huggingface.co/owner/name',
    // The Hub takes none that ends like the address of a git repository.
    'owner/name.git',
  ])('%j is none', (given) => {
    expect(thrownBy(() => parseRepo(given))).toMatchObject(invalid);
    expect(thrownBy(() => parseRepo({ type: 'dataset', name: given }))).toMatchObject(invalid);
  });

  test.each(['buckets', 'models', '', 'constructor', '__proto__', 'toString'])(
    'a repository of type %j is none',
    (type) => {
      // JavaScript callers are not held by types.
      const given = { type, name: 'owner/name' } as RepoDesignation;
      expect(thrownBy(() => parseRepo(given))).toMatchObject(invalid);
    },
  );

  test('a message repeats only so much of what it was given', () => {
    expect(String(thrownBy(() => parseRepo('/'.repeat(1e6)))).length).toBeLessThan(500);
  });

  test('any text is a repository or INVALID_ARGUMENT, and its one text form is read again', () => {
    const near = fc.string({
      unit: fc.constantFrom('a', 'B', '0', '.', '-', '_', '/', '@', '%', ' ', 'é', 'datasets/', 'kernels/', 'buckets/'),
    });
    holds(1000, fc.oneof(near, fc.string({ unit: 'binary' })), (text) => {
      let repo: ReturnType<typeof parseRepo>;
      try {
        repo = parseRepo(text);
      } catch (error) {
        expect(error).toMatchObject(invalid);
        return;
      }
      expect(repo.name).toMatch(/^[\w.-]+(\/[\w.-]+)?$/);
      expect(parseRepo(repoText(repo))).toEqual(repo);
      expect(parseRepo(repo)).toEqual(repo);
    });
  });
});

const model = { type: 'model', name: 'owner/name' };
const dataset = { type: 'dataset', name: 'owner/name' };
const space = { type: 'space', name: 'owner/name' };
const kernel = { type: 'kernel', name: 'owner/name' };
const bucket = { type: 'bucket', name: 'owner/name' };

describe('parseLocation', () => {
  test.each([
    ['hf://owner/name', { repo: model }],
    ['hf://owner/name/', { repo: model }],
    ['hf://models/owner/name', { repo: model }],
    ['hf://datasets/owner/name', { repo: dataset }],
    ['hf://spaces/owner/name/app.py', { repo: space, path: 'app.py' }],
    ['hf://owner/name/a/b.txt', { repo: model, path: 'a/b.txt' }],
    ['hf://owner/name@v1', { repo: model, revision: 'v1' }],
    ['hf://owner/name@v1/a/b.txt', { repo: model, revision: 'v1', path: 'a/b.txt' }],
    ['hf://datasets/owner/name@v1.0/a.parquet', { repo: dataset, revision: 'v1.0', path: 'a.parquet' }],
    // A revision with a slash is written encoded ...
    ['hf://owner/name@refs%2Fpr%2F1/a.txt', { repo: model, revision: 'refs/pr/1', path: 'a.txt' }],
    ['hf://owner/name@feature%2Fx', { repo: model, revision: 'feature/x' }],
    // ... but for those that the Hub makes itself, which huggingface_hub writes and reads as they are.
    ['hf://owner/name@refs/pr/1', { repo: model, revision: 'refs/pr/1' }],
    ['hf://owner/name@refs/pr/12/a/b.txt', { repo: model, revision: 'refs/pr/12', path: 'a/b.txt' }],
    ['hf://datasets/owner/name@refs/convert/parquet/x', { repo: dataset, revision: 'refs/convert/parquet', path: 'x' }],
    // In the path they are ordinary characters.
    ['hf://owner/name/a@b', { repo: model, path: 'a@b' }],
    ['hf://owner/name@v1/a@b', { repo: model, revision: 'v1', path: 'a@b' }],
    ['hf://owner/name/100%.txt', { repo: model, path: '100%.txt' }],
    ['hf://kernels/owner/name@v1/build/a.so', { repo: kernel, revision: 'v1', path: 'build/a.so' }],
    ['hf://buckets/owner/name', { repo: bucket }],
    ['hf://buckets/owner/name/', { repo: bucket }],
    ['hf://buckets/owner/name/a@b/100%25.txt', { repo: bucket, path: 'a@b/100%25.txt' }],
    [`${HUB}/kernels/owner/name/blob/v1/a.py`, { repo: kernel, revision: 'v1', path: 'a.py' }],
    [`${HUB}/buckets/owner/name`, { repo: bucket }],
    [`${HUB}/buckets/owner/name/tree`, { repo: bucket }],
    [`${HUB}/buckets/owner/name/tree/logs/a%20b`, { repo: bucket, path: 'logs/a b/' }],
    [`${HUB}/buckets/owner/name/resolve/logs/100%2525.txt`, { repo: bucket, path: 'logs/100%25.txt' }],
    [`${HUB}/buckets/owner/name/resolve/resolve/tree`, { repo: bucket, path: 'resolve/tree' }],
    [`${HUB}/buckets/owner/name/settings`, { repo: bucket }],
    ['hf.co/buckets/owner/name/resolve/a', { repo: bucket, path: 'a' }],
    [`${HUB}/owner/name`, { repo: model }],
    [`${HUB}/owner/name/`, { repo: model }],
    [`${HUB}/datasets/owner/name`, { repo: dataset }],
    [`${HUB}/spaces/owner/name`, { repo: space }],
    [`${HUB}/owner/name/tree/main`, { repo: model, revision: 'main' }],
    // What a page shows as a folder is one.
    [`${HUB}/owner/name/tree/v1/folder/sub`, { repo: model, revision: 'v1', path: 'folder/sub/' }],
    [`${HUB}/owner/name/tree/v1/folder/sub/`, { repo: model, revision: 'v1', path: 'folder/sub/' }],
    [`${HUB}/owner/name/blame/v1/a.txt`, { repo: model, revision: 'v1', path: 'a.txt' }],
    [`${HUB}/owner/name/commit/${'a'.repeat(40)}`, { repo: model, revision: 'a'.repeat(40) }],
    // Each part is decoded once, after the address was cut.
    [`${HUB}/owner/name/blob/feat%2Fa%231/n.bin`, { repo: model, revision: 'feat/a#1', path: 'n.bin' }],
    [`${HUB}/owner/name/tree/feature%2Fx`, { repo: model, revision: 'feature/x' }],
    [`${HUB}/owner/name/resolve/a%2520b/a.txt`, { repo: model, revision: 'a%20b', path: 'a.txt' }],
    [`${HUB}/owner/name/blob/main/100%2525.txt`, { repo: model, revision: 'main', path: '100%25.txt' }],
    [`${HUB}/owner/name/blob/refs/pr/1/100%2525.txt`, { repo: model, revision: 'refs/pr/1', path: '100%25.txt' }],
    [`${HUB}/owner/name/blob/refs%2Fpr%2F1/100%2525.txt`, { repo: model, revision: 'refs/pr/1', path: '100%25.txt' }],
    [`${HUB}/owner/name/blob/refs%2Fpr%2F1/pr/2/x`, { repo: model, revision: 'refs/pr/1', path: 'pr/2/x' }],
    [`${HUB}/owner/name/resolve/main/100%.txt`, { repo: model, revision: 'main', path: '100%.txt' }],
    // A path in an hf:// address is not encoded, a revision is.
    ['hf://owner/name@refs/pr/1/100%25.txt', { repo: model, revision: 'refs/pr/1', path: '100%25.txt' }],
    ['hf://owner/name@a%2520b/100%25.txt', { repo: model, revision: 'a%20b', path: '100%25.txt' }],
    ['hf://owner/name@refs%2Fpr%2F1/100%25.txt', { repo: model, revision: 'refs/pr/1', path: '100%25.txt' }],
    // The public Hub under all of its names, with and without a scheme.
    ['https://hf.co/owner/name', { repo: model }],
    ['http://huggingface.co/owner/name/blob/main/a.txt', { repo: model, revision: 'main', path: 'a.txt' }],
    ['HTTPS://HuggingFace.co/datasets/owner/name/', { repo: dataset }],
    ['hf.co/spaces/owner/name', { repo: space }],
    ['huggingface.co/owner/name/tree/v1', { repo: model, revision: 'v1' }],
    [`${HUB}/owner/name/blob/main/a.txt`, { repo: model, revision: 'main', path: 'a.txt' }],
    [`${HUB}/owner/name/raw/main/a.txt`, { repo: model, revision: 'main', path: 'a.txt' }],
    [`${HUB}/owner/name/resolve/main/a.txt?download=true`, { repo: model, revision: 'main', path: 'a.txt' }],
    [`${HUB}/owner/name/blob/main/a.txt#L10`, { repo: model, revision: 'main', path: 'a.txt' }],
    [
      `${HUB}/datasets/owner/name/resolve/main/a%20b/%C3%A9.txt`,
      { repo: dataset, revision: 'main', path: 'a b/é.txt' },
    ],
    [`${HUB}/owner/name/resolve/refs%2Fpr%2F1/a.txt`, { repo: model, revision: 'refs/pr/1', path: 'a.txt' }],
    // The Hub's own pages write these as they are.
    [`${HUB}/owner/name/tree/refs/pr/1`, { repo: model, revision: 'refs/pr/1' }],
    [`${HUB}/owner/name/blob/refs/pr/1/a.txt`, { repo: model, revision: 'refs/pr/1', path: 'a.txt' }],
    [`${HUB}/owner/name/discussions/3`, { repo: model }],
    [`${HUB}/owner/name?library=transformers`, { repo: model }],
    // A few old models have no owner.
    [`${HUB}/gpt2`, { repo: { type: 'model', name: 'gpt2' } }],
    [
      `${HUB}/gpt2/resolve/main/config.json`,
      { repo: { type: 'model', name: 'gpt2' }, revision: 'main', path: 'config.json' },
    ],
  ])('%s', (text, expected) => {
    expect(parseLocation(text, HUB)).toEqual(expected);
  });

  test.each(['owner/name', 'datasets/owner/name', '', 'https://example.com/owner/name', `${HUB}.evil.test/owner/name`])(
    '%j is no location on this Hub',
    (text) => expect(parseLocation(text, HUB)).toBeUndefined(),
  );

  test.each([
    'hf://',
    'hf://owner',
    'hf://owner/',
    'hf:///name',
    'hf://../name',
    'hf://owner/..',
    'hf://owner/na me',
    'hf://datasets/owner',
    `${HUB}`,
    `${HUB}/`,
    `${HUB}/owner/na%20me`,
    `${HUB}/owner/%2e%2e%2fname`,
    'hf://owner/name@',
    'hf://owner/name@/x',
    'hf://buckets/owner/name@v1/x',
    'hf://buckets/owner/name@',
    'hf://buckets/owner',
    'hf://dataset/owner/name',
    'hf://bucket/owner/name/x',
    `${HUB}/buckets/owner`,
    'https://hf.co/kernels',
  ])('%j names no repository', (text) => {
    expect(thrownBy(() => parseLocation(text, HUB))).toMatchObject(invalid);
  });

  test('the endpoint may end in a slash, have a port and a path', () => {
    for (const endpoint of [
      'http://127.0.0.1:5000',
      'http://127.0.0.1:5000/',
      'https://mirror.test/hf',
      'https://mirror.test/hf//',
    ]) {
      const base = endpoint.replace(/\/+$/, '');
      const expected = { repo: dataset, revision: 'v1', path: 'a/b' };
      expect(parseLocation(`${base}/datasets/owner/name/resolve/v1/a/b`, endpoint)).toEqual(expected);
    }
    expect(parseLocation('https://mirror.test/owner/name', 'https://mirror.test/hf')).toBeUndefined();
    expect(parseLocation('https://mirror.test/hfx/name', 'https://mirror.test/hf')).toBeUndefined();
    // Whichever Hub is in use, addresses of the public one name the same repositories.
    const pasted = 'https://huggingface.co/owner/name/blob/main/a.txt';
    const expected = { repo: model, revision: 'main', path: 'a.txt' };
    expect(parseLocation(pasted, 'http://127.0.0.1:5000')).toEqual(expected);
    expect(parseLocation(pasted, 'no address')).toEqual(expected);
  });

  test('any text is a location, none, or INVALID_ARGUMENT', () => {
    const word = fc.constantFrom(
      'hf://',
      `${HUB}/`,
      HUB,
      'owner',
      'name',
      '/',
      '@',
      '%',
      '%2F',
      '..',
      'tree',
      'resolve',
      'datasets/',
      'buckets/',
      'kernels/',
      '?',
      '#',
      ':',
      '[',
      ' ',
    );
    holds(
      1500,
      fc.array(word, { maxLength: 10 }).map((words) => words.join('')),
      (text) => {
        try {
          const location = parseLocation(text, HUB);
          if (location) expect(parseRepo(location.repo)).toEqual(location.repo);
        } catch (error) {
          expect(error).toMatchObject(invalid);
        }
      },
    );
  });
});

describe('buckets', () => {
  const inBucket = parseRepo('buckets/owner/name');

  test('a bucket without an owner is INVALID_ARGUMENT', () => {
    expect(thrownBy(() => parseRepo('buckets/name'))).toMatchObject(invalid);
    expect(thrownBy(() => parseRepo({ type: 'bucket', name: 'name' }))).toMatchObject(invalid);
  });

  test('addresses of a bucket name no revision', () => {
    expect(resolveUrl(HUB, inBucket, '', 'a b/c#d')).toBe(`${HUB}/buckets/owner/name/resolve/a%20b/c%23d`);
    expect(revisionUrl(HUB, inBucket, 'xet-read-token', '')).toBe(`${HUB}/api/buckets/owner/name/xet-read-token`);
    expect(revisionUrl(HUB, parseRepo('kernels/o/n'), 'tree', 'v/1', 'a/b')).toBe(
      `${HUB}/api/kernels/o/n/tree/v%2F1/a%2Fb`,
    );
  });

  test('a revision of a bucket is INVALID_ARGUMENT that names it', () => {
    expect(revisionOf(inBucket, undefined)).toBe('');
    expect(revisionOf(parseRepo('owner/name'), undefined)).toBe('main');
    expect(thrownBy(() => revisionOf(inBucket, 'v1.5'))).toMatchObject({
      ...invalid,
      message: expect.stringContaining("revision is 'v1.5'"),
    });
    expect(thrownBy(() => parseLocation('hf://buckets/owner/name@v1.5/x', HUB))).toMatchObject({
      ...invalid,
      message: expect.stringContaining("'v1.5'"),
    });
  });

  test.each(['a..', 'a../b', 'logs/x..', '../a', 'a//b', '/a', 'a/', './a', 'a\\b', 'a\0b', ''])(
    'a bucket cannot store %j',
    (path) => expect(thrownBy(() => checkPathIn(inBucket, path))).toMatchObject(invalid),
  );

  test.each(['a', '..a', 'a..b', 'a/..b', 'a b', 'ü/é', '@', '%', '#'])('a bucket can store %j', (path) => {
    expect(checkPathIn(inBucket, path)).toBe(path);
  });

  test('a repository can store what only buckets forbid', () => {
    expect(checkPathIn(parseRepo('owner/name'), 'a..')).toBe('a..');
  });

  test('any repository, revision and path come back out of the addresses made of them', () => {
    const type = fc.constantFrom('model', 'dataset', 'space', 'kernel', 'bucket');
    const text = fc.string({
      unit: fc.constantFrom('a', '/', '%', '#', '2', 'F', '@', '?', ' ', 'é', '.'),
      minLength: 1,
    });
    holds(1500, fc.tuple(type, text, text), ([type, revision, path]) => {
      const repo = { type, name: 'owner/name' } as RepoId;
      if (/^\.{1,2}$/.test(revision)) return;
      try {
        checkPathIn(repo, path);
      } catch (error) {
        expect(error).toMatchObject(invalid);
        return;
      }
      const expected = { repo, path, ...(type !== 'bucket' && { revision }) };
      for (const hub of [HUB, 'https://hf.co', 'https://mirror.test/hub']) {
        expect(parseLocation(resolveUrl(hub, repo, revision, path), 'https://mirror.test/hub')).toEqual(expected);
      }
      const at = type === 'bucket' ? '' : `@${encodeURIComponent(revision)}`;
      expect(parseLocation(`hf://${type}s/owner/name${at}/${path}`, HUB)).toEqual(expected);
    });
  });
});

describe('addresses', () => {
  const repo = parseRepo('datasets/owner/name');

  test.each([
    ['main', 'a.txt', 'main/a.txt'],
    ['refs/pr/1', 'a/b.txt', 'refs%2Fpr%2F1/a/b.txt'],
    ['v1', 'a b/ü?#%&+.txt', 'v1/a%20b/%C3%BC%3F%23%25%26%2B.txt'],
    ['v1', 'x@y:z;=,$.txt', 'v1/x%40y%3Az%3B%3D%2C%24.txt'],
    ['../../other', '🙂', '..%2F..%2Fother/%F0%9F%99%82'],
  ])('content at %j of %j', (revision, path, expected) => {
    expect(resolveUrl(HUB, repo, revision, path)).toBe(`${HUB}/datasets/owner/name/resolve/${expected}`);
  });

  test.each(['.', '..', '', 'a\ud800'])('%j is part of none: it would lead to another place', (part) => {
    expect(thrownBy(() => resolveUrl(HUB, repo, part, 'a.txt'))).toMatchObject(invalid);
    expect(thrownBy(() => resolveUrl(HUB, repo, 'main', `a/${part}/b`))).toMatchObject(invalid);
    expect(thrownBy(() => apiUrl(HUB, repo, 'tree', part))).toMatchObject(invalid);
    expect(thrownBy(() => apiUrl(HUB, repo, 'tree', 'main', part))).toMatchObject(invalid);
  });

  test('models have no prefix', () => {
    expect(resolveUrl(HUB, parseRepo('o/n'), 'main', 'f')).toBe(`${HUB}/o/n/resolve/main/f`);
    expect(resolveUrl(HUB, parseRepo('spaces/o/n'), 'main', 'f')).toBe(`${HUB}/spaces/o/n/resolve/main/f`);
  });

  test('calls name the type, and each part is one part', () => {
    expect(apiUrl(HUB, repo)).toBe(`${HUB}/api/datasets/owner/name`);
    expect(apiUrl(HUB, parseRepo('o/n'), 'revision', 'refs/pr/1')).toBe(`${HUB}/api/models/o/n/revision/refs%2Fpr%2F1`);
    expect(apiUrl(HUB, parseRepo('spaces/o/n'), 'tree', 'v?', 'a/b c')).toBe(
      `${HUB}/api/spaces/o/n/tree/v%3F/a%2Fb%20c`,
    );
  });

  test('a path that passes the check comes back out of its address', () => {
    const name = fc.string({
      unit: fc.constantFrom('a', '.', '%', '?', '#', ' ', '&', ':', '\u00e9', '🙂', '2', 'F', '\n', '+'),
      minLength: 1,
    });
    holds(
      1000,
      fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
      (path) => {
        try {
          checkPath(path);
        } catch (error) {
          expect(error).toMatchObject(invalid);
          return;
        }
        const url = new URL(resolveUrl(HUB, repo, 'main', path));
        expect(url.search + url.hash).toBe('');
        const prefix = '/datasets/owner/name/resolve/main/';
        expect(url.pathname.startsWith(prefix)).toBe(true);
        expect(decodeURIComponent(url.pathname.slice(prefix.length))).toBe(path);
      },
    );
  });
});

describe('givenPath', () => {
  test.each([
    ['a/b', 'a/b'],
    ['./a', 'a'],
    ['/a/b', 'a/b'],
    ['././/a', 'a'],
    ['.a', '.a'],
    ['...', '...'],
  ])('%j is %j', (given, path) => expect(givenPath(given)).toBe(path));

  test.each(['', '.', './', '/', '..', '/..', './../a', 'a/./b', 'a//b', 'a/', '/C:/x', 5, undefined, null])(
    '%j is none',
    (given) => expect(thrownBy(() => givenPath(given as string))).toMatchObject(invalid),
  );

  test('of a folder may end in a slash, and the root has none', () => {
    expect(['a', 'a/', './a//', '/a/b/'].map(givenFolder)).toEqual(['a', 'a', 'a', 'a/b']);
    expect([undefined, '', '.', './', '/', '//'].map(givenFolder)).toEqual(Array(6).fill(undefined));
    expect(thrownBy(() => givenFolder('../'))).toMatchObject(invalid);
  });
});

describe('checkPath', () => {
  test.each([
    'a',
    'a/b/c.txt',
    '.gitattributes',
    'a/.hidden/b',
    '...',
    'a..b',
    '..a',
    'a b',
    'é/🙂',
    'a@b',
    'ab:c/d',
    '100%',
    '-',
    '~',
    'CON',
  ])('%j is a path', (path) => expect(checkPath(path)).toBe(path));

  test.each([
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    './a',
    'a/.',
    '../a',
    'a/../b',
    'a/..',
    '/etc/passwd',
    'a\0b',
    'a\\b',
    '..\\a',
    'C:/a',
    'c:a',
    'C:\\a',
    '\\\\server\\a',
  ])('%j is none', (path) => expect(thrownBy(() => checkPath(path))).toMatchObject(invalid));

  // Half of a character has no bytes: neither a file nor an address can have it.
  test.each(['a\ud800', '\udc00/b'])('%j is none', (path) => {
    expect(thrownBy(() => checkPath(path))).toMatchObject(invalid);
  });

  test('a message repeats only so much of what it was given', () => {
    expect(String(thrownBy(() => checkPath('\\'.repeat(1e6)))).length).toBeLessThan(500);
  });
});
