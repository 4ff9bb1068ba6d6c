import { randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Verified } from '../../core/content-hash.ts';
import { readdir, rename, rm, stat, symlink, writeFile } from '../../fs/disk.node.ts';
import { diskErrors } from '../../fs/disk-errors.node.ts';
import { sharedBlobsDisabled, symlinksDisabled } from '../../fs/env-folders.node.ts';
import { Fence, readBelow } from '../../fs/fence.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { checkCommit, checkEtag, repoFolderName, tryWithin, within } from '../../fs/safe-paths.node.ts';
import { isFile, linkTarget, tagFolder, tryTo, writeInOneStep } from '../../fs/small-files.node.ts';
import type { ResolvedFile } from '../../hub/client.ts';
import { checkPath, isCommit } from '../../hub/repo.ts';
import type { ListEntry, RepoId } from '../../hub/types.ts';
import type { ExistingFile, HeldFile } from '../held-file.ts';
import type { EarlierFile, FileSink, Place, RepoStore } from '../place.ts';
import type { FileFingerprint, VerifiedFiles } from '../verified-files.ts';
import { checkContent } from './content-check.node.ts';
import { copyContent } from './copy-file.node.ts';
import { openLockedSink } from './locked-sink.node.ts';
import { LOCK_WORTH_BYTES } from './python-lock.node.ts';
import { requireSpaceFor } from './required-space.node.ts';
import { SharedBlobs } from './shared-blobs.node.ts';
import { TreeFiles } from './tree-file.node.ts';

/**
 * The folder that all Hub clients share, as Python's client lays it out: content under its entity tag, and links to
 * it by commit and path.
 */
export class HubCache implements RepoStore {
  readonly #folder: string;
  readonly #known: VerifiedFiles;
  readonly #shared: SharedBlobs;
  readonly #fence: Fence;
  readonly #trees = new Map<string, TreeFiles>();
  /** Notes written by this object; all files of a snapshot would write the same. */
  readonly #noted = new Set<string>();
  #tagged: Promise<void> | undefined;

  constructor(folder: string, known: VerifiedFiles) {
    this.#folder = resolve(folder);
    this.#known = known;
    this.#shared = new SharedBlobs(this.#folder);
    this.#fence = Fence.ofCache(this.#folder);
  }

  place(file: ResolvedFile, revision: string): Place {
    return new CachePlace(file, {
      cacheDir: this.#folder,
      repo: this.#repo(file.repo),
      known: this.#known,
      shared: this.#shared,
      tag: () => {
        this.#tagged ??= tryTo(() => tagFolder(this.#folder));
        return this.#tagged;
      },
      fence: this.#fence,
      noteRef: () => this.#noteRef(this.#repo(file.repo), revision, file.commit),
    });
  }

  requireSpace(files: readonly ResolvedFile[]): Promise<void> {
    return requireSpaceFor(this.#folder, files, async (file) => {
      const blob = blobOf(this.#repo(file.repo), file);
      const shared = sharedBlobsDisabled() ? undefined : await this.#shared.find(file.xetHash, file.size);
      return { finished: [blob, shared], unfinished: blob };
    });
  }

  async #noteRef(repo: string, revision: string, commit: string): Promise<void> {
    const note = `${repo} ${revision} ${commit}`;
    if (this.#noted.has(note)) return;
    await writeRef(this.#fence, repo, revision, commit);
    this.#noted.add(note);
  }

  async commitOf(repo: RepoId, revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const ref = tryWithin(join(this.#repo(repo), 'refs'), revision);
    const commit = ref === undefined ? undefined : (await readBelow(this.#fence, ref))?.trim();
    return commit !== undefined && isCommit(commit) ? commit : undefined;
  }

  async noteCommit(repo: RepoId, revision: string, commit: string): Promise<void> {
    const folder = this.#repo(repo);
    await tryTo(async () => {
      // A ref to a commit without a folder makes the whole repository count as damaged.
      await this.#fence.makeFolder(join(folder, 'snapshots', checkCommit(commit)));
      await this.#noteRef(folder, revision, commit);
    });
  }

  async tree(repo: RepoId, commit: string): Promise<ListEntry[] | undefined> {
    return isCommit(commit) ? this.#treesOf(repo).read(commit) : undefined;
  }

  async noteTree(repo: RepoId, commit: string, entries: readonly ListEntry[]): Promise<void> {
    await tryTo(() => this.#treesOf(repo).write(checkCommit(commit), entries));
  }

  async knownMissing(repo: RepoId, commit: string, path: string): Promise<boolean> {
    const note = this.#missingNote(repo, commit, path);
    if (note === undefined) return false;
    return (await isFile(note.path)) || (await this.#treesOf(repo).entry(commit, path)) === 'missing';
  }

  async noteMissing(repo: RepoId, commit: string, path: string): Promise<void> {
    const note = this.#missingNote(repo, commit, path);
    if (note === undefined) return;
    await tryTo(async () => {
      await this.#fence.makeFolder(dirname(note.path));
      await writeFile(note.path, '', { flag: 'wx' });
    });
  }

  async find(repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined> {
    const pointer = isCommit(commit) ? tryWithin(this.folder(repo, commit), path) : undefined;
    const found = pointer === undefined ? undefined : await ifPresent(() => stat(pointer));
    if (pointer === undefined || !found?.isFile() || !(await this.#fence.has(pointer))) return undefined;
    const etag = (await this.#etagOf(repo, pointer)) ?? (await this.#etagInTree(repo, commit, path)) ?? '';
    return { localPath: pointer, size: found.size, etag };
  }

  async earlier({ repo, commit, path, etag }: ResolvedFile): Promise<EarlierFile[]> {
    const commits = await ifPresent(() => readdir(join(this.#repo(repo), 'snapshots')));
    const found = await Promise.all(
      (commits ?? []).map(async (other) => {
        const held = other === commit ? undefined : await this.find(repo, other, path);
        const times = held && held.etag !== etag ? await ifPresent(() => stat(held.localPath)) : undefined;
        return held && times ? [{ localPath: held.localPath, commit: other, etag: held.etag, at: times.mtimeMs }] : [];
      }),
    );
    const latestFirst = found.flat().sort((a, b) => b.at - a.at);
    return latestFirst.filter((one, index) => latestFirst.findIndex((other) => other.etag === one.etag) === index);
  }

  folder(repo: RepoId, commit: string): string {
    return join(this.#repo(repo), 'snapshots', checkCommit(commit));
  }

  /** The name of the blob that a link leads to; undefined for a copy. */
  async #etagOf(repo: RepoId, pointer: string): Promise<string | undefined> {
    const target = await linkTarget(pointer);
    if (target === undefined) return undefined;
    const blob = resolve(dirname(pointer), target);
    return dirname(blob) === join(this.#repo(repo), 'blobs') ? basename(blob) : undefined;
  }

  async #etagInTree(repo: RepoId, commit: string, path: string): Promise<string | undefined> {
    const entry = await this.#treesOf(repo).entry(commit, path);
    return entry === undefined || entry === 'missing' ? undefined : (entry.sha256 ?? entry.oid);
  }

  #repo(repo: RepoId): string {
    return join(this.#folder, repoFolderName(repo));
  }

  #treesOf(repo: RepoId): TreeFiles {
    const folder = this.#repo(repo);
    let trees = this.#trees.get(folder);
    if (!trees) {
      trees = new TreeFiles(folder, this.#fence);
      this.#trees.set(folder, trees);
    }
    return trees;
  }

  #missingNote(repo: RepoId, commit: string, path: string): { root: string; path: string } | undefined {
    if (!isCommit(commit)) return undefined;
    const root = join(this.#repo(repo), '.no_exist', commit);
    const note = tryWithin(root, path);
    return note === undefined ? undefined : { root, path: note };
  }
}

const blobOf = (repo: string, { etag }: ResolvedFile) => join(repo, 'blobs', checkEtag(etag));

interface CachePlaceContext {
  cacheDir: string;
  /** The repository's folder in it. */
  repo: string;
  known: VerifiedFiles;
  shared: SharedBlobs;
  /** Says, once, that what is in the cache folder need not be backed up. */
  tag: () => Promise<void>;
  /** Around the cache folder. */
  fence: Fence;
  noteRef: () => Promise<void>;
}

class CachePlace implements Place {
  readonly #file: ResolvedFile;
  readonly #around: CachePlaceContext;
  readonly #blob: string;
  readonly #pointer: string;
  /** True if content shared with other repositories was found to be corrupt. */
  #sharedIsWrong = false;

  constructor(file: ResolvedFile, around: CachePlaceContext) {
    this.#file = file;
    this.#around = around;
    this.#blob = blobOf(around.repo, file);
    this.#pointer = within(join(around.repo, 'snapshots', checkCommit(file.commit)), file.path);
  }

  existing(signal: AbortSignal): Promise<ExistingFile | undefined> {
    return diskErrors(this.#pointer, async () => {
      const [pointer, blob] = await Promise.all([lookAt(this.#pointer), lookAt(this.#blob)]);
      const linked = isSame(pointer, blob);
      // What is under the file's name is that blob, or a copy of it, where links cannot be made.
      const inPlace = pointer && (await this.#check(linked ? this.#blob : this.#pointer, signal));
      const verified = inPlace ?? (await this.#linkExisting(linked ? undefined : blob, signal));
      if (!verified) return undefined;
      await tryTo(this.#around.noteRef);
      return { localPath: this.#pointer, verified };
    });
  }

  async openSink(options: Parameters<Place['openSink']>[0]): Promise<FileSink> {
    const { cacheDir, repo } = this.#around;
    const pythonLock = join(cacheDir, '.locks', basename(repo), `${this.#file.etag}.lock`);
    await this.#around.tag();
    return openLockedSink(
      {
        fence: this.#around.fence,
        stem: this.#blob,
        pythonLock,
        publish: (finished, verified, look) => this.#publish(finished, verified, look, !options.resume),
      },
      this.#file,
      options,
    );
  }

  async #linkExisting(blob: Look, signal: AbortSignal): Promise<Verified | undefined> {
    const verified = (blob && (await this.#check(this.#blob, signal))) ?? (await this.#takeShared(signal));
    if (verified) await this.#link(false);
    return verified;
  }

  /** Content that another repository in the cache folder has brought. */
  async #takeShared(signal: AbortSignal): Promise<Verified | undefined> {
    const { xetHash, size } = this.#file;
    if (xetHash === undefined || sharedBlobsDisabled() || symlinksDisabled()) return undefined;
    const entry = await this.#around.shared.find(xetHash, size);
    if (entry === undefined) return undefined;
    const verified = await this.#check(entry, signal);
    this.#sharedIsWrong = verified === undefined;
    if (!verified) return undefined;
    await this.#around.fence.makeFolder(dirname(this.#blob));
    return (await this.#around.shared.link(this.#blob, xetHash, size, signal)) ? verified : undefined;
  }

  async #check(path: string, signal: AbortSignal): Promise<Verified | undefined> {
    if (!(await this.#around.fence.has(path))) return undefined;
    return checkContent(path, this.#file, this.#around.known, signal);
  }

  async #publish(finished: string, verified: Verified, look: FileFingerprint, forced: boolean): Promise<string> {
    const { etag, xetHash, size } = this.#file;
    const { shared, known, noteRef } = this.#around;
    await rename(finished, this.#blob);
    const share = xetHash !== undefined && size >= LOCK_WORTH_BYTES && !sharedBlobsDisabled() && !symlinksDisabled();
    const isRight = async (entry: string) =>
      !forced && !this.#sharedIsWrong && (await this.#check(entry, new AbortController().signal)) !== undefined;
    const isShared = share && (await shared.publish(this.#blob, xetHash, size, isRight));
    await this.#link(!isShared);
    await tryTo(noteRef);
    await known.remember(this.#pointer, { etag, xetHash, verified }, look);
    return this.#pointer;
  }

  /**
   * Gives the blob its name in the snapshot: a relative link, so that the cache folder can be moved. Where there are
   * no links, what is new is moved there, and what others may use is copied.
   */
  async #link(isNew: boolean): Promise<void> {
    const [pointer, blob] = [this.#pointer, this.#blob];
    // Nothing is written when all is right: the folder may be one that can only be read.
    if (!isNew && isSame(await lookAt(pointer), await lookAt(blob))) return;
    await this.#around.fence.makeFolder(dirname(pointer));
    if (!symlinksDisabled() && (await this.#putLink())) return;
    if (isNew) {
      await rename(blob, pointer);
    } else {
      const unfinished = this.#unfinishedName();
      try {
        await copyContent(blob, unfinished);
        await rename(unfinished, pointer);
      } finally {
        await rm(unfinished, { force: true });
      }
    }
  }

  /** Creates a link; false if the system refuses. */
  async #putLink(): Promise<boolean> {
    const target = relative(dirname(this.#pointer), this.#blob);
    const made = await makeLink(target, this.#pointer);
    if (made !== 'exists') return made === 'made';
    if (isSame(await lookAt(this.#pointer), await lookAt(this.#blob))) return true;
    // What is there is replaced in one step. A link that stays behind in `blobs` is out of everybody's way.
    const aside = this.#unfinishedName();
    try {
      if ((await makeLink(target, aside)) !== 'made') return false;
      await rename(aside, this.#pointer);
      return true;
    } finally {
      await rm(aside, { force: true });
    }
  }

  #unfinishedName(): string {
    return `${this.#blob}.${randomBytes(4).toString('hex')}.incomplete`;
  }
}

/** Status of the file that a path leads to; undefined if there is none. */
type Look = BigIntStats | undefined;

const lookAt = (path: string): Promise<Look> => ifPresent(() => stat(path, { bigint: true }));

/** True if both are the same file. Always false on systems without inode numbers. */
function isSame(a: Look, b: Look): boolean {
  return a !== undefined && b !== undefined && a.ino !== 0n && a.ino === b.ino && a.dev === b.dev;
}

/** Codes of systems, and of file systems, that have no links or let us make none. */
const NO_LINKS = new Set(['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'UNKNOWN']);

async function makeLink(target: string, path: string): Promise<'made' | 'exists' | 'impossible'> {
  try {
    await symlink(target, path);
    return 'made';
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return 'exists';
    if (NO_LINKS.has(code)) return 'impossible';
    throw error;
  }
}

/** Commit of a revision; a commit is returned unchanged. */
async function writeRef(fence: Fence, repo: string, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const ref = within(join(repo, 'refs'), checkPath(revision));
  if ((await readBelow(fence, ref)) === commit) return;
  await fence.makeFolder(dirname(ref));
  // Aside of the folder: everything in it counts as a ref.
  await writeInOneStep(ref, commit, repo);
}
