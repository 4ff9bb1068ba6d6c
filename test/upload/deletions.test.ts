import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deletionsBeside, readDeletions } from '../../src/upload/deletions.ts';
import type { UploadOptions } from '../../src/upload/upload-types.ts';
import { rejectionOf } from '../support/property.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const file = (path: string, words = path) => ({ path, content: new TextEncoder().encode(words) });

/** Files of a repository after one more commit. */
async function leftBy(
  before: string[],
  options: Partial<UploadOptions>,
): Promise<{ paths: string[]; commits: number }> {
  const hub = await sourceHub();
  await hub.createRepo(repo);
  const client = sourceClient(hub, { accessToken: 'hf_local' });
  await client.upload({ repo, files: before.map((path) => file(path)) });
  const { commits } = await client.upload({ repo, ...options });
  const paths: string[] = [];
  for await (const { path, type } of client.listFiles({ repo, recursive: true })) if (type === 'file') paths.push(path);
  return { paths: paths.filter((path) => path !== '.gitattributes').sort(), commits: commits.length };
}

describe('deletions of an upload', () => {
  test('a folder is replaced by the uploaded files, and unchanged files stay', async () => {
    const before = ['d/old.txt', 'd/same.txt', 'd/deep/old.txt', 'd2/x', 'other.txt'];
    const files = [file('d/same.txt'), file('d/new.txt'), file('d/deep/new.txt')];
    expect(await leftBy(before, { files, deletions: ['d/'] })).toEqual({
      paths: ['d/deep/new.txt', 'd/new.txt', 'd/same.txt', 'd2/x', 'other.txt'],
      commits: 1,
    });
  });

  test.each<[string, string[], Partial<UploadOptions>, string[]]>([
    ['a file by itself', ['a', 'b'], { files: [file('a', 'new')], deletions: ['a'] }, ['a', 'b']],
    ['a folder by a file', ['d/a', 'b'], { files: [file('d')], deletions: ['d/'] }, ['b', 'd']],
    ['a file by a folder', ['d', 'b'], { files: [file('d/a')], deletions: ['d'] }, ['b', 'd/a']],
    ['a folder that is not there', ['b'], { files: [file('d/a')], deletions: ['d/'] }, ['b', 'd/a']],
    [
      'a folder in a folder',
      ['d/a', 'd/e/b', 'c'],
      { files: [file('d/e/n')], deletions: ['d/', 'd/e/'] },
      ['c', 'd/e/n'],
    ],
    ['what is named twice', ['d/a', 'd/e/b', 'c'], { deletions: ['d/', 'd/a', 'd/e/'] }, ['c']],
    ['a path with dots in front', ['a', 'b'], { deletions: ['./a'] }, ['b']],
  ])('an upload replaces %s', async (_, before, options, paths) => {
    expect(await leftBy(before, options)).toEqual({ paths, commits: 1 });
  });

  test.each<[string, UploadOptions['deletePatterns'], string[]]>([
    ['all of a kind, in every folder', '*.txt', ['d/b.bin', 'new.txt']],
    ['one of several patterns', ['d/*.bin', 'nothing'], ['a.txt', 'd/c.txt', 'new.txt']],
    ['everything but the attributes', '*', ['new.txt']],
    ['nothing', 'A.TXT', ['a.txt', 'd/b.bin', 'd/c.txt', 'new.txt']],
  ])('deletePatterns delete matching files that are not uploaded: %s', async (_, deletePatterns, paths) => {
    const before = ['a.txt', 'd/b.bin', 'd/c.txt', 'new.txt'];
    expect(await leftBy(before, { files: [file('new.txt')], deletePatterns })).toMatchObject({ paths });
  });

  test('ignored files of an upload into a replaced folder are deleted', async () => {
    const files = [file('.gitignore', '*.log\n'), file('d/a.log', 'new'), file('d/b.txt')];
    expect(await leftBy(['d/a.log', 'd/c.txt'], { files, deletions: 'd/' })).toMatchObject({
      paths: ['.gitignore', 'd/b.txt'],
    });
  });

  test('deleting a path that does not exist is an error that names it, and changes nothing', async () => {
    expect(await rejectionOf(leftBy(['a'], { files: [file('b')], deletions: ['none'] }))).toMatchObject({
      code: 'ENTRY_NOT_FOUND',
    });
    for (const deletions of ['', '/', './', '..', '../a', 'a//b']) {
      expect(await rejectionOf(leftBy(['a'], { deletions }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });
});

test('exactly the named paths that are not uploaded are deleted', async () => {
  const path = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
  const paths = fc.uniqueArray(path, { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(paths, paths, paths, paths, async (there, uploaded, files, folders) => {
      const named = readDeletions([...files, ...folders.map((folder) => `${folder}/`)], []);
      const operations = await deletionsBeside(new Set(uploaded), named, async function* (folder) {
        for (const one of there)
          if (!folder || one.startsWith(`${folder}/`)) yield { path: one, type: 'file' as const };
      });
      const gone = (one: string) =>
        operations.some(({ kind, path: target }) =>
          kind === 'deletedFile' ? one === target : one.startsWith(`${target}/`),
        );
      for (const one of there) {
        const wanted = files.includes(one) || folders.some((folder) => one.startsWith(`${folder}/`));
        expect(gone(one)).toBe(wanted && !uploaded.includes(one));
      }
      for (const one of uploaded) expect(gone(one)).toBe(false);
      // No server is asked to delete the same twice.
      for (const { path: target } of operations) {
        expect(operations.filter((other) => other.path === target).length).toBeLessThanOrEqual(
          files.includes(target) && folders.includes(target) ? 2 : 1,
        );
      }
    }),
    { seed: 13, numRuns: 500 },
  );
});
