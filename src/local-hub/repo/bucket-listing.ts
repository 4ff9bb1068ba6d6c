/** A file of a bucket. */
export interface BucketFile {
  /** 64 zeros for an empty file. */
  xetHash: string;
  size: number;
  /** Milliseconds since 1970, as the client said. */
  mtime?: number;
  /** Milliseconds since 1970. */
  uploadedAt: number;
  contentType?: string;
}

/** One row of a listing. */
export interface BucketEntry {
  path: string;
  /** `undefined` for a folder. */
  file: BucketFile | undefined;
  /** Milliseconds since 1970; of a folder the latest in it. */
  uploadedAt: number;
}

export type BucketFiles = ReadonlyMap<string, BucketFile>;

/** The page of a listing, and where the next one begins. */
export interface BucketPage {
  entries: BucketEntry[];
  next: string | undefined;
}

/** Sorts by UTF-16 code units, so that all paths that begin alike lie together. */
export function sortedPaths(paths: Iterable<string>): string[] {
  return [...paths].sort(compare);
}

/** Paths after a change, from the sorted paths before it and those that it touched: one pass, whatever the change. */
export function mergedPaths(before: readonly string[], touched: ReadonlySet<string>, files: BucketFiles): string[] {
  const added = sortedPaths([...touched].filter((path) => files.has(path)));
  const merged: string[] = [];
  let next = 0;
  for (const path of before) {
    if (touched.has(path)) continue;
    for (; next < added.length && (added[next] ?? '') < path; next++) merged.push(added[next] ?? '');
    merged.push(path);
  }
  for (; next < added.length; next++) merged.push(added[next] ?? '');
  return merged;
}

/**
 * One page of the paths that begin with a prefix, which is matched as text: `logs` also lists `logs.json`. Not
 * recursive, what lies deeper than the prefix, or than the folder of that name, is shown as folders. `from` is the
 * place where the page before ended.
 */
export function listPage(
  files: BucketFiles,
  paths: readonly string[],
  options: { prefix: string; recursive: boolean; limit: number; from: string | undefined },
): BucketPage {
  const { prefix, recursive, limit } = options;
  const start = options.from !== undefined && options.from > prefix ? options.from : prefix;
  const entries: BucketEntry[] = [];
  let at = lowerBound(paths, start);
  while (at < paths.length) {
    const path = paths[at] ?? '';
    if (!path.startsWith(prefix)) break;
    if (entries.length === limit) return { entries, next: path };
    const file = files.get(path);
    const slash = recursive ? -1 : path.indexOf('/', path.startsWith(`${prefix}/`) ? prefix.length + 1 : prefix.length);
    if (slash < 0) {
      if (file) entries.push({ path, file, uploadedAt: file.uploadedAt });
      at++;
      continue;
    }
    const folder = path.slice(0, slash);
    let uploadedAt = 0;
    for (; at < paths.length && paths[at]?.startsWith(`${folder}/`); at++) {
      uploadedAt = Math.max(uploadedAt, files.get(paths[at] ?? '')?.uploadedAt ?? 0);
    }
    entries.push({ path: folder, file: undefined, uploadedAt });
  }
  return { entries, next: undefined };
}

/** Index of the first path that is not before this text. */
function lowerBound(paths: readonly string[], text: string): number {
  let low = 0;
  let high = paths.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((paths[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Reason why a path cannot name a file of a bucket; undefined if it can. */
export function badKey(path: string): string | undefined {
  if (path === '') return 'it is empty';
  if (path.length > 4096) return 'it is too long';
  if (/^\/|\/$|\/\//.test(path)) return "a part of it between '/' is empty";
  if (path.startsWith('./') || path.includes('../') || path.endsWith('..')) return "it holds a '.' or '..' of folders";
  if (/[\\\0]/.test(path)) return 'it holds a backslash or a NUL';
  if (/\p{Surrogate}/u.test(path)) return 'it is not well-formed text';
  return undefined;
}
