import type { ResolvedFile } from '../hub/client.ts';
import type { ListEntry, RepoId } from '../hub/types.ts';
import type { HeldFile } from './held-file.ts';
import type { EarlierFile, Place, RepoStore } from './place.ts';

/** A store that is another one, but for what is made otherwise of it. */
export class DelegatingStore implements RepoStore {
  protected readonly store: RepoStore;

  constructor(store: RepoStore) {
    this.store = store;
  }

  place(file: ResolvedFile, revision: string): Place {
    return this.store.place(file, revision);
  }

  async requireSpace(files: readonly ResolvedFile[]): Promise<void> {
    await this.store.requireSpace?.(files);
  }

  find(repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined> {
    return this.store.find(repo, commit, path);
  }

  commitOf(repo: RepoId, revision: string): Promise<string | undefined> {
    return this.store.commitOf(repo, revision);
  }

  noteCommit(repo: RepoId, revision: string, commit: string): Promise<void> {
    return this.store.noteCommit(repo, revision, commit);
  }

  tree(repo: RepoId, commit: string): Promise<ListEntry[] | undefined> {
    return this.store.tree(repo, commit);
  }

  noteTree(repo: RepoId, commit: string, entries: readonly ListEntry[]): Promise<void> {
    return this.store.noteTree(repo, commit, entries);
  }

  knownMissing(repo: RepoId, commit: string, path: string): Promise<boolean> {
    return this.store.knownMissing(repo, commit, path);
  }

  noteMissing(repo: RepoId, commit: string, path: string): Promise<void> {
    return this.store.noteMissing(repo, commit, path);
  }

  earlier(file: ResolvedFile): Promise<EarlierFile[]> {
    return this.store.earlier(file);
  }

  folder(repo: RepoId, commit: string): string {
    return this.store.folder(repo, commit);
  }
}
