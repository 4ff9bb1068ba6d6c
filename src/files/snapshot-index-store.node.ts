import { inParallel } from '../core/in-parallel.ts';
import { tryWithin } from '../fs/safe-paths.node.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { repoText } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import { DelegatingStore } from './delegating-store.ts';
import type { DiskOffload } from './disk-offload.ts';
import type { ExistingFile, HeldFile } from './held-file.ts';
import { MAX_OFFLOADED_BYTES } from './offloaded-store.node.ts';
import type { BroughtFile, Place, RepoStore } from './place.ts';
import type { FilesSeen, SnapshotsSeen, VerifiedFingerprint } from './verified-files.ts';

/** Files that are looked at together. */
const LOOKS_AT_ONCE = 64;

/** Notes on a snapshot, and their state in this run. */
interface Noted {
  /** The folder of the snapshot. */
  root: string;
  files: FilesSeen;
  /** Local paths of unchanged files by path in the repository, until they are used. */
  same: Map<string, string>;
  /** Paths of files that were. */
  taken: Set<string>;
  /** Number of files that changed or have no note. */
  others: number;
}

/** A store of which snapshots cost one look at each file that has not changed since the last one. */
export class SnapshotIndexStore extends DelegatingStore {
  readonly #snapshots: SnapshotsSeen;
  readonly #help: DiskOffload | undefined;
  readonly #noted = new Map<string, Promise<Noted>>();

  constructor(store: RepoStore, snapshots: SnapshotsSeen, help: DiskOffload | undefined) {
    super(store);
    this.#snapshots = snapshots;
    this.#help = help;
  }

  /** Files that were there the last time are not counted: most likely a look says that they still are. */
  async expect(files: number, repo: RepoId, commit: string): Promise<void> {
    const noted = await this.#notedAt(repo, commit);
    await this.store.expect?.(files - noted.files.size, repo, commit);
  }

  override async find(repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined> {
    // Nobody reads a note of many files for the sake of one.
    const noted = await this.#noted.get(keyOf(repo, commit));
    return (noted && (await this.#findNoted(noted, repo, commit, path))) ?? this.store.find(repo, commit, path);
  }

  async #findNoted(noted: Noted, repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined> {
    const seen = noted.files.get(path);
    const at = seen && tryWithin(noted.root, path);
    if (seen && at !== undefined && (await this.#snapshots.isSame(at, seen))) {
      noted.same.set(path, at);
      return { localPath: at, size: seen.size, etag: seen.etag };
    }
    await this.store.expect?.(++noted.others, repo, commit);
    return undefined;
  }

  override place(file: ResolvedFile, revision: string): Place {
    // Mostly it is not needed.
    let opened: Place | undefined;
    const place = () => {
      opened ??= this.store.place(file, revision);
      return opened;
    };
    return {
      existing: async (signal) => (await this.#take(file)) ?? place().existing(signal),
      openSink: (options) => place().openSink(options),
    };
  }

  /** The file, if it was looked at a moment ago and is the one that is wanted. */
  async #take({ repo, commit, path, etag, size }: ResolvedFile): Promise<ExistingFile | undefined> {
    const noted = await this.#noted.get(keyOf(repo, commit));
    const at = noted?.same.get(path);
    const seen = noted?.files.get(path);
    if (!noted || at === undefined || seen?.etag !== etag || seen.size !== size) return undefined;
    // Who asks again wants to know what it is like then.
    noted.same.delete(path);
    noted.taken.add(path);
    return { localPath: at, verified: seen.verified };
  }

  async noteSnapshot(repo: RepoId, commit: string, brought: readonly BroughtFile[]): Promise<void> {
    const noted = await this.#notedAt(repo, commit);
    if (commit === '') return;
    const others = brought.filter(({ path: file }) => !noted.taken.has(file));
    if (others.length === 0) return;
    const files = new Map(noted.files);
    const looks = await this.#lookAt(others);
    for (const [index, { path: file }] of others.entries()) {
      const seen = looks[index];
      if (seen) files.set(file, seen);
      else files.delete(file);
    }
    await this.#snapshots.write(noted.root, commit, files);
    this.#noted.delete(keyOf(repo, commit));
  }

  /** Whoever has brought a file knows what it looked like: the thread that helps with small ones, or this one. */
  async #lookAt(files: readonly BroughtFile[]): Promise<(VerifiedFingerprint | undefined)[]> {
    const small = files
      .filter(({ size }) => size <= MAX_OFFLOADED_BYTES)
      .map(({ localPath: path, etag }) => ({ path, etag }));
    const there = (await this.#help?.run('looks', [small], async () => [])) ?? [];
    const known = new Map(small.map(({ path }, index) => [path, there[index]]));
    return inParallel(
      files,
      LOOKS_AT_ONCE,
      async ({ localPath: path, etag }) => known.get(path) ?? this.#snapshots.look(path, etag),
    );
  }

  #notedAt(repo: RepoId, commit: string): Promise<Noted> {
    const key = keyOf(repo, commit);
    let noted = this.#noted.get(key);
    if (!noted) {
      noted = this.#read(repo, commit);
      this.#noted.set(key, noted);
    }
    return noted;
  }

  async #read(repo: RepoId, commit: string): Promise<Noted> {
    const root = this.store.folder(repo, commit);
    // A bucket has no commits, so nothing is known to be the same.
    const files =
      (commit === '' ? undefined : await this.#snapshots.read(root, commit)) ?? new Map<string, VerifiedFingerprint>();
    return { root, files, same: new Map(), taken: new Set(), others: 0 };
  }
}

const keyOf = (repo: RepoId, commit: string) => `${repoText(repo)} ${commit}`;
