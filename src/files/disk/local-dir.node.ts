import { createHash, randomBytes } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import type { Verified } from '../../core/content-hash.ts';
import { XetError } from '../../core/errors.ts';
import { rename, rm, stat, utimes } from '../../fs/disk.node.ts';
import { diskErrors, isOutOfSpace } from '../../fs/disk-errors.node.ts';
import { sharedBlobsDisabled } from '../../fs/env-folders.node.ts';
import { Fence, readBelow } from '../../fs/fence.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { checkCommit, checkEtag, realPath, repoFolderName, tryWithin, within } from '../../fs/safe-paths.node.ts';
import { tryTo, writeInOneStep } from '../../fs/small-files.node.ts';
import { isContentId, type ResolvedFile } from '../../hub/client.ts';
import { isCommit } from '../../hub/repo.ts';
import type { ListEntry, RepoId } from '../../hub/types.ts';
import type { ExistingFile, HeldFile } from '../held-file.ts';
import type { EarlierFile, FileSink, Place, RepoStore } from '../place.ts';
import type { FileFingerprint, VerifiedFiles } from '../verified-files.ts';
import { checkContent } from './content-check.node.ts';
import { copyIfRight } from './copy-file.node.ts';
import { HubCache } from './hub-cache.node.ts';
import { LocalNotes } from './local-metadata.node.ts';
import { openLockedSink } from './locked-sink.node.ts';
import { requireSpaceFor } from './required-space.node.ts';
import { SharedBlobs } from './shared-blobs.node.ts';
import { TreeFiles } from './tree-file.node.ts';

export interface LocalDirOptions {
  /** The user's folder. */
  folder: string;
  /** The Hub cache folder: what is there need not be fetched. */
  cacheDir: string;
  known: VerifiedFiles;
}

/** A folder of the user's own with the repository's paths, and notes about them as Python's client keeps them. */
export class LocalDir implements RepoStore {
  readonly #options: LocalDirOptions;
  readonly #root: string;
  readonly #fence: Fence;
  readonly #notes: LocalNotes;
  readonly #trees: TreeFiles;
  readonly #cache: HubCache;

  constructor(options: LocalDirOptions) {
    this.#options = options;
    this.#root = resolve(options.folder);
    this.#fence = new Fence(this.#root);
    this.#notes = new LocalNotes(this.#root, this.#fence);
    this.#trees = new TreeFiles(this.#notes.folder, this.#fence);
    this.#cache = new HubCache(options.cacheDir, options.known);
  }

  place(file: ResolvedFile, _revision: string): Place {
    const { cacheDir, known } = this.#options;
    return new LocalPlace(file, {
      root: this.#root,
      fence: this.#fence,
      notes: this.#notes,
      cacheDir,
      known,
    });
  }

  requireSpace(files: readonly ResolvedFile[]): Promise<void> {
    return requireSpaceFor(this.#root, files, async (file) => ({
      finished: [within(this.#root, file.path)],
      unfinished: stemOf(this.#notes, file),
    }));
  }

  /** Python's client keeps these in the Hub cache folder only; from there ours are left out, as no file goes there. */
  async commitOf(repo: RepoId, revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const ref = this.#ref(repo, revision);
    const commit = ref === undefined ? undefined : (await readBelow(this.#fence, ref))?.trim();
    return commit !== undefined && isCommit(commit) ? commit : this.#cache.commitOf(repo, revision);
  }

  async noteCommit(repo: RepoId, revision: string, commit: string): Promise<void> {
    const ref = this.#ref(repo, revision);
    if (ref === undefined || revision === commit || (await readBelow(this.#fence, ref)) === commit) return;
    await tryTo(async () => {
      await this.#notes.prepare();
      await this.#fence.makeFolder(dirname(ref));
      await writeInOneStep(ref, checkCommit(commit), this.#notes.folder);
    });
  }

  async tree(repo: RepoId, commit: string): Promise<ListEntry[] | undefined> {
    if (!isCommit(commit)) return undefined;
    return (await this.#trees.read(commit)) ?? this.#cache.tree(repo, commit);
  }

  async noteTree(_repo: RepoId, commit: string, entries: readonly ListEntry[]): Promise<void> {
    await tryTo(async () => {
      await this.#notes.prepare();
      await this.#trees.write(checkCommit(commit), entries);
    });
  }

  async knownMissing(repo: RepoId, commit: string, path: string): Promise<boolean> {
    if (!isCommit(commit)) return false;
    return (await this.#trees.entry(commit, path)) === 'missing' || this.#cache.knownMissing(repo, commit, path);
  }

  /** There is no place for such notes in a folder of files; a listing says the same of all of them. */
  async noteMissing(): Promise<void> {}

  /** A file that was put here for this commit, or for another one that has the same. */
  async find(_repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined> {
    if (!isCommit(commit)) return undefined;
    const target = tryWithin(this.#root, path);
    const metadata = target === undefined ? undefined : await this.#notes.read(path);
    if (target === undefined || !metadata) return undefined;
    if (metadata.commit !== commit && !(await this.#hasAt(commit, path, metadata.etag))) return undefined;
    const found = await ifPresent(() => stat(target));
    if (!found?.isFile() || !(await this.#fence.has(target))) return undefined;
    return { localPath: target, size: found.size, etag: metadata.etag };
  }

  /** The file that will be replaced. */
  async earlier({ path, commit, etag }: ResolvedFile): Promise<EarlierFile[]> {
    const target = tryWithin(this.#root, path);
    const metadata = target === undefined ? undefined : await this.#notes.read(path);
    const other = metadata !== undefined && metadata.commit !== commit && metadata.etag !== etag;
    return target !== undefined && other && (await this.#fence.has(target))
      ? [{ localPath: target, commit: metadata.commit }]
      : [];
  }

  folder(): string {
    return this.#root;
  }

  async #hasAt(commit: string, path: string, etag: string): Promise<boolean> {
    const entry = await this.#trees.entry(commit, path);
    return entry !== undefined && entry !== 'missing' && (entry.sha256 ?? entry.oid) === etag;
  }

  #ref(repo: RepoId, revision: string): string | undefined {
    return tryWithin(join(this.#notes.folder, 'xetkit', 'refs', repoFolderName(repo)), revision);
  }
}

interface LocalPlaceContext {
  root: string;
  fence: Fence;
  notes: LocalNotes;
  cacheDir: string;
  known: VerifiedFiles;
}

class LocalPlace implements Place {
  readonly #file: ResolvedFile;
  readonly #around: LocalPlaceContext;
  readonly #target: string;

  constructor(file: ResolvedFile, around: LocalPlaceContext) {
    checkEtag(file.etag);
    if (file.repo.type !== 'bucket') checkCommit(file.commit);
    if (NOTE.test(file.path)) {
      throw new XetError(
        'INVALID_ARGUMENT',
        `'${file.path}' cannot be put into a folder: clients keep their notes about it under such names. ` +
          'Download it into the Hub cache folder, without localDir.',
      );
    }
    this.#file = file;
    this.#around = around;
    this.#target = within(around.root, file.path);
  }

  existing(signal: AbortSignal): Promise<ExistingFile | undefined> {
    return diskErrors(this.#target, async () => {
      const verified = (await this.#checkTarget(signal)) ?? (await this.#copyFromCache(signal));
      return verified && { localPath: this.#target, verified };
    });
  }

  async openSink(options: Parameters<Place['openSink']>[0]): Promise<FileSink> {
    const { notes } = this.#around;
    const { path } = this.#file;
    await this.#around.fence.check(dirname(this.#target));
    await diskErrors(notes.folder, () => notes.prepare());
    return openLockedSink(
      {
        fence: this.#around.fence,
        stem: stemOf(notes, this.#file),
        pythonLock: notes.lockOf(path),
        publish: (finished, verified, look) => this.#put(finished, verified, look),
      },
      this.#file,
      options,
    );
  }

  async #checkTarget(signal: AbortSignal): Promise<Verified | undefined> {
    const { path, etag, commit, repo } = this.#file;
    const { notes, known, fence } = this.#around;
    // What is under its name elsewhere is not in this folder: the file takes the place of the link.
    if (!(await fence.has(this.#target))) return undefined;
    // Python's client keeps no notes about buckets either.
    if (repo.type === 'bucket') return checkContent(this.#target, this.#file, known, signal);
    const metadata = await notes.read(path);
    // An unchanged file that was something else then need not be read, unless the tag is of another kind.
    if (metadata && metadata.etag !== etag && metadata.etag.length === etag.length) return undefined;
    const verified = await checkContent(this.#target, this.#file, known, signal);
    if (verified && (metadata?.commit !== commit || metadata.etag !== etag)) {
      await tryTo(() => notes.write(path, commit, etag));
    }
    return verified;
  }

  /** Copies the file from the Hub cache folder, if it is there. */
  async #copyFromCache(signal: AbortSignal): Promise<Verified | undefined> {
    for (const source of await this.#sources()) {
      try {
        const verified = await this.#copy(source, signal);
        if (verified) return verified;
      } catch (error) {
        signal.throwIfAborted();
        // On a full disk a download has no place either; anything else may be due to the source.
        if (isOutOfSpace(error)) throw error;
      }
    }
    return undefined;
  }

  async #copy(source: string, signal: AbortSignal): Promise<Verified | undefined> {
    const { notes, known, fence } = this.#around;
    const { path } = this.#file;
    await notes.prepare();
    await fence.makeFolder(notes.unfinished);
    const unfinished = join(notes.unfinished, `${shortName(path)}.${randomBytes(4).toString('hex')}.incomplete`);
    try {
      const verified = await copyIfRight(source, unfinished, this.#file, known, signal);
      if (verified) await this.#put(unfinished, verified, await stat(unfinished, { bigint: true }));
      return verified;
    } finally {
      await rm(unfinished, { force: true });
    }
  }

  /** Files in the Hub cache folder that should be the right one. */
  async #sources(): Promise<string[]> {
    const { cacheDir } = this.#around;
    const { repo, commit, path, etag, size, xetHash } = this.#file;
    // A copy that cannot be checked is of no use.
    if (!isContentId(etag) || repo.type === 'bucket') return [];
    const folder = join(cacheDir, repoFolderName(repo));
    const shared = sharedBlobsDisabled() ? undefined : await new SharedBlobs(cacheDir).find(xetHash, size);
    const cache = Fence.ofCache(cacheDir);
    const sources: string[] = [];
    // Where there are no links, the file itself is in the snapshot.
    for (const candidate of [join(folder, 'blobs', etag), within(join(folder, 'snapshots', commit), path), shared]) {
      const found = candidate === undefined ? undefined : await ifPresent(() => stat(candidate));
      if (candidate === undefined || !found?.isFile() || found.size !== size) continue;
      const real = await realPath(candidate);
      if (real !== undefined && !sources.includes(real) && (await cache.has(candidate))) sources.push(real);
    }
    return sources;
  }

  /** Gives a finished file its name, in place of whatever has it. */
  async #put(finished: string, verified: Verified, look: FileFingerprint): Promise<string> {
    const { path, etag, commit, xetHash, mtimeMs, repo } = this.#file;
    const { notes, known, fence } = this.#around;
    await fence.makeFolder(dirname(this.#target));
    if (mtimeMs !== undefined) await tryTo(() => utimes(finished, mtimeMs / 1000, mtimeMs / 1000));
    const last = mtimeMs === undefined ? look : await stat(finished, { bigint: true });
    await rename(finished, this.#target);
    if (repo.type !== 'bucket') await tryTo(() => notes.write(path, commit, etag));
    await known.remember(this.#target, { etag, xetHash, verified }, last);
    return this.#target;
  }
}

/** True for paths that clients would take for their own metadata, ignoring case as some file systems do. */
const NOTE = /^\.cache(?:\/huggingface(?:\/.*)?)?$/is;

/** Path of an unfinished file without its endings. */
const stemOf = ({ unfinished }: LocalNotes, { path, etag }: ResolvedFile) =>
  join(unfinished, `${shortName(path)}.${checkEtag(etag)}`);

/** A short name that stands for a path in a repository. */
function shortName(path: string): string {
  return createHash('sha1').update(path).digest('base64url').slice(0, 16);
}
