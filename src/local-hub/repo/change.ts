import { printable } from '../../snapshot/names.ts';
import { Breath } from '../breath.ts';
import { HubError } from '../hub-error.ts';
import type { Commit, Repo } from './repo.ts';
import { badPath } from './repo-path.ts';
import { sortedTree, type Tree, type TreeFile } from './tree.ts';

/** Folders above a file. */
const MAX_DEPTH = 64;
const MAX_FILES = 500_000;
const MAX_FOLDER_DELETIONS = 1000;

export type TreeChange =
  | { kind: 'put'; path: string; file: TreeFile }
  | { kind: 'delete-file'; path: string }
  | { kind: 'delete-folder'; path: string };

export interface Change {
  operations: TreeChange[];
  title: string;
  description?: string;
  author: string;
  date: string;
  /** The head that the author knew. */
  parentCommit?: string;
}

/** Commits a change on top of `base` and moves the ref to it. The caller has the repository to itself. */
export async function commitChange(repo: Repo, ref: string, base: string | undefined, change: Change): Promise<Commit> {
  if (change.parentCommit !== undefined && change.parentCommit !== base) {
    throw new HubError(412, 'A commit has happened since. Please refresh and try again.');
  }
  const before = base === undefined ? new Map<string, TreeFile>() : await repo.tree(base);
  const after = await applyOperations(before, change.operations);
  const commit = await repo.addCommit(
    {
      parents: base === undefined ? [] : [base],
      title: change.title,
      message: change.description ?? '',
      author: change.author,
      date: change.date,
    },
    after,
  );
  await repo.setRef(ref, commit.id);
  return commit;
}

async function applyOperations(before: Tree, operations: TreeChange[]): Promise<Tree> {
  const files = new Map(before);
  const breath = new Breath();
  const added = new Set<string>();
  let folderDeletions = 0;
  for (const operation of operations) {
    await breath.take();
    if (operation.kind === 'put') {
      const bad = badPath(operation.path) ?? (isDeep(operation.path) ? 'it is too deep' : undefined);
      if (bad) throw new HubError(400, `Invalid path '${printable(operation.path)}': ${bad}.`);
      files.set(operation.path, operation.file);
      added.add(operation.path);
    } else if (operation.kind === 'delete-file') {
      if (!files.delete(operation.path)) throw missing(operation.path);
    } else {
      // Each looks at every path.
      if (++folderDeletions > MAX_FOLDER_DELETIONS) {
        throw new HubError(400, `A commit deletes at most ${MAX_FOLDER_DELETIONS} folders. Make several commits.`);
      }
      const start = operation.path.endsWith('/') ? operation.path : `${operation.path}/`;
      const inside = [...files.keys()].filter((path) => path.startsWith(start));
      if (inside.length === 0) throw missing(operation.path);
      for (const path of inside) files.delete(path);
    }
  }
  if (files.size > MAX_FILES) throw new HubError(400, `A repository holds at most ${MAX_FILES} files.`);
  await requireApart(files, added, breath);
  return sortedTree(files);
}

/** No path is both a file and a folder. What was there before is so already. */
async function requireApart(files: Tree, added: Set<string>, breath: Breath): Promise<void> {
  const clash = (path: string) => new HubError(400, `'${path}' cannot be both a file and a folder.`);
  for (const path of files.keys()) {
    await breath.take();
    const isNew = added.has(path);
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash);
      if (isNew ? files.has(folder) : added.has(folder) && files.has(folder)) throw clash(folder);
    }
  }
}

function isDeep(path: string): boolean {
  let folders = 0;
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) folders++;
  return folders > MAX_DEPTH;
}

function missing(path: string): HubError {
  return new HubError(404, `Cannot delete '${path}': it does not exist.`, 'EntryNotFound');
}
