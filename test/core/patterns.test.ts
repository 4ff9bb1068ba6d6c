import { readFile } from 'node:fs/promises';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeMatcher, selectPaths } from '../../src/core/patterns.ts';
import { holds } from '../support/property.ts';

interface FilterCase {
  paths: string[];
  allow: string[] | null;
  ignore: string[] | null;
  kept: string[];
}

async function fixture(name: string): Promise<unknown> {
  return JSON.parse(await readFile(new URL(name, import.meta.url), 'utf8'));
}

// Both files are what Python answered; make-cases.py beside them asks it again.
const fnmatchCases = (await fixture('./fnmatch-cases.json')) as [pattern: string, text: string, matches: boolean][];
const filterCases = (await fixture('./filter-cases.json')) as FilterCase[];

describe('makeMatcher', () => {
  test("says what Python's fnmatchcase says", () => {
    const answer = (pattern: string, text: string) => makeMatcher(pattern)(text);
    const wrong = fnmatchCases
      .map(([pattern, text, matches]) => ({ pattern, text, matches, got: answer(pattern, text) }))
      .filter(({ matches, got }) => matches !== got);
    expect(wrong).toEqual([]);
    // Neither all yes nor all no, or the cases would say little.
    const yes = fnmatchCases.filter(([, , matches]) => matches).length;
    expect(yes).toBeGreaterThan(200);
    expect(fnmatchCases.length - yes).toBeGreaterThan(200);
  });

  test('takes any text for a pattern', () => {
    holds(1000, fc.string({ unit: 'binary', maxLength: 20 }), (pattern) => {
      expect(typeof makeMatcher(pattern)(pattern)).toBe('boolean');
    });
    const marks = fc.string({
      unit: fc.constantFrom('[', ']', '!', '-', '^', '*', '?', '/', '\\', 'a', 'z', '\uffee', '🙂'),
    });
    holds(2000, marks, (pattern) => {
      expect(typeof makeMatcher(pattern)(pattern)).toBe('boolean');
    });
  });

  test('a text without marks is matched by itself alone', () => {
    const plain = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !/[*?[\\]|\/$/.test(text));
    holds(500, fc.tuple(plain, plain), ([text, other]) => {
      expect(makeMatcher(text)(text)).toBe(true);
      expect(makeMatcher(text)(other)).toBe(other === text);
    });
  });

  // Neither a pattern nor a path, which is whatever a repository holds, may stop a page for minutes. The limit
  // only ends the test when they do: what grows with a power of the length takes longer than any limit.
  test.each([
    ['stars in a row', `${'*'.repeat(24)}b`, 'a'.repeat(100)],
    ['stars with something between them', `${'*a'.repeat(24)}b`, 'a'.repeat(100)],
    ['folders of stars', `${'**/'.repeat(12)}b`, 'a/'.repeat(50)],
    ['a common pattern on a long path', '**/*.safetensors', 'a/'.repeat(5000)],
  ])('%s do not make it slow', (_, pattern, path) => {
    const select = () => selectPaths([path], String, { allow: [pattern] });
    expect(runInNewContext('select()', { select }, { timeout: 3000 })).toEqual([]);
  });
});

describe('selectPaths', () => {
  test('keeps what filter_repo_objects keeps', () => {
    const wrong = filterCases
      .map(({ paths, allow, ignore, kept }) => {
        const patterns = { allow: allow ?? undefined, ignore: ignore ?? undefined };
        return { paths, ...patterns, kept, got: selectPaths(paths, (path) => path, patterns) };
      })
      .filter(({ kept, got }) => JSON.stringify(kept) !== JSON.stringify(got));
    expect(wrong).toEqual([]);
    expect(filterCases.length).toBeGreaterThanOrEqual(200);
  });

  test('works on anything that has a path, and keeps the order', () => {
    const items = [{ path: 'b.json' }, { path: 'a.txt' }, { path: 'a.json' }];
    expect(selectPaths(items, (item) => item.path, { allow: ['*.json'] })).toEqual([items[0], items[2]]);
  });

  test('nothing named is all, an empty list of what is allowed is nothing', () => {
    expect(selectPaths(['a'], String, {})).toEqual(['a']);
    expect(selectPaths(['a'], String, { allow: [] })).toEqual([]);
    expect(selectPaths(['a'], String, { ignore: [] })).toEqual(['a']);
    expect(selectPaths(['a', 'b'], String, { allow: ['*'], ignore: ['a'] })).toEqual(['b']);
  });
});
