/** Why a path cannot name a file of a repository, or `undefined` where it can. */
export function badPath(path: string): string | undefined {
  if (path === '') return 'it is empty';
  if (path.length > 4096) return 'it is too long';
  if (path.includes('\0')) return 'it holds a zero byte';
  const words = path.split('/');
  if (words.some((word) => word === '')) return 'it has an empty part';
  if (words.some((word) => word === '.' || word === '..')) return 'it steps out of its folder';
  if (words.some((word) => word.toLowerCase() === '.git')) return 'it names a .git folder';
  return undefined;
}

/** Every folder above a path, outermost first. */
export function foldersAbove(path: string): string[] {
  const folders: string[] = [];
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    folders.push(path.slice(0, slash));
  }
  return folders;
}
