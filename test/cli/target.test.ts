import { describe, expect, test } from 'vitest';
import { parseTarget } from '../../src/cli/target.ts';
import { thrownBy } from '../support/property.ts';

const HUB = 'https://huggingface.co';
const MIRROR = 'http://127.0.0.1:8080';
const model = { type: 'model', name: 'owner/name' };
const dataset = { type: 'dataset', name: 'owner/name' };
const nothing = { revision: undefined, path: undefined };

describe('parseTarget', () => {
  test.each([
    ['owner/name', {}, { ...nothing, repo: model }],
    ['datasets/owner/name', {}, { ...nothing, repo: dataset }],
    ['owner/name', { repoType: 'dataset' }, { ...nothing, repo: dataset }],
    ['owner/name', { repoType: 'space' }, { ...nothing, repo: { type: 'space', name: 'owner/name' } }],
    ['owner/name', { revision: 'v1' }, { ...nothing, repo: model, revision: 'v1' }],
    ['hf://owner/name', {}, { ...nothing, repo: model }],
    ['hf://datasets/owner/name@v2/a/b', {}, { repo: dataset, revision: 'v2', path: 'a/b' }],
    // What is said apart wins over what is part of the address.
    ['hf://owner/name@v2/a', { revision: 'v1' }, { repo: model, revision: 'v1', path: 'a' }],
    [`${MIRROR}/owner/name/resolve/main/a`, {}, { repo: model, revision: 'main', path: 'a' }],
    // An address copied from the Hub's pages is right for a mirror of it too.
    [`${HUB}/datasets/owner/name/blob/main/a`, {}, { repo: dataset, revision: 'main', path: 'a' }],
  ])('%s with %j', (text, options, expected) => {
    expect(parseTarget(text, options, MIRROR)).toEqual(expected);
  });

  test.each([
    ['owner/name', { repoType: 'model ' }],
    ['owner/name', { repoType: 'buckets' }],
    ['name', { repoType: 'bucket' }],
    ['owner/name', { repoType: '' }],
    ['a/b/c', {}],
    ['', {}],
    ['https://example.com/owner/name', {}],
    ['./folder', {}],
    ['datasets/owner/name', { repoType: 'model' }],
  ])('%j with %j is none', (text, options) => {
    expect(thrownBy(() => parseTarget(text, options, MIRROR))).toMatchObject({
      name: 'XetError',
      code: 'INVALID_ARGUMENT',
    });
  });
});
