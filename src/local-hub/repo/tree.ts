import { createHash } from 'node:crypto';
import { foldersAbove } from './repo-path.ts';

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

/** What lies in a folder (`''` is the root), folders first; with `recursive` also what lies below. `undefined`: no such folder. */
export function listFolder(tree: Tree, folder: string, recursive: boolean): FolderEntry[] | undefined {
  const start = folder === '' ? '' : `${folder}/`;
  const folders = new Set<string>();
  const files: FolderEntry[] = [];
  for (const [path, file] of tree) {
    if (!path.startsWith(start)) continue;
    const inside = foldersAbove(path).filter((above) => above.startsWith(start));
    const nearest = inside[0];
    if (recursive) for (const above of inside) folders.add(above);
    else if (nearest !== undefined) folders.add(nearest);
    if (recursive || nearest === undefined) files.push({ path, file });
  }
  if (files.length === 0 && folders.size === 0 && folder !== '') return undefined;
  return [...[...folders].sort().map((path) => ({ path, file: undefined })), ...files];
}

/** An id for a folder that changes with anything below it. */
export function folderId(tree: Tree, folder: string): string {
  const digest = createHash('sha1').update('folder\0');
  for (const [path, file] of tree) {
    if (path.startsWith(`${folder}/`)) digest.update(`${path.slice(folder.length + 1)}\0${file.oid}\n`);
  }
  return digest.digest('hex');
}

/** The pointer that git holds for a large file. */
export function pointerText(sha256: string, size: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`;
}
