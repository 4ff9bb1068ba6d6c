import type { LocalCaches } from '../cache/local-caches.ts';
import type { CodecPool } from '../codec/pool.ts';
import { untilAborted } from '../core/abortable.ts';
import { textsOf } from '../core/arguments.ts';
import type { MemoryBudget } from '../core/budget.ts';
import { gitBlobHash, type MakeContentHash } from '../core/content-hash.ts';
import { XetError } from '../core/errors.ts';
import { inParallel } from '../core/in-parallel.ts';
import { MetricsLog } from '../core/metrics.ts';
import { ProgressMeter } from '../core/progress.ts';
import type { Http } from '../http/http.ts';
import type { HubClient } from '../hub/client.ts';
import { pathsInfo } from '../hub/entries.ts';
import { listEntries } from '../hub/listing.ts';
import type { Operation } from '../hub/operations.ts';
import { DEFAULT_REVISION, parseRepo } from '../hub/repo.ts';
import { base64, type CommitTarget, HubWriter, type MadeCommit, type PreuploadResult } from '../hub/writer.ts';
import { inCommits } from './commit-batches.ts';
import { type Deletions, deletionsBeside, isEmpty, readDeletions } from './deletions.ts';
import { type Candidate, gather, type LocalFiles } from './gather.ts';
import { bytesSource, type Look } from './source-file.ts';
import { UploadEngine, type UploadProgress } from './upload-engine.ts';
import { explained } from './upload-failures.ts';
import type { MakeUploadHash } from './upload-hash.ts';
import type { UploadedFileInfo, UploadOptions, UploadResult } from './upload-types.ts';
import type { MakeBody } from './web-body.ts';

/** What differs among platforms. */
export interface UploadPlatform {
  makeUploadHash: MakeUploadHash;
  /** Default: bytes as they are. */
  makeBody?: MakeBody;
  /** Where there are files on a disk. */
  local?: LocalFiles;
}

export interface UploadParts extends UploadPlatform {
  http: Http;
  hub: HubClient;
  pool: CodecPool;
  budget: MemoryBudget;
  caches: LocalCaches;
  /** Attempts at a request. */
  attempts: number;
  makeContentHash: MakeContentHash;
  onWarning: (message: string) => void;
}

/** A file, and how it is to be uploaded. */
interface Planned extends Candidate, Look {
  preupload: PreuploadResult;
}

const MIB = 1024 * 1024;
/** More make the Hub's own work on a commit longer than its servers let it take. */
const MOST_OPERATIONS = 1000;
const MOST_COMMIT_BYTES = 64 * MIB;
/** Fewer than the listeners to one signal of which Node warns. */
const LOOKS_AT_ONCE = 8;
/** Longer ones are no small files, whatever the Hub says. */
const MOST_REGULAR_BYTES = 32 * MIB;
/** What a stream that does not end is told to be: the Hub takes no text of this length for a small file. */
const UNKNOWN_SIZE = 64 * MIB;

/**
 * Uploads files and commits them. Everything that a commit needs is stored before the first one is made; after an abort
 * or a failure what was stored is not sent again by the next try.
 */
export async function upload(
  parts: UploadParts,
  options: UploadOptions & { signal: AbortSignal },
): Promise<UploadResult> {
  return new Upload(parts, options).run();
}

class Upload {
  readonly #parts: UploadParts;
  readonly #options: UploadOptions;
  readonly #signal: AbortSignal;
  readonly #target: CommitTarget;
  readonly #named: Deletions;
  readonly #log: MetricsLog;
  readonly #http: Http;
  readonly #hub: HubClient;
  readonly #writer: HubWriter;
  /** Of the files that are not ignored, by path. */
  readonly #infos = new Map<string, UploadedFileInfo>();
  #sentBytes = 0;
  #knownBytes = 0;
  #totalBytes = 0;

  constructor(parts: UploadParts, options: UploadOptions & { signal: AbortSignal }) {
    const { repo, branch = DEFAULT_REVISION, createPr = false, signal } = options;
    this.#parts = parts;
    this.#options = options;
    this.#signal = signal;
    this.#target = { repo: parseRepo(repo), branch, createPr };
    this.#named = readDeletions(
      textsOf(options.deletions, 'deletions') ?? [],
      textsOf(options.deletePatterns, 'deletePatterns') ?? [],
    );
    this.#log = new MetricsLog(parts.http.log);
    this.#http = parts.http.with(this.#log);
    this.#hub = parts.hub.with(this.#http);
    this.#writer = new HubWriter(this.#http, this.#hub, parts.attempts);
  }

  async run(): Promise<UploadResult> {
    try {
      return await this.#run();
    } catch (error) {
      this.#signal.throwIfAborted();
      const { authorization } = await this.#hub.headers();
      throw explained(error, { ...this.#target, endpoint: this.#hub.endpoint, hasToken: authorization !== undefined });
    }
  }

  async #run(): Promise<UploadResult> {
    const started = performance.now();
    const candidates = await untilAborted(this.#signal, this.#gather());
    const { planned, head } = await this.#plan(candidates);
    const taken = planned.filter(({ preupload }) => !preupload.ignored);
    const regular = taken.filter((file) => !isLarge(file));
    await this.#checkCard(regular);
    const deletions = await this.#planDeletions(taken, head);
    const meter = new ProgressMeter(
      { files: taken.length, bytes: taken.reduce((sum, { size }) => sum + (size ?? 0), 0) },
      this.#options.onProgress,
    );
    meter.phase('uploading');
    const stored = await this.#storeLarge(taken.filter(isLarge), meter);
    meter.phase('committing');
    const title = this.#options.title ?? defaultTitle(taken, deletions);
    const commits = await this.#commitAll(title, this.#operations(deletions, stored, regular, meter), head);
    for (let left = taken.length; left > 0; left--) meter.fileDone();
    if (taken.length === 0) meter.phase('done');
    const last = commits.at(-1);
    return {
      commit: last?.oid ?? head ?? (await this.#headNow()),
      url: last?.url,
      pullRequestUrl: commits.find(({ pullRequestUrl }) => pullRequestUrl !== undefined)?.pullRequestUrl,
      commits: commits.map(({ oid, url, title }) => ({ oid, url, title })),
      files: planned.map((file) => this.#infos.get(file.path) ?? infoOf(file, 'ignored')),
      bytes: { total: this.#totalBytes, deduplicated: this.#knownBytes, sent: this.#sentBytes },
      requests: this.#log.totalRequests,
      seconds: (performance.now() - started) / 1000,
    };
  }

  async #gather(): Promise<Candidate[]> {
    const { files = [], include, exclude, force = false } = this.#options;
    const { local, onWarning } = this.#parts;
    const candidates = await gather(files, { include, exclude }, { http: this.#http, local, force, onWarning });
    if (candidates.length === 0 && isEmpty(this.#named)) {
      throw new XetError('INVALID_ARGUMENT', 'There is nothing to upload and nothing to delete.');
    }
    return candidates;
  }

  #planDeletions(taken: readonly Planned[], head: string | undefined): Promise<Operation[]> {
    const { repo, branch } = this.#target;
    const uploaded = new Set(taken.map(({ path }) => path));
    return deletionsBeside(uploaded, this.#named, (path) =>
      listEntries(this.#hub, repo, head ?? branch, { path, recursive: true, signal: this.#signal }),
    );
  }

  #headNow(): Promise<string> {
    const { repo, branch } = this.#target;
    return this.#hub.commitOf(repo, branch, this.#signal);
  }

  /** Looks at each file, and asks the Hub how it is to be uploaded. */
  async #plan(candidates: Candidate[]): Promise<{ planned: Planned[]; head: string | undefined }> {
    if (candidates.length === 0) return { planned: [], head: await this.#headNow() };
    const looked = await inParallel(candidates, LOOKS_AT_ONCE, async (candidate) => ({
      ...candidate,
      ...(await untilAborted(this.#signal, candidate.source.look(this.#signal))),
    }));
    // While the Hub is asked.
    this.#parts.pool.expect(looked.reduce((sum, { size }) => sum + (size ?? UNKNOWN_SIZE), 0));
    const questions = looked.map(({ path, size = UNKNOWN_SIZE, sample }) => ({ path, size, sample }));
    const gitIgnore = await this.#textOf(looked.find(({ path }) => path === '.gitignore'));
    const { results, head } = await this.#writer.preupload(this.#target, questions, gitIgnore, this.#signal);
    return { planned: looked.map((file, index) => ({ ...file, preupload: results[index] as PreuploadResult })), head };
  }

  /** The text of a small file that has a say in how others are uploaded. It is kept, as it is read only once. */
  async #textOf(file: (Candidate & Look) | undefined): Promise<string | undefined> {
    if (file?.size === undefined || file.size > MIB) return undefined;
    const bytes = await collect(file.source.bytes(this.#signal), this.#signal);
    file.source = bytesSource(bytes);
    return new TextDecoder().decode(bytes);
  }

  async #storeLarge(files: Planned[], meter: ProgressMeter): Promise<Operation[]> {
    if (files.length === 0) return [];
    const { pool, budget, caches, makeUploadHash, makeBody } = this.#parts;
    const signal = this.#signal;
    const engine = new UploadEngine({
      http: this.#http,
      tokens: this.#hub.tokens(this.#writer.tokenUrl(this.#target)),
      pool,
      budget,
      makeHash: makeUploadHash,
      makeBody,
      recipes: caches.stores.recipes,
    });
    let current = files[0]?.path ?? '';
    async function* reading(file: Planned) {
      current = file.path;
      for await (const piece of file.source.bytes(signal)) {
        if (file.size === undefined) meter.grow(piece.length);
        yield piece;
      }
    }
    const before: UploadProgress = {
      readBytes: 0,
      knownBytes: 0,
      refusedBytes: 0,
      storedBytes: 0,
      sentBytes: 0,
      xorbs: 0,
    };
    const { files: uploaded, progress } = await engine.upload(
      files.map((file) => ({ bytes: reading(file) })),
      {
        signal,
        likely: await this.#earlierVersions(files),
        onProgress: (now) => {
          meter.hashed(now.readBytes - before.readBytes);
          meter.cached(now.knownBytes - before.knownBytes);
          meter.network(now.sentBytes - before.sentBytes);
          meter.content(now.knownBytes + now.storedBytes - before.knownBytes - before.storedBytes, current);
          Object.assign(before, now);
        },
      },
    );
    this.#log.add('sent', progress.sentBytes);
    this.#sentBytes += progress.sentBytes;
    this.#knownBytes += progress.knownBytes;
    this.#totalBytes += progress.readBytes;
    const operations: Operation[] = [];
    for (const [index, { size, sha256, xetHash, terms, records }] of uploaded.entries()) {
      const file = files[index] as Planned;
      const unchanged = file.preupload.presentId === sha256;
      this.#infos.set(file.path, {
        ...infoOf(file, unchanged ? 'unchanged' : 'uploaded'),
        size,
        sha256,
        xetHash,
      });
      if (!unchanged) operations.push({ kind: 'lfsFile', path: file.path, id: sha256, size });
      // The next version of it needs no question about what it shares with this one.
      await caches.keepRecipe(xetHash, size, terms, records);
    }
    return operations;
  }

  /** Xet hashes of what has the paths of these files now: most of their chunks are likely the same. */
  async #earlierVersions(files: Planned[]): Promise<string[]> {
    const paths = files.filter(({ preupload }) => preupload.presentId !== undefined).map(({ path }) => path);
    if (paths.length === 0) return [];
    const { repo, branch } = this.#target;
    const entries = await pathsInfo(this.#hub, repo, branch, paths, this.#signal);
    return entries.flatMap(({ xetHash }) => xetHash ?? []);
  }

  /** The Hub refuses a commit with a card whose head it cannot read; that is better known before anything is sent. */
  async #checkCard(regular: Planned[]): Promise<void> {
    const text = await this.#textOf(regular.find(({ path }) => path === 'README.md'));
    if (text === undefined) return;
    const { errors, warnings } = await this.#writer.checkCard(this.#target.repo.type, text, this.#signal);
    for (const warning of warnings) this.#parts.onWarning(`README.md: ${warning}`);
    if (errors.length === 0) return;
    throw new XetError('INVALID_ARGUMENT', `The Hub does not take this README.md: ${errors.join(' ')}`);
  }

  /** All that is to be committed, deletions first. Small files are read only now, and sent with their commit. */
  async *#operations(
    deletions: Operation[],
    large: Operation[],
    regular: Planned[],
    meter: ProgressMeter,
  ): AsyncGenerator<Operation, void, undefined> {
    yield* deletions;
    yield* large;
    for (const file of regular) {
      const bytes = await collect(file.source.bytes(this.#signal), this.#signal);
      const hash = gitBlobHash(bytes.length, this.#parts.makeContentHash);
      hash.update(bytes);
      const id = await hash.digest();
      const unchanged = file.preupload.presentId === id;
      this.#infos.set(file.path, { ...infoOf(file, unchanged ? 'unchanged' : 'uploaded'), size: bytes.length });
      this.#totalBytes += bytes.length;
      if (unchanged) {
        this.#knownBytes += bytes.length;
        meter.cached(bytes.length);
      } else {
        this.#sentBytes += bytes.length;
        yield { kind: 'file', path: file.path, content: base64(bytes), id };
        meter.network(bytes.length);
      }
      meter.content(bytes.length, file.path);
    }
  }

  async #commitAll(
    title: string,
    operations: AsyncIterable<Operation>,
    head: string | undefined,
  ): Promise<(MadeCommit & { title: string })[]> {
    const { budget } = this.#parts;
    const { description = '', parentCommit } = this.#options;
    const limits = { operations: MOST_OPERATIONS, bytes: Math.min(MOST_COMMIT_BYTES, budget.limitBytes / 8) };
    const made: (MadeCommit & { title: string })[] = [];
    let target = this.#target;
    for await (const batch of inCommits(operations, limits)) {
      const before = made.at(-1);
      const text = {
        title: batch.last && !before ? title : `${title} (part ${batch.part})`,
        description,
        // Nobody else's commit may come between the parts of one that is made for a certain head.
        parent: parentCommit && (before?.oid ?? parentCommit),
      };
      // The lines, and the body that is made of them.
      const heldBytes = 2 * batch.bytes;
      await budget.acquire(heldBytes, () => true, this.#signal);
      try {
        const commit = await this.#writer.commit(target, text, batch.operations, before?.oid ?? head, this.#signal);
        made.push({ ...commit, title: text.title });
        if (target.createPr && commit.pullRequestUrl === undefined) {
          this.#parts.onWarning(
            `The server opened no pull request: it does not know of them, and made commit ${commit.oid} on '${target.branch}'.`,
          );
        }
      } finally {
        budget.release(heldBytes);
      }
      const pullRequest = /\/discussions\/(\d+)$/.exec(made[0]?.pullRequestUrl ?? '')?.[1];
      if (pullRequest !== undefined) target = { ...target, branch: `refs/pr/${pullRequest}`, createPr: false };
    }
    return made;
  }
}

/** Whether a file goes to the CAS. Nothing is empty there. */
function isLarge({ size, preupload }: Planned): boolean {
  return size !== 0 && (preupload.mode === 'lfs' || size === undefined || size > MOST_REGULAR_BYTES);
}

function infoOf(file: Planned, status: UploadedFileInfo['status']): UploadedFileInfo {
  const { path, size } = file;
  return { path, size, sha256: undefined, xetHash: undefined, mode: isLarge(file) ? 'lfs' : 'regular', status };
}

function defaultTitle(files: readonly { path: string }[], deletions: readonly { path: string }[]): string {
  const named = (all: readonly { path: string }[]) => (all.length === 1 ? all[0]?.path : `${all.length} files`);
  return `${files.length > 0 ? `Upload ${named(files)}` : `Delete ${named(deletions)}`} with xetkit`;
}

/** All of a small file. */
async function collect(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of pieces) {
    signal.throwIfAborted();
    parts.push(piece.slice());
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
