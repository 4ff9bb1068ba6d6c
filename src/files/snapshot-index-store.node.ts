import { inParallel } from '../core/in-parallel.ts';
import { tryWithin } from '../fs/safe-paths.node.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { RepoId } from '../hub/types.ts';
import { DelegatingStore } from './delegating-store.ts';
import type { DiskOffload } from './disk-offload.ts';
import type { ExistingFile, HeldFile } from './held-file.ts';
import { MAX_OFFLOADED_BYTES } from './offloaded-store.node.ts';
import { type BroughtFile, type CommitFiles, commitFilesOf, type Place, type RepoStore } from './place.ts';
import type { FilesSeen, SnapshotsSeen, VerifiedFingerprint } from './verified-files.ts';

/** Files that are looked at together. */
const LOOKS_AT_ONCE = 64;

/** A store of which snapshots cost one look at each file that has not changed since the last one. */
export class SnapshotIndexStore extends DelegatingStore {
  readonly #snapshots: SnapshotsSeen;
  readonly #help: DiskOffload | undefined;

  constructor(store: RepoStore, snapshots: SnapshotsSeen, help: DiskOffload | undefined) {
    super(store);
    this.#snapshots = snapshots;
    this.#help = help;
  }

  /** Files that were there the last time are not announced: most likely a look says that they still are. */
  async commitFiles(repo: RepoId, commit: string, files: number): Promise<CommitFiles> {
    const root = this.store.folder(repo, commit);
    // A bucket has no commits, so nothing is known to be the same.
    const seen = commit === '' ? undefined : await this.#snapshots.read(root, commit);
    const inner = await commitFilesOf(this.store, repo, commit, files - (seen?.size ?? 0));
    if (commit === '') return inner;
    const index = { snapshots: this.#snapshots, help: this.#help, root, commit, seen: seen ?? new Map() };
    return new SeenFiles(inner, index);
  }
}

/** Notes on the last snapshot of a commit. */
interface SnapshotNotes {
  snapshots: SnapshotsSeen;
  help: DiskOffload | undefined;
  /** The folder of the snapshot. */
  root: string;
  commit: string;
  seen: FilesSeen;
}

/** The files of a commit, of which notes tell what they were like. */
class SeenFiles implements CommitFiles {
  readonly #inner: CommitFiles;
  readonly #notes: SnapshotNotes;
  /** Local paths of unchanged files by path in the repository, until they are used. */
  readonly #unchanged = new Map<string, string>();
  /** Paths of files that were used. */
  readonly #taken = new Set<string>();
  /** Number of files that changed or have no note. */
  #others = 0;

  constructor(inner: CommitFiles, notes: SnapshotNotes) {
    this.#inner = inner;
    this.#notes = notes;
  }

  async find(path: string): Promise<HeldFile | undefined> {
    const { snapshots, help, root } = this.#notes;
    const seen = this.#notes.seen.get(path);
    const at = seen && tryWithin(root, path);
    if (seen && at !== undefined && (await snapshots.isSame(at, seen))) {
      this.#unchanged.set(path, at);
      return { localPath: at, size: seen.size, etag: seen.etag };
    }
    help?.expect(++this.#others);
    return this.#inner.find(path);
  }

  place(file: ResolvedFile, revision: string): Place {
    // Mostly it is not needed.
    let opened: Place | undefined;
    const place = () => {
      opened ??= this.#inner.place(file, revision);
      return opened;
    };
    return {
      existing: async (signal) => this.#take(file) ?? place().existing(signal),
      openSink: (options) => place().openSink(options),
    };
  }

  /** The file, if it was looked at a moment ago and is the one that is wanted. */
  #take({ commit, path, etag, size }: ResolvedFile): ExistingFile | undefined {
    const at = this.#unchanged.get(path);
    const seen = this.#notes.seen.get(path);
    if (commit !== this.#notes.commit || at === undefined || seen?.etag !== etag || seen.size !== size)
      return undefined;
    // Who asks again wants to know what it is like then.
    this.#unchanged.delete(path);
    this.#taken.add(path);
    return { localPath: at, verified: seen.verified };
  }

  async noteSnapshot(brought: readonly BroughtFile[]): Promise<void> {
    const { snapshots, root, commit } = this.#notes;
    const others = brought.filter(({ path }) => !this.#taken.has(path));
    if (others.length === 0) return;
    const files = new Map(this.#notes.seen);
    const looks = await this.#lookAt(others);
    for (const [index, { path }] of others.entries()) {
      const look = looks[index];
      if (look) files.set(path, look);
      else files.delete(path);
    }
    await snapshots.write(root, commit, files);
  }

  /** Whoever has brought a file knows what it looked like: the thread that helps with small ones, or this one. */
  async #lookAt(files: readonly BroughtFile[]): Promise<(VerifiedFingerprint | undefined)[]> {
    const small = files
      .filter(({ size }) => size <= MAX_OFFLOADED_BYTES)
      .map(({ localPath: path, etag }) => ({ path, etag }));
    const { help, snapshots } = this.#notes;
    const there = (await help?.run('looks', [small], async () => [])) ?? [];
    const known = new Map(small.map(({ path }, index) => [path, there[index]]));
    return inParallel(
      files,
      LOOKS_AT_ONCE,
      async ({ localPath: path, etag }) => known.get(path) ?? snapshots.look(path, etag),
    );
  }
}
