import { checkNames } from '../../snapshot/names.ts';

/**
 * Reason why a path cannot name a file of a repository; undefined if it can. What clients refuse on every system, or on
 * most, is refused here as well: one file could make a repository that nobody can download. Control characters are, too.
 */
export function badPath(path: string): string | undefined {
  if (path.length > 4096) return 'it is too long';
  if (/\p{Cc}/u.test(path)) return 'it holds a control character';
  return checkNames([path]).unusable.find(({ on }) => on.includes('other'))?.reason;
}

/** Every folder above a path, outermost first. */
export function foldersAbove(path: string): string[] {
  const folders: string[] = [];
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    folders.push(path.slice(0, slash));
  }
  return folders;
}
