import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { commitFiles } from './commit-files.ts';
import type { HubContext } from './context.ts';
import { isRepoName, type RepoId, typeOfPlural } from './repo/repo-id.ts';

/** A repository that was made of a folder. */
export interface SeededRepo extends RepoId {
  /** The newest one. */
  commit: string;
  /** Whether there was anything to commit. */
  changed: boolean;
  /** How many files it has now. */
  files: number;
}

/**
 * Makes a repository of each `owner/name` folder (`datasets/owner/name`, `spaces/owner/name`), with one commit
 * of what is new in it. Links are not followed: they could lead out of the folder.
 */
export async function seed(context: HubContext, folder: string): Promise<SeededRepo[]> {
  const seeded: SeededRepo[] = [];
  for (const { id, path } of await findRepos(folder)) {
    const files = await findFiles(path);
    const named = files.map((file): [string, { file: string }] => [
      relative(path, file).split(sep).join('/'),
      { file },
    ]);
    const options = { message: 'Seed', skipUnchanged: true };
    const { commit, changed } = await commitFiles(context, id, Object.fromEntries(named), options);
    seeded.push({ ...id, commit, changed, files: files.length });
  }
  return seeded;
}

async function findRepos(folder: string): Promise<{ id: RepoId; path: string }[]> {
  const found: { id: RepoId; path: string }[] = [];
  for (const first of await foldersIn(folder)) {
    const type = first === 'datasets' || first === 'spaces' ? typeOfPlural(first) : undefined;
    const owners = type ? await foldersIn(join(folder, first)) : [first];
    for (const owner of owners) {
      const home = type ? join(folder, first, owner) : join(folder, owner);
      for (const last of await foldersIn(home)) {
        const id: RepoId = { type: type ?? 'model', name: `${owner}/${last}` };
        if (isRepoName(id.name)) found.push({ id, path: join(home, last) });
      }
    }
  }
  return found;
}

async function findFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isFile()) found.push(path);
    else if (entry.isDirectory() && entry.name.toLowerCase() !== '.git') found.push(...(await findFiles(path)));
  }
  return found;
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}
