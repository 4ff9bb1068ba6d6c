import * as table from '../core/arguments.ts';
import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { hitRatesOf, type Metrics, MetricsLog } from '../core/metrics.ts';
import type { Adoption } from '../download/adopt.ts';
import type { DownloadResult } from '../download/file.ts';
import type { RepoStore } from '../files/place.ts';
import { listEntries } from '../hub/listing.ts';
import { givenFolder, givenPath, parseLocation, parseRepo, repoText, revisionOf } from '../hub/repo.ts';
import type { ListEntry, RepoId } from '../hub/types.ts';
import type { CacheControl } from '../manage/types.ts';
import type { FileReadsParts } from '../read/file-reads.ts';
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
import { type ClientContext, createContext } from './context.ts';
import { type FileFunctions, fileFunctionsOf } from './file-backend.ts';
import { checkFolder, checkOptions, type XetClientOptions } from './options.ts';
import type { Platform } from './platform.ts';
import { checkOnline, untilClosed } from './reader.ts';
import type { DownloadFileOptions, ListOptions } from './types.ts';
import { BaseXetWriter } from './writer.ts';

/** File functions with the store they write to. */
type Files = FileFunctions & { store: RepoStore; adoption: Adoption };

/** Moves files to and from Hugging Face repositories over the Xet protocol. All transfers of a client share one memory budget. */
export class BaseXetClient extends BaseXetWriter {
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
    const readsOf = (opened: Pick<FileReadsParts, 'file' | 'signal'>) =>
      new SharedReads({ ...opened, engine, memory, spawnWorker, onWarning });
    super(parts, closing, readsOf, { uploads: options.uploads ?? platform.uploads, platform });
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
    const { path, recursive, ...asked } = this.#checked('listFiles', options, table.LIST_FILES);
    const repo = parseRepo(asked.repo);
    const revision = revisionOf(repo, asked.revision);
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
    const repo = parseRepo(options.repo);
    const revision = revisionOf(repo, options.revision);
    const { locate, downloadTo, store, adoption } = this.#files(options.localDir, repo);
    const signal = untilClosed(this.#closing, options.signal);
    const started = performance.now();
    const { engine, hub, offline, onWarning } = this.#parts;
    const log = new MetricsLog(this.#parts.http.log);
    const { path, force = false } = options;
    checkForce(force, offline);
    const wanted = { repo, revision, path: givenPath(path), force, signal };
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
    if (asked && file.commit !== '') await store.noteCommit(file.repo, revision, file.commit);
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
      batchForms: this.#parts.engine.transport.batchForms,
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
    const files = this.#files(options.localDir, parseRepo(options.repo));
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

  #files(localDir: string | undefined, repo: RepoId): Files {
    checkFolder(localDir, 'localDir');
    if (repo.type === 'bucket' && localDir === undefined) {
      throw new XetError(
        'INVALID_ARGUMENT',
        `The Hub cache folder keeps files by commit, and ${repoText(repo)} is a bucket without any: name a folder with localDir (--local-dir).`,
      );
    }
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

  #checked<T extends object>(call: string, given: T, options: string): T {
    return checked(call, given, options, (text) => parseLocation(text, this.endpoint));
  }

  /** Counters of this client since it was created. */
  metrics(): Metrics {
    const { http, budget, pool, lanes, engine } = this.#parts;
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
      codec: { inWorkers: sent, onThread: here, workersLost: lost + (engine.transfers?.lost ?? 0) },
      seconds: { ...seconds },
    };
  }

  override close(): Promise<void> {
    this.#parts.memory.clear();
    return super.close();
  }
}
