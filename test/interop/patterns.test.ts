import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { makeMatcher, selectPaths } from '../../src/core/patterns.ts';
import { native } from './tools.ts';

interface Cases {
  fnmatch: [pattern: string, text: string, matches: boolean][];
  filters: { paths: string[]; allow: string[] | null; ignore: string[] | null; kept: string[] }[];
}

const script = fileURLToPath(new URL('../core/make-cases.py', import.meta.url));

// Other cases in every run: the kept ones are in test/repo. The seed is in the name of a test that fails.
test.each([20260101, Math.floor(Math.random() * 2 ** 31)])(
  "patterns mean what Python's mean, seed %i",
  async (seed) => {
    const { fnmatch, filters } = await native<Cases>('filter_cases', { script, seed });
    const matchedWrongly = fnmatch.filter(([pattern, text, matches]) => makeMatcher(pattern)(text) !== matches);
    expect(matchedWrongly).toEqual([]);
    const filteredWrongly = filters
      .map(({ paths, allow, ignore, kept }) => {
        const patterns = { allow: allow ?? undefined, ignore: ignore ?? undefined };
        return { paths, ...patterns, kept, got: selectPaths(paths, String, patterns) };
      })
      .filter(({ kept, got }) => JSON.stringify(kept) !== JSON.stringify(got));
    expect(filteredWrongly).toEqual([]);
    expect(filters.length).toBeGreaterThanOrEqual(200);
    // Enough of them keep some paths and drop others, or they would say little.
    const telling = filters.filter(({ paths, kept }) => kept.length > 0 && kept.length < paths.length).length;
    expect(telling).toBeGreaterThanOrEqual(200);
  },
);
