import { describe, expect, test } from 'vitest';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub/start.ts';
import { testHub } from './helpers.ts';

const wrong = (value: unknown) => value as never;

describe('startLocalHub', () => {
  test.each<[given: unknown, message: string]>([
    [{ prot: 1 }, "Did you mean 'port'?"],
    [{ port: '80' }, 'Not a port: 80.'],
    [{ port: 70_000 }, 'Not a port: 70000.'],
    [{ now: 5 }, "'now' must be a function, not 5."],
    [{ durable: 'yes' }, "'durable' must be true or false, not 'yes'."],
    [{ tokenLifetimeSeconds: -1 }, "'tokenLifetimeSeconds' must be a number from 0 on"],
    [{ rangeRule: 'some' }, "'rangeRule' must be 'exact' or 'subset'"],
    [{ reconstructionVersions: 1 }, "'reconstructionVersions' must be a list of versions"],
    [{ shardVersions: [3] }, "a version in 'shardVersions' must be one of 1, 2, not 3."],
    [{ tokens: { hf_private: { nam: 'a' } } }, "Did you mean 'name'?"],
    [{ tokens: { hf_private: {} } }, "each grant of 'tokens' needs a name"],
    ['./hub', 'startLocalHub takes its options in one object'],
  ])('refuses %j', async (given, message) => {
    const failure = await startLocalHub(given as LocalHubOptions).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) });
    expect(String(failure)).not.toContain('hf_private');
  });
});

describe('methods of a local Hub', () => {
  const calls: [call: string, run: (hub: LocalHub) => Promise<unknown>, message: string][] = [
    ['seed()', (hub) => hub.seed(wrong(undefined)), "seed needs 'folder'"],
    ["seed('')", (hub) => hub.seed(''), "seed needs 'folder'"],
    ['seed(5)', (hub) => hub.seed(wrong(5)), "'folder' must be a string, not 5."],
    ['commitFiles() without files', (hub) => hub.commitFiles('me/m', wrong(undefined)), "commitFiles needs 'files'"],
    ['commitFiles() of null', (hub) => hub.commitFiles('me/m', wrong(null)), "'files' must be an object"],
    [
      'commitFiles() of a number',
      (hub) => hub.commitFiles('me/m', { a: wrong(1) }),
      "the content of 'a' must be bytes",
    ],
    ['commitFiles() to no repository', (hub) => hub.commitFiles(wrong(null), {}), "'repo' must be a repository"],
    ['commitFiles() to a bad name', (hub) => hub.commitFiles('a/b/c', {}), "Not a repository: 'a/b/c'"],
    [
      'commitFiles() with a misspelt option',
      (hub) => hub.commitFiles('me/m', {}, wrong({ mesage: 'x' })),
      "Did you mean 'message'?",
    ],
    [
      'commitFiles() with an unknown way of storage',
      (hub) => hub.commitFiles('me/m', {}, wrong({ xet: 'maybe' })),
      "'xet' must be 'auto' or 'always' or 'never'",
    ],
    ['createRepo() without a name', (hub) => hub.createRepo(wrong(undefined)), "createRepo needs 'repo'"],
    [
      'createRepo() with a misspelt setting',
      (hub) => hub.createRepo('me/m', wrong({ privat: true })),
      "Did you mean 'private'?",
    ],
    [
      'createRepo() with an unknown gate',
      (hub) => hub.createRepo('me/m', wrong({ gated: true })),
      '\'gated\' must be one of false, "auto", "manual", not true.',
    ],
    ['setRepo() without settings', (hub) => hub.setRepo('me/m', wrong(undefined)), "setRepo needs 'settings'"],
  ];

  test.each(calls)('%s rejects', async (_, run, message) => {
    const hub = await testHub();
    await expect(run(hub)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message),
    });
  });

  test('setRepo() rejects for a missing repository, and createRepo() for an existing one', async () => {
    const hub = await testHub();
    await expect(hub.setRepo('me/m', { private: true })).rejects.toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
    await hub.createRepo('me/m');
    await expect(hub.createRepo('me/M')).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(hub.commitFiles('me/M', { a: 'text' })).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('one deletion may be given as a string', async () => {
    const hub = await testHub();
    await hub.commitFiles('me/m', { 'a.txt': 'text' });
    const { changed } = await hub.commitFiles('me/m', {}, { deletions: wrong('a.txt') });
    expect(changed).toBe(true);
  });

  test.each<[given: unknown, message: string]>([
    ['localhost:3000', 'Not an origin'],
    [undefined, "allowOrigin needs 'origin'"],
    [3000, "'origin' must be a string, not 3000."],
  ])('allowOrigin(%j) throws', async (origin, message) => {
    const hub = await testHub();
    expect(() => hub.allowOrigin(wrong(origin))).toThrow(message);
  });

  test.each<[given: unknown, message: string]>([
    [undefined, "'action' must be one of"],
    [{ kind: 'xorb' }, "'action' must be one of"],
    [{ kind: 'xorbs', action: 'refuse' }, '\'kind\' must be one of "any", "resolve"'],
    [{ kind: 'xorb', action: 'refuse', time: 2 }, "Did you mean 'times'?"],
    [{ kind: 'xorb', action: 'corrupt' }, "the action 'corrupt' needs 'offset'."],
    [{ kind: 'xorb', action: 'corrupt', offset: '1' }, "'offset' must be a number from 0 on"],
    [{ kind: 'xorb', action: 'refuse', match: '/x' }, "'match' must be a function"],
  ])('faults.add(%j) throws', async (rule, message) => {
    const hub = await testHub();
    expect(() => hub.faults.add(wrong(rule))).toThrow(message);
  });
});
