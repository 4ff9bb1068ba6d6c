import { printable } from '../../repo/names.ts';
import { HubError } from '../hub-error.ts';
import type { Commit, Repo } from './repo.ts';
import { badPath, foldersAbove } from './repo-path.ts';
import { sortedTree, type Tree, type TreeFile } from './tree.ts';

export type Operation =
  | { kind: 'put'; path: string; file: TreeFile }
  | { kind: 'delete-file'; path: string }
  | { kind: 'delete-folder'; path: string };

export interface Change {
  operations: Operation[];
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
  const after = applyOperations(before, change.operations);
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

function applyOperations(before: Tree, operations: Operation[]): Tree {
  const files = new Map(before);
  for (const operation of operations) {
    if (operation.kind === 'put') {
      const bad = badPath(operation.path);
      if (bad) throw new HubError(400, `Invalid path '${printable(operation.path)}': ${bad}.`);
      files.set(operation.path, operation.file);
    } else if (operation.kind === 'delete-file') {
      if (!files.delete(operation.path)) throw missing(operation.path);
    } else {
      const start = `${operation.path.replace(/\/+$/, '')}/`;
      const inside = [...files.keys()].filter((path) => path.startsWith(start));
      if (inside.length === 0) throw missing(operation.path);
      for (const path of inside) files.delete(path);
    }
  }
  for (const path of files.keys()) {
    const clash = foldersAbove(path).find((folder) => files.has(folder));
    if (clash !== undefined) throw new HubError(400, `'${clash}' cannot be both a file and a folder.`);
  }
  return sortedTree(files);
}

function missing(path: string): HubError {
  return new HubError(404, `Cannot delete '${path}': it does not exist.`, 'EntryNotFound');
}
