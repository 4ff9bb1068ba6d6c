import * as table from '../core/arguments.ts';
import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { hitRatesOf, type Metrics, MetricsLog } from '../core/metrics.ts';
import type { Adoption } from '../download/adopt.ts';
import type { DownloadResult } from '../download/file.ts';
import type { RepoStore } from '../files/place.ts';
import { listEntries } from '../hub/listing.ts';
import { DEFAULT_REVISION, givenFolder, givenPath, parseLocation, parseRepo, repoText } from '../hub/repo.ts';
import type { ListEntry } from '../hub/types.ts';
import type { CacheControl } from '../manage/types.ts';
import { SharedReads } from '../read/shared-reads.ts';
import { checkForce } from '../snapshot/plan.ts';
import type {
  FetchFile,
  PlanParts,
  SnapshotOptions,
  SnapshotPreview,
  SnapshotResult,
  SnapshotSelection,
} from '../snapshot/snapshot.ts';
import {
  type CreateBranchOptions,
  type CreateRepoOptions,
  type DeleteFilesOptions,
  type UploadFunctions,
  uploadFunctionsOf,
} from '../upload/upload-backend.ts';
import type { UploadContext, UploadOptions, UploadResult } from '../upload/upload-types.ts';
import { type ClientContext, createContext } from './context.ts';
import { type FileFunctions, fileFunctionsOf } from './file-backend.ts';
import { checkFolder, checkOptions, type XetClientOptions } from './options.ts';
import type { Platform } from './platform.ts';
import { BaseXetReader, checkOnline, untilClosed } from './reader.ts';
import type { DownloadFileOptions, ListOptions } from './types.ts';

/** File functions with the store they write to. */
type Files = FileFunctions & { store: RepoStore; adoption: Adoption };

/** Moves files to and from Hugging Face repositories over the Xet protocol. All transfers of a client share one memory budget. */
export class BaseXetClient extends BaseXetReader {
  readonly #options: XetClientOptions;
  readonly #platform: Platform;
  readonly #parts: ClientContext;
  readonly #closing: AbortController;

  /** @internal */
  constructor(given: XetClientOptions, platform: Platform) {
    const options = checkOptions('XetClient', given, table.CLIENT);
    const closing = new AbortController();
    const parts = createContext(options, platform, closing.signal);
    const { engine, memory, onWarning } = parts;
    const { spawnWorker } = platform;
    super(parts, closing, (opened) => new SharedReads({ ...opened, engine, memory, spawnWorker, onWarning }));
    this.#options = options;
    this.#platform = platform;
    this.#parts = parts;
    this.#closing = closing;
  }

  /** Caches on this machine: usage, verification and removal. */
  get cache(): CacheControl {
    return this.#parts.cache;
  }

  /**
   * Lists files and folders of a repository, one page at a time.
   *
   * @throws {XetError} at the first step: `INVALID_ARGUMENT`, `OFFLINE`, `REPOSITORY_NOT_FOUND`, `REVISION_NOT_FOUND`,
   * `ENTRY_NOT_FOUND`, and network errors
   *
   * @example
   * ```js
   * for await (const { path, size } of client.listFiles({ repo: 'owner/model', recursive: true })) console.log(path, size);
   * ```
   */
  async *listFiles(options: ListOptions): AsyncGenerator<ListEntry, void, undefined> {
    const {
      path,
      recursive,
      revision = DEFAULT_REVISION,
      ...asked
    } = this.#checked('listFiles', options, table.LIST_FILES);
    const repo = parseRepo(asked.repo);
    checkOnline(this.#parts, `The files of ${repoText(repo)}`);
    yield* listEntries(this.#parts.hub, repo, revision, {
      path: givenFolder(path),
      recursive,
      signal: untilClosed(this.#closing, asked.signal),
    });
  }

  /**
   * Downloads a file into a local folder or the Hub cache folder. The file gets its final name only after verification; an aborted
   * or killed download resumes.
   *
   * @throws {XetError} `INVALID_ARGUMENT` (also for `force` while offline), `REPOSITORY_NOT_FOUND`, `REVISION_NOT_FOUND`,
   * `ENTRY_NOT_FOUND`, `GATED`, `INTEGRITY`, `DISK_FULL`, `PERMISSION`, `OFFLINE`, and network errors; an abort rejects with
   * `signal.reason`
   *
   * @example
   * ```js
   * const { localPath, bytes } = await client.downloadFile({
   *   repo: 'owner/model',
   *   path: 'model.safetensors',
   *   localDir: 'models',
   *   signal: AbortSignal.timeout(600_000),
   * });
   * console.log(localPath, bytes.network, bytes.cache);
   * ```
   */
  async downloadFile(given: DownloadFileOptions): Promise<DownloadResult> {
    const options = this.#checked('downloadFile', given, table.DOWNLOAD_FILE);
    const { locate, downloadTo, store, adoption } = this.#files(options.localDir);
    const signal = untilClosed(this.#closing, options.signal);
    const started = performance.now();
    const { engine, hub, offline, onWarning } = this.#parts;
    const log = new MetricsLog(this.#parts.http.log);
    const { repo, revision = DEFAULT_REVISION, path } = options;
    const { force = false } = options;
    checkForce(force, offline);
    const wanted = { repo: parseRepo(repo), revision, path: givenPath(path), force, signal };
    const http = this.#parts.http.with(log);
    const parts = { http, hub, store, offline, onWarning };
    const { file, place, asked } = await log.timed('resolving', () => locate(parts, wanted));
    const outcome = await downloadTo(engine, file, place, {
      signal,
      force,
      onProgress: options.onProgress,
      onWarning,
      log,
      beforeFetch: () => adoption.earlier(file, store, signal),
    });
    // So that it is found again while the Hub cannot be asked.
    if (asked) await store.noteCommit(file.repo, revision, file.commit);
    if (asked && outcome.bytes.local === file.size) await adoption.file(file, outcome.localPath, signal);
    const { size, etag, commit, xetHash } = file;
    return {
      path: file.path,
      ...outcome,
      size,
      etag,
      commit,
      xetHash,
      requests: log.totalRequests,
      seconds: (performance.now() - started) / 1000,
    };
  }

  /**
   * Downloads all files of a repository at one commit, or those that patterns select. Files that are already in place cost no
   * request. The first failure ends the snapshot; files downloaded by then are kept. Files whose names this system cannot store
   * are listed in `leftOut`.
   *
   * @throws {XetError} as {@link downloadFile}, and `UNSUPPORTED` if no selected file can be stored under its name
   *
   * @example
   * ```js
   * const { folder, commit, files } = await client.snapshot({ repo: 'owner/model', ignorePatterns: '*.onnx' });
   * console.log(folder, commit, files.length);
   * ```
   */
  async snapshot(given: SnapshotOptions): Promise<SnapshotResult> {
    const options = this.#checked('snapshot', given, table.SNAPSHOT);
    const { files, parts, selection } = this.#selecting(options);
    const plan = await files.planSnapshot(parts, selection);
    const running = {
      ...parts,
      filesAtOnce: this.#parts.filesAtOnce,
      batchForms: this.#parts.engine.batchForms,
      fetchFile: ((file, place, settings) =>
        files.downloadTo(this.#parts.engine, file, place, {
          ...settings,
          onWarning: this.#parts.onWarning,
          beforeFetch: () => files.adoption.earlier(file, parts.store, settings.signal),
        })) as FetchFile,
    };
    return files.runSnapshot(running, plan, { ...options, signal: selection.signal });
  }

  /** Previews {@link snapshot} without writing or fetching file content. */
  async planSnapshot(options: SnapshotSelection): Promise<SnapshotPreview> {
    const { files, parts, selection } = this.#selecting(this.#checked('planSnapshot', options, table.PLAN_SNAPSHOT));
    return files.previewOf(await files.planSnapshot(parts, selection));
  }

  #selecting(options: SnapshotSelection): {
    files: Files;
    parts: PlanParts;
    selection: SnapshotSelection & { signal: AbortSignal };
  } {
    const files = this.#files(options.localDir);
    const parts = {
      http: this.#parts.http,
      hub: this.#parts.hub,
      store: files.store,
      platform: this.#platform.names,
      onWarning: this.#parts.onWarning,
    };
    const { offline = this.#parts.offline } = options;
    return { files, parts, selection: { ...options, offline, signal: untilClosed(this.#closing, options.signal) } };
  }

  #files(localDir: string | undefined): Files {
    checkFolder(localDir, 'localDir');
    const { files = this.#platform.files, cacheDir } = this.#options;
    if (!files) {
      throw new XetError(
        'UNSUPPORTED',
        "There is no file system here: use open(), or new XetClient({ files: opfsFiles }) for the page's own storage.",
      );
    }
    const { engine, hub, caches } = this.#parts;
    const { known, help } = caches.stores;
    const functions = fileFunctionsOf(files);
    const store = functions.openStore({ localDir, cacheDir, known, help, spawnWorker: this.#platform.spawnWorker });
    const adoption = new functions.Adoption({ engine, hub, caches });
    return { ...functions, store, adoption };
  }

  /**
   * Uploads files and commits them: large files over Xet, sending only chunks that the Hub lacks, small files within the
   * commit. Nothing is committed before everything is stored. Repeating a failed upload sends only what is missing.
   *
   * @throws {XetError} `INVALID_ARGUMENT`, `UNAUTHORIZED`, `FORBIDDEN`, `REPOSITORY_NOT_FOUND`, `CONFLICT` (the branch has moved),
   * `UNSUPPORTED`, `OFFLINE`, and network errors
   *
   * @example
   * ```js
   * const { commit, bytes } = await client.upload({
   *   repo: 'owner/model',
   *   files: [{ path: 'notes.md', content: new Blob(['# Notes']) }],
   *   title: 'Add notes',
   * });
   * console.log(commit, bytes.total, bytes.sent);
   * ```
   */
  async upload(given: UploadOptions): Promise<UploadResult> {
    const options = this.#checked('upload', given, table.UPLOAD);
    const { uploads, parts } = this.#uploading();
    return uploads.upload(parts, { ...options, signal: untilClosed(this.#closing, options.signal) });
  }

  /** Deletes files, and folders that end in `/`, in one commit. Rejects as {@link upload}. */
  async deleteFiles(given: DeleteFilesOptions): Promise<UploadResult> {
    const { paths, ...options } = this.#checked('deleteFiles', given, table.DELETE_FILES);
    return this.upload({ ...options, deletions: paths });
  }

  /**
   * Creates a repository, with the account's or organization's default visibility unless `visibility` is given.
   *
   * @throws {XetError} `CONFLICT` if it exists, unless `existOk`; `UNAUTHORIZED`, `FORBIDDEN`, `INVALID_ARGUMENT`
   */
  async createRepo(given: CreateRepoOptions): Promise<{ url: string; created: boolean }> {
    const options = this.#checked('createRepo', given, table.CREATE_REPO);
    const { uploads, parts } = this.#uploading();
    return uploads.createRepo(parts, options, untilClosed(this.#closing, options.signal));
  }

  /** Creates a branch. Rejects with `CONFLICT` if it exists, unless `overwrite`. */
  async createBranch(given: CreateBranchOptions): Promise<void> {
    const options = this.#checked('createBranch', given, table.CREATE_BRANCH);
    const { uploads, parts } = this.#uploading();
    await uploads.createBranch(parts, options, untilClosed(this.#closing, options.signal));
  }

  #checked<T extends object>(call: string, given: T, options: string): T {
    return checked(call, given, options, (text) => parseLocation(text, this.endpoint));
  }

  #uploading(): { uploads: UploadFunctions; parts: UploadContext } {
    const { uploads = this.#platform.uploads } = this.#options;
    const { http, hub, pool, budget, caches, attempts, offline, onWarning } = this.#parts;
    if (!uploads) {
      throw new XetError(
        'UNSUPPORTED',
        'A page uploads with what it is given: new XetClient({ uploads: webUploads }).',
      );
    }
    if (offline) throw new XetError('OFFLINE', 'Nothing can be uploaded without a server.');
    const { makeContentHash } = this.#platform;
    return {
      uploads: uploadFunctionsOf(uploads),
      parts: { http, hub, pool, budget, caches, attempts, makeContentHash, onWarning },
    };
  }

  /** Counters of this client since it was created. */
  metrics(): Metrics {
    const { http, budget, pool, lanes } = this.#parts;
    const { requests, retries, bytes, seconds } = http.log;
    const { limitBytes, usedBytes, peakBytes } = budget;
    const { sent, here, lost } = pool.counts;
    return {
      requests: { ...requests },
      retries: { ...retries },
      bytes: { ...bytes },
      hitRates: hitRatesOf(bytes),
      memory: { limitBytes, usedNowBytes: usedBytes, peakBytes },
      concurrency: { limitNow: lanes.limit, now: lanes.used, peak: lanes.peak },
      codec: { inWorkers: sent, onThread: here, workersLost: lost },
      seconds: { ...seconds },
    };
  }

  override close(): Promise<void> {
    this.#parts.memory.clear();
    return super.close();
  }
}
