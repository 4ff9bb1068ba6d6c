import type { SpawnWorker } from '../../../workers/spawn.ts';
import { XetError } from '../../core/errors.ts';
import { fileIn, folderAt, opfsRoot, parseOpfsPath } from '../../fs/opfs.ts';
import type { ResolvedFile } from '../../hub/client.ts';
import { isCommit, repoText } from '../../hub/repo.ts';
import type { ListEntry, RepoId } from '../../hub/types.ts';
import { formatTree, parseTree } from '../disk/tree-format.ts';
import type { HeldFile } from '../held-file.ts';
import type { OpenRepoStore, Place, RepoStore } from '../place.ts';
import { OpfsPlace } from './opfs-place.ts';
import { readNote, readSaved, writeNote } from './saved-notes.ts';

/** Opens a folder of the page's own storage (OPFS). */
export const openOpfsStore: OpenRepoStore = ({ localDir, spawnWorker }) => {
  if (localDir === undefined) {
    throw new XetError('INVALID_ARGUMENT', "Say with localDir which folder of the page's own storage it is to go to.");
  }
  const { folders, name } = parseOpfsPath(localDir);
  return new OpfsStore([...folders, name], spawnWorker);
};

/** A folder of the page's own storage that mirrors a repository. */
class OpfsStore implements RepoStore {
  readonly #folders: readonly string[];
  readonly #spawnWorker: SpawnWorker | undefined;

  constructor(folders: readonly string[], spawnWorker: SpawnWorker | undefined) {
    this.#folders = folders;
    this.#spawnWorker = spawnWorker;
  }

  place(file: ResolvedFile): Place {
    return new OpfsPlace({ file, path: this.#pathOf(file.path), spawnWorker: this.#spawnWorker });
  }

  async commitOf(repo: RepoId, revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const commit = await readNote('commits', this.#keyOf(repo, revision));
    return commit !== undefined && isCommit(commit) ? commit : undefined;
  }

  async noteCommit(repo: RepoId, revision: string, commit: string): Promise<void> {
    if ((await this.commitOf(repo, revision)) === commit) return;
    await writeNote('commits', this.#keyOf(repo, revision), commit);
  }

  async tree(_repo: RepoId, commit: string): Promise<ListEntry[] | undefined> {
    const text = await readNote('trees', commit);
    return text === undefined ? undefined : parseTree(text);
  }

  async noteTree(_repo: RepoId, commit: string, entries: readonly ListEntry[]): Promise<void> {
    const text = formatTree(entries);
    if (text !== undefined && (await readNote('trees', commit)) !== text) await writeNote('trees', commit, text);
  }

  async knownMissing(repo: RepoId, commit: string, path: string): Promise<boolean> {
    const tree = await this.tree(repo, commit);
    return tree !== undefined && !tree.some((entry) => entry.path === path);
  }

  /** A listing says the same of all files. */
  async noteMissing(): Promise<void> {}

  async find(repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined> {
    const { folders, name } = this.#pathOf(path);
    const full = [...folders, name].join('/');
    const note = await readSaved(full);
    if (!note || (note.commit !== commit && !(await this.#hasAt(repo, commit, path, note.etag)))) return undefined;
    const size = await sizeOf(folders, name);
    return size === note.size ? { localPath: full, size, etag: note.etag } : undefined;
  }

  /** Files here are not looked into for chunks of others. */
  async earlier(): Promise<[]> {
    return [];
  }

  folder(): string {
    return this.#folders.join('/');
  }

  async #hasAt(repo: RepoId, commit: string, path: string, etag: string): Promise<boolean> {
    const entry = (await this.tree(repo, commit))?.find((one) => one.path === path);
    return entry !== undefined && (entry.sha256 ?? entry.oid) === etag;
  }

  #pathOf(path: string) {
    const { folders, name } = parseOpfsPath(path);
    return { folders: [...this.#folders, ...folders], name };
  }

  #keyOf(repo: RepoId, revision: string): string {
    return [this.folder(), repo.type, repoText(repo), revision].join('\n');
  }
}

async function sizeOf(folders: readonly string[], name: string): Promise<number | undefined> {
  try {
    const file = await fileIn(await folderAt(await opfsRoot(), folders, false), name);
    return file && (await file.getFile()).size;
  } catch {
    return undefined;
  }
}
