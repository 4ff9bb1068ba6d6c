import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { isNeverUploaded } from '../core/patterns.ts';
import { ifPresent } from '../fs/if-present.ts';
import { commitFiles } from './commit-files.ts';
import type { HubContext } from './context.ts';
import { putFiles } from './put-files.ts';
import { isRepoName, type RepoId, typeOfPlural, typeOfPrefix } from './repo/repo-id.ts';
import { readIfExists } from './store/atomic-file.ts';

const COMMIT_ID = /^[0-9a-f]{40}$/;

/** A repository or bucket that was made of a folder. */
export interface SeededRepo extends RepoId {
  /** The newest one; a bucket has none. */
  commit?: string;
  /** True if there was anything to commit or to put into the bucket. */
  changed: boolean;
  /** Number of files it has now. */
  files: number;
}

/** A folder of files that is to be a repository. */
interface Source {
  id: RepoId;
  path: string;
  /** Links of files are followed as far as they lead below this folder, whose real path it is. */
  linksBelow?: string;
}

/**
 * Makes a repository of each `owner/name` folder (`datasets/…`, `spaces/…`, `kernels/…`), a bucket of each
 * `buckets/owner/name`, and a repository of each folder of a cache of
 * the Hub (`models--owner--name`), with one commit of what is new in it. Links are not followed, as they could lead out of the
 * folder, but for those by which a cache refers to its own blobs.
 */
export async function seed(context: HubContext, folder: string): Promise<SeededRepo[]> {
  const seeded: SeededRepo[] = [];
  for (const source of await findRepos(folder)) {
    const files = await findFiles(source);
    if (source.id.type === 'bucket') {
      const { changed } = await putFiles(context, source.id, Object.fromEntries(files));
      seeded.push({ ...source.id, changed, files: files.length });
      continue;
    }
    const { commit, changed } = await commitFiles(context, source.id, Object.fromEntries(files), {
      message: 'Seed',
      skipUnchanged: true,
    });
    seeded.push({ ...source.id, commit, changed, files: files.length });
  }
  return seeded;
}

async function findRepos(folder: string): Promise<Source[]> {
  const found: Source[] = [];
  for (const first of await foldersIn(folder)) {
    const cached = await cachedRepo(join(folder, first), first);
    if (cached) found.push(cached);
    const type = first === 'buckets' ? 'bucket' : typeOfPrefix(first);
    const owners = type ? await foldersIn(join(folder, first)) : [first];
    for (const owner of owners) {
      const home = type ? join(folder, first, owner) : join(folder, owner);
      for (const last of await foldersIn(home)) {
        const id: RepoId = { type: type ?? 'model', name: `${owner}/${last}` };
        if (isRepoName(id.name) && !isNeverUploaded(id.name.toLowerCase())) found.push({ id, path: join(home, last) });
      }
    }
  }
  return found;
}

/** The snapshot of `main`, or else the latest one, of a repository in a cache of the Hub. */
async function cachedRepo(path: string, folderName: string): Promise<Source | undefined> {
  const [plural, ...words] = folderName.split('--');
  const type = typeOfPlural(plural);
  const name = words.join('/');
  if (!type || !isRepoName(name)) return undefined;
  const snapshots = ((await ifPresent(() => foldersIn(join(path, 'snapshots')))) ?? []).filter((id) =>
    COMMIT_ID.test(id),
  );
  const main = (await readIfExists(join(path, 'refs', 'main')))?.toString().trim() ?? '';
  const latest = async () => {
    const times = await Promise.all(snapshots.map(async (id) => (await stat(join(path, 'snapshots', id))).mtimeMs));
    return snapshots[times.indexOf(Math.max(...times))];
  };
  const snapshot = snapshots.includes(main) ? main : await latest();
  if (snapshot === undefined) return undefined;
  return { id: { type, name }, path: join(path, 'snapshots', snapshot), linksBelow: await realpath(path) };
}

/** The files of a repository by their paths in it. */
async function findFiles({ path: root, linksBelow }: Source): Promise<[string, { file: string }][]> {
  const found: [string, { file: string }][] = [];
  const walk = async (folder: string, above: string) => {
    const entries = await readdir(folder, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = `${above}${entry.name}`;
      const here = join(folder, entry.name);
      if (isNeverUploaded(path.toLowerCase())) continue;
      if (entry.isFile()) found.push([path, { file: here }]);
      else if (entry.isDirectory()) await walk(here, `${path}/`);
      else if (entry.isSymbolicLink() && linksBelow !== undefined) {
        const file = await ifPresent(() => realpath(here));
        if (file?.startsWith(linksBelow + sep) && (await stat(file)).isFile()) found.push([path, { file }]);
      }
    }
  };
  await walk(root, '');
  return found;
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}
