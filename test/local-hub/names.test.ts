import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRepo } from '../../src/hub/repo.ts';
import { isRepoName } from '../../src/local-hub/repo/repo-id.ts';
import { badPath } from '../../src/local-hub/repo/repo-path.ts';
import { judgeNames } from '../../src/snapshot/names.ts';
import { commit, file, post, TOKEN, testHub } from './helpers.ts';

const PATHS = [
  '',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/./b',
  '.git',
  '.git/config',
  'a/.GIT/hooks/x',
  '.git.',
  'git~1',
  '.g\u200cit/x',
  'a\\b',
  '..\\a',
  'C:x',
  'c:/x',
  'a/C:x',
  'a\0b',
  'a\nb',
  'a\x1b[2J',
  'a\x7f',
  'a\u0085',
  'a\ud800b',
  '\udc00',
  'x'.repeat(256),
  `a/${'ü'.repeat(128)}`,
  `${'a/'.repeat(2100)}a`,
];

test.each(PATHS.map((path) => [JSON.stringify(path).slice(0, 60), path]))(
  'no commit takes the path %s',
  async (_, path) => {
    const hub = await testHub();
    await hub.createRepo('me/model');
    const response = await commit(hub, 'me/model', [file('fine.txt', 'a'), file(path, 'a')]);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: string }).error).not.toMatch(/[\p{Cc}\p{Surrogate}]/u);
    await expect(hub.commitFiles('me/model', { [path]: 'a' })).rejects.toThrow('Invalid path');
  },
);

test('names that some systems cannot have are taken, as are all others', async () => {
  const hub = await testHub();
  const paths = [
    'a b.txt',
    'ü/é.txt',
    '日本/語.bin',
    'aux.txt',
    'what?.txt',
    '.hidden/x',
    '-x',
    '.gitattributes',
    'a..b',
  ];
  await hub.commitFiles('me/model', Object.fromEntries(paths.map((path) => [path, 'a'])));
  const response = await commit(hub, 'me/model', [file('x'.repeat(255), 'a')]);
  expect(response.status).toBe(200);
});

describe('one rule for the Hub and its clients', () => {
  test('what the Hub takes, a client on Linux can put into a folder', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom(
        '.',
        '..',
        '.git',
        'C:',
        'a',
        '\\',
        '\ud800',
        'é',
        'x'.repeat(255),
        'ü'.repeat(127),
        'ü'.repeat(128),
      ),
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const path = parts.join('/');
        if (badPath(path) !== undefined) return;
        const { leftOut } = judgeNames([path], { platform: 'other', into: 'cache', repo: 'me/model' });
        expect(leftOut.size).toBe(0);
      }),
      { seed: 22, numRuns: 2000 },
    );
  });

  test('repositories have the same names on both sides', () => {
    const word = fc.oneof(
      fc.stringMatching(/^[\w.-]{0,8}$/),
      fc.constantFrom('-x', '.hidden', 'x-', 'x.', 'a--b', 'a..b', 'x.git', '.', '..', 'ü', 'a b', 'x'.repeat(97), '~'),
    );
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 3 }), (words) => {
        const name = words.join('/');
        let taken = true;
        try {
          parseRepo({ type: 'model', name });
        } catch {
          taken = false;
        }
        expect([name, isRepoName(name)]).toEqual([name, taken]);
      }),
      { seed: 22, numRuns: 2000 },
    );
  });
});

test.each([
  '-x',
  '.hidden',
  'x-',
  'x.',
  'me/-x',
  'me/.hidden',
  '-me/x',
  '.me/x',
  'me/x.git',
  'me.git/x',
  'a/b/c',
  '../x',
])('no repository is called %s', async (name) => {
  const hub = await testHub();
  expect((await post(hub, '/api/repos/create', { name }, TOKEN)).status).toBe(400);
  await expect(hub.createRepo({ type: 'model', name })).rejects.toThrow('Not a repository');
});

test.each(['-x', '.x', 'x.', 'a..b', 'a b', '@', 'a\ud800', 'a/.b', 'a.lock', 'a~1', 'a\\b', 'a\x7f'])(
  'no branch or tag is called %j',
  async (name) => {
    const hub = await testHub();
    await hub.createRepo('me/model');
    expect((await post(hub, '/api/models/me/model/tag/main', { tag: name }, TOKEN)).status).toBe(400);
  },
);
