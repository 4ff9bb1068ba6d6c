import { untilAborted } from '../core/abortable.ts';
import { textsOf } from '../core/arguments.ts';
import { gitBlobHash } from '../core/content-hash.ts';
import { XetError } from '../core/errors.ts';
import { inParallel } from '../core/in-parallel.ts';
import { MetricsLog } from '../core/metrics.ts';
import { ProgressMeter } from '../core/progress.ts';
import type { Http } from '../http/http.ts';
import type { HubClient } from '../hub/client.ts';
import { pathsInfo } from '../hub/entries.ts';
import { listEntries } from '../hub/listing.ts';
import type { CommitLine } from '../hub/operations.ts';
import { DEFAULT_REVISION, parseRepo } from '../hub/repo.ts';
import { base64, type CommitTarget, HubWriter, type PreuploadResult } from '../hub/writer.ts';
import { BucketUpload } from './bucket-upload.ts';
import { commitAll, defaultTitle } from './commit-files.ts';
import { bytesReader, type ContentPeek, readAll } from './content-reader.ts';
import { type Deletions, deletionsBeside, isEmpty, readDeletions } from './deletions.ts';
import { explainFailure } from './explain-failure.ts';
import { type Candidate, gather } from './gather.ts';
import { storeFiles } from './store-files.ts';
import type { UploadContext, UploadedFileInfo, UploadOptions, UploadPlatform, UploadResult } from './upload-types.ts';

/** A file, and the Hub's answer about how to upload it. */
interface PlannedFile extends Candidate, ContentPeek {
  preupload: PreuploadResult;
}

const MIB = 1024 * 1024;
/** Stays below the number of abort listeners at which Node warns. */
const MAX_CONCURRENT_PEEKS = 8;
/** Larger files go to the CAS, whatever the Hub says. */
const MAX_REGULAR_BYTES = 32 * MIB;
/** Size to report for a stream of unknown length: the Hub treats no file of this size as a small one. */
const UNKNOWN_SIZE = 64 * MIB;

/**
 * Uploads files and commits them. All data is stored before the first commit is made. After an abort or failure, stored
 * data is not sent again by the next attempt.
 */
export async function upload(
  context: UploadContext & UploadPlatform,
  options: UploadOptions & { signal: AbortSignal },
): Promise<UploadResult> {
  const inBucket = parseRepo(options.repo).type === 'bucket';
  return inBucket ? new BucketUpload(context, options).run() : new Upload(context, options).run();
}

class Upload {
  readonly #context: UploadContext & UploadPlatform;
  readonly #options: UploadOptions;
  readonly #signal: AbortSignal;
  readonly #target: CommitTarget;
  readonly #deletions: Deletions;
  readonly #log: MetricsLog;
  readonly #http: Http;
  readonly #hub: HubClient;
  readonly #writer: HubWriter;
  /** Results by path, for all files that are not ignored. */
  readonly #infos = new Map<string, UploadedFileInfo>();
  readonly #bytes = { total: 0, deduplicated: 0, sent: 0 };

  constructor(context: UploadContext & UploadPlatform, options: UploadOptions & { signal: AbortSignal }) {
    const { repo, branch = DEFAULT_REVISION, createPr = false, signal } = options;
    this.#context = context;
    this.#options = options;
    this.#signal = signal;
    this.#target = { repo: parseRepo(repo), branch, createPr };
    this.#deletions = readDeletions(
      textsOf(options.deletions, 'deletions') ?? [],
      textsOf(options.deletePatterns, 'deletePatterns') ?? [],
    );
    this.#log = new MetricsLog(context.http.log);
    this.#http = context.http.with(this.#log);
    this.#hub = context.hub.with(this.#http);
    this.#writer = new HubWriter(this.#http, this.#hub, context.attempts);
  }

  async run(): Promise<UploadResult> {
    try {
      return await this.#run();
    } catch (error) {
      this.#signal.throwIfAborted();
      const { authorization } = await this.#hub.headers();
      const hasToken = authorization !== undefined;
      throw explainFailure(error, { ...this.#target, endpoint: this.#hub.endpoint, hasToken });
    }
  }

  async #run(): Promise<UploadResult> {
    const started = performance.now();
    const { title, description = '', parentCommit, onProgress } = this.#options;
    const candidates = await untilAborted(this.#signal, this.#gather());
    const { planned, head } = await this.#plan(candidates);
    const accepted = planned.filter(({ preupload }) => !preupload.ignored);
    const regular = accepted.filter((file) => !isLarge(file));
    await this.#checkCard(regular);
    const deletions = await this.#planDeletions(accepted, head);
    const meter = new ProgressMeter(
      { files: accepted.length, bytes: accepted.reduce((sum, { size }) => sum + (size ?? 0), 0) },
      onProgress,
    );
    meter.phase('uploading');
    const stored = await this.#storeLarge(accepted.filter(isLarge), meter);
    meter.phase('committing');
    const commits = await commitAll(
      { ...this.#context, writer: this.#writer },
      this.#target,
      { title: title ?? defaultTitle(accepted, deletions), description, parentCommit, head },
      this.#operations(deletions, stored, regular, meter),
      this.#signal,
    );
    for (let left = accepted.length; left > 0; left--) meter.fileDone();
    if (accepted.length === 0) meter.phase('done');
    const last = commits.at(-1);
    return {
      commit: last?.oid ?? head ?? (await this.#fetchHead()),
      url: last?.url,
      pullRequestUrl: commits.find(({ pullRequestUrl }) => pullRequestUrl !== undefined)?.pullRequestUrl,
      commits: commits.map(({ oid, url, title }) => ({ oid, url, title })),
      files: planned.map((file) => this.#infos.get(file.path) ?? infoOf(file, 'ignored')),
      bytes: this.#bytes,
      requests: this.#log.totalRequests,
      seconds: (performance.now() - started) / 1000,
    };
  }

  async #gather(): Promise<Candidate[]> {
    const { files = [], include, exclude, force = false } = this.#options;
    const { local, onWarning } = this.#context;
    const candidates = await gather(files, { include, exclude }, { http: this.#http, local, force, onWarning });
    if (candidates.length === 0 && isEmpty(this.#deletions)) {
      throw new XetError('INVALID_ARGUMENT', 'There is nothing to upload and nothing to delete.');
    }
    return candidates;
  }

  #planDeletions(accepted: readonly PlannedFile[], head: string | undefined): Promise<CommitLine[]> {
    const { repo, branch } = this.#target;
    const uploaded = new Set(accepted.map(({ path }) => path));
    return deletionsBeside(uploaded, this.#deletions, (path) =>
      listEntries(this.#hub, repo, head ?? branch, { path, recursive: true, signal: this.#signal }),
    );
  }

  #fetchHead(): Promise<string> {
    const { repo, branch } = this.#target;
    return this.#hub.commitOf(repo, branch, this.#signal);
  }

  /** Looks at each file, and asks the Hub how to upload it. */
  async #plan(candidates: Candidate[]): Promise<{ planned: PlannedFile[]; head: string | undefined }> {
    if (candidates.length === 0) return { planned: [], head: await this.#fetchHead() };
    const peeked = await inParallel(candidates, MAX_CONCURRENT_PEEKS, async (candidate) => ({
      ...candidate,
      ...(await untilAborted(this.#signal, candidate.content.peek(this.#signal))),
    }));
    // Workers start during the request.
    this.#context.pool.expect(peeked.reduce((sum, { size }) => sum + (size ?? UNKNOWN_SIZE), 0));
    const files = peeked.map(({ path, size = UNKNOWN_SIZE, sample }) => ({ path, size, sample }));
    const gitIgnore = await this.#textOf(peeked.find(({ path }) => path === '.gitignore'));
    const { results, head } = await this.#writer.preupload(this.#target, files, gitIgnore, this.#signal);
    return { planned: peeked.map((file, index) => ({ ...file, preupload: results[index] as PreuploadResult })), head };
  }

  /** The text of a small file that affects other files. It is kept in memory, because it can be read only once. */
  async #textOf(file: (Candidate & ContentPeek) | undefined): Promise<string | undefined> {
    if (file?.size === undefined || file.size > MIB) return undefined;
    const bytes = await readAll(file.content.bytes(this.#signal), this.#signal);
    file.content = bytesReader(bytes);
    return new TextDecoder().decode(bytes);
  }

  async #storeLarge(files: PlannedFile[], meter: ProgressMeter): Promise<CommitLine[]> {
    if (files.length === 0) return [];
    const { pool, budget, caches, makeUploadHash, makeBody } = this.#context;
    const signal = this.#signal;
    let current = files[0]?.path ?? '';
    async function* read(file: PlannedFile) {
      current = file.path;
      for await (const piece of file.content.bytes(signal)) {
        if (file.size === undefined) meter.grow(piece.length);
        yield piece;
      }
    }
    const stored = await storeFiles(
      {
        http: this.#http,
        tokens: this.#hub.tokens(this.#writer.tokenUrl(this.#target)),
        pool,
        budget,
        makeHash: makeUploadHash,
        makeBody,
        recipes: caches.stores.recipes,
      },
      files.map(read),
      {
        signal,
        likely: await this.#earlierVersions(files),
        onProgress: ({ readBytes, knownBytes, storedBytes, sentBytes }) => {
          meter.hashed(readBytes);
          meter.cache(knownBytes);
          meter.network(sentBytes);
          meter.content(knownBytes + storedBytes, current);
        },
      },
    );
    this.#log.add('sent', stored.counts.sentBytes);
    this.#bytes.sent += stored.counts.sentBytes;
    this.#bytes.deduplicated += stored.counts.knownBytes;
    this.#bytes.total += stored.counts.readBytes;
    const operations: CommitLine[] = [];
    for (const [index, { size, sha256, xetHash, terms, records }] of stored.files.entries()) {
      const file = files[index] as PlannedFile;
      const unchanged = file.preupload.presentId === sha256;
      const info = infoOf(file, unchanged ? 'unchanged' : 'uploaded');
      this.#infos.set(file.path, { ...info, size, sha256, xetHash });
      if (!unchanged) operations.push({ kind: 'lfsFile', path: file.path, id: sha256, size });
      // The next version of the file finds its chunks without a query.
      await caches.keepRecipe(xetHash, size, terms, records);
    }
    return operations;
  }

  /** Xet hashes of the files that are replaced, which probably share chunks with the new ones. */
  async #earlierVersions(files: PlannedFile[]): Promise<string[]> {
    const paths = files.filter(({ preupload }) => preupload.presentId !== undefined).map(({ path }) => path);
    if (paths.length === 0) return [];
    const { repo, branch } = this.#target;
    const entries = await pathsInfo(this.#hub, repo, branch, paths, this.#signal);
    return entries.flatMap(({ xetHash }) => xetHash ?? []);
  }

  /** Validates the repository card, as the Hub rejects commits with an invalid one. Done before anything is sent. */
  async #checkCard(regular: PlannedFile[]): Promise<void> {
    const text = await this.#textOf(regular.find(({ path }) => path === 'README.md'));
    if (text === undefined) return;
    const { errors, warnings } = await this.#writer.checkCard(this.#target.repo.type, text, this.#signal);
    for (const warning of warnings) this.#context.onWarning(`README.md: ${warning}`);
    if (errors.length === 0) return;
    throw new XetError('INVALID_ARGUMENT', `The Hub rejects this README.md: ${errors.join(' ')}`);
  }

  /** All operations of the commit, deletions first. Small files are read last, and sent with the commit. */
  async *#operations(
    deletions: CommitLine[],
    large: CommitLine[],
    regular: PlannedFile[],
    meter: ProgressMeter,
  ): AsyncGenerator<CommitLine, void, undefined> {
    yield* deletions;
    yield* large;
    for (const file of regular) {
      const bytes = await readAll(file.content.bytes(this.#signal), this.#signal);
      const hash = gitBlobHash(bytes.length, this.#context.makeContentHash);
      hash.update(bytes);
      const id = await hash.digest();
      const unchanged = file.preupload.presentId === id;
      this.#infos.set(file.path, { ...infoOf(file, unchanged ? 'unchanged' : 'uploaded'), size: bytes.length });
      this.#bytes.total += bytes.length;
      if (unchanged) {
        this.#bytes.deduplicated += bytes.length;
        meter.cache(bytes.length);
      } else {
        this.#bytes.sent += bytes.length;
        yield { kind: 'file', path: file.path, content: base64(bytes), id };
        meter.network(bytes.length);
      }
      meter.content(bytes.length, file.path);
    }
  }
}

/** True if a file goes to the CAS, which stores no empty files. */
function isLarge({ size, preupload }: PlannedFile): boolean {
  return size !== 0 && (preupload.mode === 'lfs' || size === undefined || size > MAX_REGULAR_BYTES);
}

function infoOf(file: PlannedFile, status: UploadedFileInfo['status']): UploadedFileInfo {
  const { path, size } = file;
  return { path, size, sha256: undefined, xetHash: undefined, mode: isLarge(file) ? 'lfs' : 'regular', status };
}
