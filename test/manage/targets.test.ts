import { describe, expect, test } from 'vitest';
import { isXetError } from '../../src/core/errors.ts';
import { findRepo, findTargets, type NamedRepo } from '../../src/manage/targets.ts';
import type { CacheTarget } from '../../src/manage/types.ts';

const A = `aaaaaaa1${'0'.repeat(32)}`;
const A2 = `aaaaaaa2${'0'.repeat(32)}`;
const B = 'b'.repeat(40);
const C = 'c'.repeat(40);

const repo = (type: string, name: string, revisions: [string, string[]][]): NamedRepo => ({
  type,
  name,
  revisions: revisions.map(([commit, refs]) => ({ commit, refs })),
});
const model = repo('model', 'owner/model', [
  [A, []],
  [B, ['main', 'v1']],
]);
const data = repo('dataset', 'owner/data', [
  [A2, ['refs/pr/1']],
  [C, ['main']],
]);
const fork = repo('dataset', 'me/data', [[C, ['main']]]);
const old = repo('model', 'gpt2', [[`d${'e'.repeat(39)}`, ['main']]]);
const hexed = repo('model', 'cccccccc', []);
const kernel = repo('kernel', 'owner/kernel', []);
const repos = [model, data, fork, old, hexed, kernel];

const find = (...targets: CacheTarget[]) => findTargets(repos, targets, '/cache');

describe('what a target means', () => {
  test.each<[target: CacheTarget, repo: NamedRepo, commit?: string]>([
    ['owner/model', model],
    ['models/owner/model', model],
    // As Python's command shows them.
    ['model/owner/model', model],
    ['dataset/owner/data', data],
    ['datasets/owner/data', data],
    ['kernels/owner/kernel', kernel],
    ['gpt2', old],
    // A repository goes before a commit that begins like it.
    ['cccccccc', hexed],
    [{ repo: 'owner/model' }, model],
    [{ repo: { type: 'dataset', name: 'owner/data' } }, data],
    ['owner/model@main', model, B],
    ['owner/model@v1', model, B],
    ['datasets/owner/data@refs/pr/1', data, A2],
    [`owner/model@${A}`, model, A],
    ['owner/model@aaaaaaa', model, A],
    [{ repo: 'owner/model', revision: 'AAAAAAA1' }, model, A],
    [B, model, B],
    ['bbbbbbb', model, B],
    ['aaaaaaa2', data, A2],
  ])('%j', (target, wanted, commit) => {
    expect(find(target)).toEqual([{ repo: wanted, commit }]);
  });

  test('a commit is meant wherever it is, and several targets in their order', () => {
    expect(find(C, 'gpt2')).toEqual([
      { repo: data, commit: C },
      { repo: fork, commit: C },
      { repo: old, commit: undefined },
    ]);
  });

  test.each<[target: CacheTarget, says: RegExp]>([
    ['owner/nothing', /\/cache: 'owner\/nothing'\. 'xetkit cache ls'/],
    ['owner/data', /There is datasets\/owner\/data, datasets\/me\/data\./],
    ['Owner/Model', /There is owner\/model\./],
    ['', /Not in the cache folder/],
    [{ repo: { type: 'space', name: 'owner/model' } }, /'spaces\/owner\/model'.*There is owner\/model/],
    ['owner/model@dev', new RegExp(`owner/model has no revision 'dev' here\\. It has: ${A}, ${B} = main = v1\\.`)],
    ['owner/model@aaaaa', /no revision 'aaaaa'/],
    ['kernels/owner/kernel@main', /It has: none\./],
    ['aaaaaaa', new RegExp(`Several commits begin with aaaaaaa.*owner/model@${A}, datasets/owner/data@${A2}`)],
    ['f'.repeat(40), /No commit .* begins with f{40}/],
    ['abcdef', /Not in the cache folder/],
    ['@main', /Not in the cache folder/],
  ])('%j is told to be wrong', (target, says) => {
    const failure = (() => {
      try {
        find(target);
      } catch (error) {
        return error;
      }
    })();
    expect(isXetError(failure, 'INVALID_ARGUMENT')).toBe(true);
    expect((failure as Error).message).toMatch(says);
  });

  test('a repository alone', () => {
    expect(findRepo(repos, 'datasets/owner/data', '/cache')).toBe(data);
    expect(findRepo(repos, { type: 'model', name: 'owner/model' }, '/cache')).toBe(model);
    expect(() => findRepo(repos, C, '/cache')).toThrow('Not in the cache folder /cache');
  });
});
