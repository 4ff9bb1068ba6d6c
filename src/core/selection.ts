import { makeMatcher, selectPaths } from './patterns.ts';

/** Selection of a repository's files. Default: all. */
export interface Selection {
  /** Paths of files, and of folders with a `/` at the end. Patterns narrow what is taken of folders. */
  files?: readonly string[] | undefined;
  /** With an empty list nothing is wanted. */
  allow?: readonly string[] | undefined;
  ignore?: readonly string[] | undefined;
}

/** Takes what is wanted out of a listing, in its order, and says which of the named are not there. */
export function select<T extends { path: string }>(
  entries: readonly T[],
  { files, allow, ignore }: Selection,
): { selected: T[]; missing: string[] } {
  const fitting = selectPaths(entries, ({ path }) => path, { allow, ignore });
  if (files === undefined) return { selected: fitting, missing: [] };
  const named = new Set(files.filter((name) => !isFolder(name)));
  const folders = files.filter(isFolder);
  const there = new Set(entries.map(({ path }) => path));
  const fits = new Set(fitting.map(({ path }) => path));
  const within = (path: string) => folders.some((folder) => path.startsWith(folder));
  return {
    selected: entries.filter(({ path }) => named.has(path) || (fits.has(path) && within(path))),
    missing: [
      ...[...named].filter((name) => !there.has(name)),
      ...folders.filter((folder) => !entries.some(({ path }) => path.startsWith(folder))),
    ],
  };
}

/** True if a name denotes a folder with its contents. */
export function isFolder(name: string): boolean {
  return name.endsWith('/');
}

export interface SelectionReport {
  /** Patterns that allow nothing, and what was probably meant. */
  unmatched: { pattern: string; hint: string | undefined }[];
  /** Number of paths that were allowed. */
  allowed: number;
  /** Patterns that take away what was allowed, and how many paths each. */
  ignoring: { pattern: string; paths: number }[];
}

/** Explanation of what patterns select. */
export function explainPatterns(
  paths: readonly string[],
  { allow, ignore }: Pick<Selection, 'allow' | 'ignore'>,
): SelectionReport {
  const allowed = selectPaths(paths, String, { allow });
  return {
    unmatched: (allow ?? [])
      .filter((pattern) => selectPaths(paths, String, { allow: [pattern] }).length === 0)
      .map((pattern) => ({ pattern, hint: nearMiss(pattern, paths) })),
    allowed: allowed.length,
    ignoring: (ignore ?? [])
      .map((pattern) => ({ pattern, paths: selectPaths(allowed, String, { allow: [pattern] }).length }))
      .filter(({ paths: taken }) => taken > 0),
  };
}

/** The report as sentences. */
export function reportText({ unmatched, allowed, ignoring }: SelectionReport): string {
  const sentences = unmatched.map(
    ({ pattern, hint }) => `'${pattern}' matches nothing${hint === undefined ? '' : `: ${hint}`}.`,
  );
  if (allowed > 0 && ignoring.length > 0) {
    const whole = ignoring.find(({ paths }) => paths === allowed);
    const takes = ignoring.map(({ pattern, paths }) => `'${pattern}' (${paths})`).join(', ');
    const files = allowed === 1 ? 'the only file' : `all ${allowed} files`;
    sentences.push(
      whole
        ? `The ignore pattern '${whole.pattern}' takes away ${files} that could be had.`
        : `The ignore patterns ${takes} together take away ${files} that could be had.`,
    );
  }
  return sentences.join(' ');
}

/** Suggests the intended name for a pattern or name without a match. */
export function nearMiss(pattern: string, paths: readonly string[]): string | undefined {
  const first = (other: string) => paths.find(makeMatcher(other));
  const normal = pattern.replaceAll('\\', '/');
  if (first(`${normal}/`) !== undefined) return `it is a folder, write '${normal}/'`;
  const bare = normal.replace(/^(?:\.?\/)+/, '');
  if (bare !== normal && first(bare) !== undefined) return `paths begin without '/', write '${bare}'`;
  if (first(normal) !== undefined) return 'it is a pattern, not a name: use allowPatterns (--include)';
  const lower = makeMatcher(normal.toLowerCase());
  const otherCase = paths.find((path) => lower(path.toLowerCase()));
  if (otherCase !== undefined) return `'${otherCase}' differs in case`;
  const deeper = first(`*/${normal}`);
  if (deeper !== undefined) return `'${deeper}' is in a folder, write '*/${normal}'`;
  if (normal.startsWith('**/')) {
    const top = first(normal.slice(3));
    if (top !== undefined) return `'${top}' is in no folder and '**/' needs one, write '*${normal.slice(3)}'`;
  }
  const [choice, inner = ''] = /\{([^{}]*,[^{}]*)\}/.exec(normal) ?? [];
  if (choice !== undefined && inner.split(',').some((word) => first(normal.replace(choice, word)) !== undefined))
    return 'braces have no meaning here, give one pattern for each choice';
  return undefined;
}
