import { untilAborted } from '../core/abortable.ts';
import { textsOf } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { inParallel } from '../core/in-parallel.ts';
import { MetricsLog } from '../core/metrics.ts';
import { ProgressMeter } from '../core/progress.ts';
import { changeBucket, changesFailed, type FileChange } from '../hub/bucket-writer.ts';
import type { HubClient } from '../hub/client.ts';
import { listEntries } from '../hub/listing.ts';
import { checkPathIn, parseRepo, refuseForBucket, revisionUrl } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import type { ContentPeek } from './content-reader.ts';
import { type Deletions, deletionsBeside, isEmpty, readDeletions } from './deletions.ts';
import { explainFailure } from './explain-failure.ts';
import type { FinalizedFile } from './finalize-file.ts';
import { type Candidate, gather } from './gather.ts';
import { type StoreCounts, storeFiles } from './store-files.ts';
import { noUploadHash } from './upload-hash.ts';
import type { UploadContext, UploadOptions, UploadPlatform, UploadResult } from './upload-types.ts';

/** A file to store in a bucket. */
export interface BucketSource extends Candidate {
  /** Bytes; undefined for a stream of unknown length. */
  size: number | undefined;
}

const MIB = 1024 * 1024;
/** Stays below the number of abort listeners at which Node warns. */
const MAX_CONCURRENT_PEEKS = 8;
const UNKNOWN_SIZE = 64 * MIB;

/** Stores files in the CAS of a bucket, without adding them to it. Their sha256 is not computed. */
export async function storeForBucket(
  context: UploadContext & UploadPlatform,
  hub: HubClient,
  repo: RepoId,
  files: readonly BucketSource[],
  options: { signal: AbortSignal; meter?: ProgressMeter },
): Promise<{ files: FinalizedFile[]; counts: StoreCounts }> {
  const { pool, budget, caches, makeBody } = context;
  const { signal, meter } = options;
  let current = files[0]?.path ?? '';
  async function* read(file: BucketSource) {
    current = file.path;
    for await (const piece of file.content.bytes(signal)) {
      if (file.size === undefined) meter?.grow(piece.length);
      yield piece;
    }
  }
  pool.expect(files.reduce((sum, { size }) => sum + (size ?? UNKNOWN_SIZE), 0));
  const tokens = hub.tokens(revisionUrl(hub.endpoint, repo, 'xet-write-token', ''));
  const stored = await storeFiles(
    { http: hub.http, tokens, pool, budget, makeHash: noUploadHash, makeBody, recipes: caches.stores.recipes },
    files.map(read),
    {
      signal,
      onProgress: ({ readBytes, knownBytes, storedBytes, sentBytes }) => {
        meter?.hashed(readBytes);
        meter?.cache(knownBytes);
        meter?.network(sentBytes);
        meter?.content(knownBytes + storedBytes, current);
      },
    },
  );
  for (const { xetHash, size, terms, records } of stored.files) {
    if (size > 0) await caches.keepRecipe(xetHash, size, terms, records);
  }
  return stored;
}

/** An upload into a bucket: every file goes to the CAS, then one or more calls add them all. */
export class BucketUpload {
  readonly #context: UploadContext & UploadPlatform;
  readonly #options: UploadOptions;
  readonly #signal: AbortSignal;
  readonly #repo: RepoId;
  readonly #deletions: Deletions;
  readonly #log: MetricsLog;
  readonly #hub: HubClient;

  constructor(context: UploadContext & UploadPlatform, options: UploadOptions & { signal: AbortSignal }) {
    const { branch, title, description, parentCommit, createPr } = options;
    this.#context = context;
    this.#options = options;
    this.#signal = options.signal;
    this.#repo = parseRepo(options.repo);
    refuseForBucket(this.#repo, { branch, title, description, parentCommit, createPr });
    this.#deletions = readDeletions(
      textsOf(options.deletions, 'deletions') ?? [],
      textsOf(options.deletePatterns, 'deletePatterns') ?? [],
    );
    this.#log = new MetricsLog(context.http.log);
    this.#hub = context.hub.with(context.http.with(this.#log));
  }

  async run(): Promise<UploadResult> {
    try {
      return await this.#run();
    } catch (error) {
      this.#signal.throwIfAborted();
      const hasToken = (await this.#hub.headers()).authorization !== undefined;
      throw explainFailure(error, { repo: this.#repo, endpoint: this.#hub.endpoint, hasToken });
    }
  }

  async #run(): Promise<UploadResult> {
    const started = performance.now();
    const sources = await this.#sources();
    const meter = new ProgressMeter(
      { files: sources.length, bytes: sources.reduce((sum, { size }) => sum + (size ?? 0), 0) },
      this.#options.onProgress,
    );
    const deletions = await this.#planDeletions(new Set(sources.map(({ path }) => path)));
    meter.phase('uploading');
    const stored = await this.#store(sources, meter);
    meter.phase('committing');
    const now = Date.now();
    const additions = stored.files.map(({ xetHash }, index): FileChange => {
      const { path, mtimeMs = now } = sources[index] as Source;
      return { type: 'addFile', path, xetHash, mtimeMs };
    });
    const changes = [...additions, ...deletions];
    const failures = await changeBucket(this.#hub, this.#repo, changes, this.#signal);
    if (failures.length > 0) {
      throw changesFailed(this.#repo, failures, changes.length, 'Run the same upload again: no content is sent twice.');
    }
    for (const _ of sources) meter.fileDone();
    if (sources.length === 0) meter.phase('done');
    const { readBytes, knownBytes, sentBytes } = stored.counts;
    return {
      commit: '',
      url: undefined,
      pullRequestUrl: undefined,
      commits: [],
      files: stored.files.map(({ size, xetHash }, index) => {
        const { path } = sources[index] as Source;
        return { path, size, sha256: undefined, xetHash, mode: 'lfs', status: 'uploaded' };
      }),
      bytes: { total: readBytes, deduplicated: knownBytes, sent: sentBytes },
      requests: this.#log.totalRequests,
      seconds: (performance.now() - started) / 1000,
    };
  }

  /** Lists the files to upload. Names that a bucket forbids are refused here, before anything is sent. */
  async #sources(): Promise<Source[]> {
    const { files = [], include, exclude, force = false } = this.#options;
    const { local, onWarning } = this.#context;
    const { http } = this.#hub;
    const signal = this.#signal;
    const gathering = gather(files, { include, exclude }, { http, local, force, onWarning });
    const candidates = await untilAborted(signal, gathering);
    if (candidates.length === 0 && isEmpty(this.#deletions)) {
      throw new XetError('INVALID_ARGUMENT', 'There is nothing to upload and nothing to delete.');
    }
    for (const { path } of candidates) checkPathIn(this.#repo, path);
    return inParallel(candidates, MAX_CONCURRENT_PEEKS, async (candidate) => ({
      ...candidate,
      ...(await untilAborted(signal, candidate.content.peek(signal))),
    }));
  }

  async #store(sources: Source[], meter: ProgressMeter) {
    if (sources.length === 0) return { files: [], counts: NOTHING_STORED };
    const stored = await storeForBucket(this.#context, this.#hub, this.#repo, sources, { signal: this.#signal, meter });
    this.#log.add('sent', stored.counts.sentBytes);
    return stored;
  }

  /** Deletions of single files: a bucket has no folders that could be deleted as one. */
  async #planDeletions(uploaded: ReadonlySet<string>): Promise<FileChange[]> {
    const list = (path: string | undefined) =>
      listEntries(this.#hub, this.#repo, '', { path, recursive: true, signal: this.#signal });
    const paths = new Set<string>();
    for (const { kind, path } of await deletionsBeside(uploaded, this.#deletions, list)) {
      if (kind !== 'deletedFolder') paths.add(path);
      else for await (const entry of list(path)) if (entry.type === 'file') paths.add(entry.path);
    }
    return [...paths].map((path) => ({ type: 'deleteFile', path }));
  }
}

type Source = Candidate & ContentPeek;

const NOTHING_STORED: StoreCounts = {
  readBytes: 0,
  knownBytes: 0,
  refusedBytes: 0,
  storedBytes: 0,
  sentBytes: 0,
  xorbs: 0,
};
