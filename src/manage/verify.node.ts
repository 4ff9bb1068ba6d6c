import type { BigIntStats } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { isXetError } from '../core/errors.ts';
import { type OnProgress, ProgressMeter } from '../core/progress.ts';
import { hashMatches, isNewer, lookAt } from '../files/disk/content-check.node.ts';
import { SharedBlobs } from '../files/disk/shared-blobs.node.ts';
import { TreeFiles } from '../files/disk/tree-file.node.ts';
import type { VerifiedFiles } from '../files/verified-files.ts';
import { isDiskError } from '../fs/cache-folder.node.ts';
import { diskErrors } from '../fs/disk-errors.node.ts';
import { Fence } from '../fs/fence.node.ts';
import { isBelow, realPath } from '../fs/safe-paths.node.ts';
import { isContentId } from '../hub/client.ts';
import { type CachedRepo, type CacheScan, cachedRepoText, filesOf } from './cached-repo.ts';
import { linkTarget } from './scan.node.ts';
import type { CheckedBlob } from './types.ts';

export type { CheckedBlob };

export interface VerifyOptions {
  /** Repositories of the scan. Default: all. */
  repos?: readonly CachedRepo[];
  signal?: AbortSignal;
  /** Removes wrong files and the links to them. Default: false. */
  repair?: boolean;
  /** Receives the results. */
  known?: VerifiedFiles;
  /** Called after each file. */
  onFile?: (checked: CheckedBlob) => void;
  onProgress?: OnProgress;
}

export interface VerifyResult {
  checked: number;
  bytes: number;
  wrong: CheckedBlob[];
  unknown: CheckedBlob[];
  unreadable: CheckedBlob[];
}

/** Hashes all content of repositories, regardless of notes on verified files, and reports missing files. */
export async function verifyCache(scan: CacheScan, options: VerifyOptions = {}): Promise<VerifyResult> {
  const { repos = scan.repos, signal = new AbortController().signal, repair = false, known, onFile } = options;
  const result: VerifyResult = { checked: 0, bytes: 0, wrong: [], unknown: [], unreadable: [] };
  const work = repos.flatMap(contentOf);
  const bytes = work.reduce((sum, { size }) => sum + size, 0);
  const meter = new ProgressMeter({ files: work.length, bytes }, options.onProgress);
  if (work.length > 0) meter.phase('verifying');
  const checking = new Checking({ known, meter, signal });
  const repairing = new Repair(scan);
  for (const content of work) {
    signal.throwIfAborted();
    const checked = await checking.check(content);
    if (checked) {
      if (checked.verdict === 'wrong' && repair) await repairing.tryToRemove(checked);
      if (checked.verdict !== 'unreadable') {
        result.checked++;
        result.bytes += checked.size;
      }
      if (checked.verdict === 'wrong') result.wrong.push(checked);
      if (checked.verdict === 'unknown') result.unknown.push(checked);
      if (checked.verdict === 'unreadable') result.unreadable.push(checked);
      onFile?.(checked);
    }
    meter.fileDone();
  }
  for (const repo of repos) {
    for (const missing of await missingFrom(repo)) {
      signal.throwIfAborted();
      if (repair) await repairing.tryToRemove(missing);
      result.wrong.push(missing);
      onFile?.(missing);
    }
  }
  return result;
}

/** Returns targets of broken links that are still missing. */
async function missingFrom(repo: CachedRepo): Promise<CheckedBlob[]> {
  const missing = new Map<string, CheckedBlob>();
  for (const link of repo.brokenLinks) {
    const target = await diskErrors(link, () => linkTarget(link));
    if (target === undefined || (await realPath(link)) !== undefined) continue;
    const path = resolve(dirname(link), target);
    const blob: CheckedBlob = missing.get(path) ?? {
      repo: cachedRepoText(repo),
      localPath: path,
      etag: basename(path),
      size: 0,
      verdict: 'missing',
      snapshotPaths: [],
      removed: false,
    };
    blob.snapshotPaths.push(link);
    missing.set(path, blob);
  }
  return [...missing.values()];
}

/** A file with content, and the snapshot files that use it. */
interface Content {
  repo: CachedRepo;
  trees: TreeFiles;
  path: string;
  /** Size in bytes at the time of the scan. */
  size: number;
  users: { commit: string; file: string; path: string }[];
}

function contentOf(repo: CachedRepo): Content[] {
  const found = new Map<string, Content>();
  // Shared, because it reads the listing of a commit once for many files.
  const trees = new TreeFiles(repo.path, Fence.ofCache(dirname(repo.path)));
  const at = (path: string, size: number): Content => {
    const known = found.get(path) ?? { repo, trees, path, size, users: [] };
    found.set(path, known);
    return known;
  };
  for (const { commit, files } of repo.revisions) {
    for (const { blob, size, file, path } of files) at(blob, size).users.push({ commit, file, path });
  }
  for (const { path, size } of repo.unused) at(path, size);
  return [...found.values()];
}

interface CheckingParts {
  known: VerifiedFiles | undefined;
  meter: ProgressMeter;
  signal: AbortSignal;
}

type Verdict = Exclude<CheckedBlob['verdict'], 'missing'>;

class Checking {
  readonly #parts: CheckingParts;
  /** Results by etag and real path: repositories may share content. */
  readonly #hashed = new Map<string, Verdict>();

  constructor(parts: CheckingParts) {
    this.#parts = parts;
  }

  /** Resolves to undefined for a file that was removed meanwhile. */
  async check(content: Content): Promise<CheckedBlob | undefined> {
    const { repo, path, users } = content;
    const before = await lookAt(path);
    if (!before) return undefined;
    const size = Number(before.size);
    const expected = await expectedOf(content);
    const key = `${expected.etag} ${await realPath(path)}`;
    let verdict = isContentId(expected.etag) ? this.#hashed.get(key) : 'unknown';
    if (verdict) {
      this.#parts.meter.content(size, users[0]?.file ?? basename(path));
    } else {
      verdict = await this.#hash(content, expected.etag, size);
      this.#hashed.set(key, verdict);
      await this.#note(path, expected, verdict, before);
    }
    const files = users.map((user) => user.path);
    return {
      repo: cachedRepoText(repo),
      localPath: path,
      etag: expected.etag,
      size,
      verdict,
      snapshotPaths: files,
      removed: false,
    };
  }

  async #hash({ path, users }: Content, etag: string, size: number): Promise<Verdict> {
    const { meter, signal } = this.#parts;
    const name = users[0]?.file ?? basename(path);
    let counted = 0;
    const onBytes = async (bytes: Uint8Array) => {
      counted += bytes.length;
      meter.content(bytes.length, name);
    };
    try {
      return (await hashMatches(path, etag, size, signal, onBytes)) ?? 'wrong';
    } catch (error) {
      signal.throwIfAborted();
      if (!isDiskError(error)) throw error;
      // The disk fails; otherwise the file may be fine for other users or later.
      return error.code === 'EIO' ? 'wrong' : 'unreadable';
    } finally {
      meter.content(Math.max(0, size - counted), name);
    }
  }

  /** Notes verified files, so that they need not be hashed again, and forgets wrong ones. */
  async #note(path: string, expected: Expected, verdict: Verdict, before: BigIntStats): Promise<void> {
    const { known } = this.#parts;
    if (verdict === 'wrong') await known?.forget(path);
    if (!known || verdict === 'wrong' || verdict === 'unknown' || verdict === 'unreadable') return;
    if (isNewer(await lookAt(path), before)) return;
    if (await known.check(path, expected.etag)) return;
    await known.remember(path, { ...expected, verified: verdict }, before);
  }
}

interface Expected {
  /** Empty if unknown. */
  etag: string;
  xetHash: string | undefined;
}

/** Blobs are named after their etag; for a copy in a snapshot, the listing of its commit says it. */
async function expectedOf({ trees, path, users }: Content): Promise<Expected> {
  const [first] = users;
  const entry = first && (await trees.entry(first.commit, first.file));
  const listed =
    entry === undefined || entry === 'missing'
      ? { etag: '', xetHash: undefined }
      : { etag: entry.sha256 ?? entry.oid, xetHash: entry.xetHash };
  if (users.some((user) => user.path === path)) return listed;
  const etag = basename(path);
  return { etag, xetHash: listed.etag === etag ? listed.xetHash : undefined };
}

/** Removes wrong files: first the links, then their targets. */
class Repair {
  readonly #scan: CacheScan;
  readonly #store: SharedBlobs;
  readonly #fence: Fence;

  constructor(scan: CacheScan) {
    this.#scan = scan;
    this.#store = new SharedBlobs(scan.path);
    this.#fence = Fence.ofCache(scan.path);
  }

  async tryToRemove(checked: CheckedBlob): Promise<void> {
    try {
      await diskErrors(checked.localPath, () => this.#remove(checked));
      checked.removed = true;
    } catch (error) {
      if (!isXetError(error)) throw error;
      // The verification continues with other files.
      checked.failure = error.message;
    }
  }

  async #remove({ localPath: path, snapshotPaths: files }: CheckedBlob): Promise<void> {
    for (const file of files) await this.#removeFile(file);
    const entry = await this.#store.targetOf(path);
    if (entry !== undefined) files.push(...(await this.#dropShared(entry, path)));
    // A link may lead out of the folder, to foreign files.
    if (isBelow(path, this.#scan.path)) await this.#removeFile(path);
  }

  /** Removes a file or a link, unless another link on the way to it leads out of the cache folder. */
  async #removeFile(path: string): Promise<void> {
    await this.#fence.check(dirname(path));
    await rm(path, { force: true });
  }

  /** Removes wrong shared content from all repositories. Returns the snapshot files of other repositories. */
  async #dropShared(entry: string, except: string): Promise<string[]> {
    const files: string[] = [];
    for (const repo of this.#scan.repos) {
      for (const { path, blob } of [...filesOf(repo), ...repo.unused.map((each) => ({ ...each, blob: each.path }))]) {
        if (blob === except || (await this.#store.targetOf(blob)) !== entry) continue;
        if (path !== blob) files.push(path);
      }
    }
    const blobs = (await this.#store.references(entry)) ?? [];
    for (const path of [...files, ...blobs]) await this.#removeFile(path);
    await this.#store.drop(entry);
    return files;
  }
}
