import { createHash, type Hash } from 'node:crypto';

/** One file of a commit. */
export interface TreeFile {
  /** Bytes of the content itself, also where git holds a pointer. */
  size: number;
  /** Git's id of what it stores: the content, or the pointer to it. */
  oid: string;
  lfs?: { sha256: string; pointerSize: number };
  xetHash?: string;
}

/** Path → file, in path order. */
export type Tree = Map<string, TreeFile>;

/** A folder's content one level down. */
export interface FolderEntry {
  path: string;
  /** `undefined` for a folder. */
  file: TreeFile | undefined;
}

export function sortedTree(entries: Iterable<[string, TreeFile]>): Tree {
  return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

export function encodeTree(tree: Tree): string {
  return JSON.stringify([...tree]);
}

export function decodeTree(text: string): Tree {
  return new Map(JSON.parse(text) as [string, TreeFile][]);
}

export function treeId(encoded: string): string {
  return createHash('sha1').update('tree\0').update(encoded).digest('hex');
}

/**
 * Entries of a folder (`''` is the root), folders first; with `recursive` also everything below. Undefined if the
 * folder does not exist.
 */
export function listFolder(tree: Tree, folder: string, recursive: boolean): FolderEntry[] | undefined {
  if (folder !== '' && !folderIds(tree).has(folder)) return undefined;
  const start = folder === '' ? '' : `${folder}/`;
  const folders = new Set<string>();
  const files: FolderEntry[] = [];
  for (const [path, file] of tree) {
    if (!path.startsWith(start)) continue;
    let slash = path.indexOf('/', start.length);
    if (recursive || slash < 0) files.push({ path, file });
    for (; slash >= 0; slash = recursive ? path.indexOf('/', slash + 1) : -1) folders.add(path.slice(0, slash));
  }
  return [...[...folders].sort().map((path) => ({ path, file: undefined })), ...files];
}

const foldersOfTrees = new WeakMap<Tree, ReadonlyMap<string, string>>();

/** The folders of a tree, each with an id that changes with anything below it. Made once for each tree. */
export function folderIds(tree: Tree): ReadonlyMap<string, string> {
  const known = foldersOfTrees.get(tree);
  if (known) return known;
  const ids = hashFolders(tree);
  foldersOfTrees.set(tree, ids);
  return ids;
}

function hashFolders(tree: Tree): ReadonlyMap<string, string> {
  const contents = new Map<string, Hash>();
  /** The digest of what lies in a folder; folders above that hold nothing but folders are made known too. */
  const contentOf = (folder: string): Hash => {
    const known = contents.get(folder);
    if (known) return known;
    const digest = createHash('sha1').update('folder\0');
    contents.set(folder, digest);
    const above = folderOf(folder);
    if (above !== undefined) contentOf(above);
    return digest;
  };
  const enter = (path: string, oid: string) => {
    const folder = folderOf(path);
    if (folder !== undefined) contentOf(folder).update(`${path.slice(folder.length + 1)}\0${oid}\n`);
  };
  for (const [path, { oid }] of tree) enter(path, oid);
  const ids = new Map<string, string>();
  // Longer paths come first, so an id is ready when the folder above needs it.
  for (const [folder, digest] of [...contents].sort(([a], [b]) => b.length - a.length)) {
    const id = digest.digest('hex');
    ids.set(folder, id);
    enter(folder, id);
  }
  return ids;
}

function folderOf(path: string): string | undefined {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? undefined : path.slice(0, slash);
}

/** The pointer that git holds for a large file. */
export function pointerText(sha256: string, size: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`;
}
