import * as table from '../core/arguments.ts';
import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { parseLocation } from '../hub/repo.ts';
import { DirectReads } from '../read/direct-reads.ts';
import type { FileReads, FileReadsParts } from '../read/file-reads.ts';
import type { ReadOriginal } from '../upload/edit-file.ts';
import type { AppendOptions, EditOptions } from '../upload/edit-types.ts';
import {
  type CreateBranchOptions,
  type CreateRepoOptions,
  type CreateTagOptions,
  type DeleteBranchOptions,
  type DeleteFilesOptions,
  type DeleteRepoOptions,
  type DeleteTagOptions,
  type MoveRepoOptions,
  type UpdateRepoOptions,
  type UploadBackend,
  type UploadFunctions,
  uploadFunctionsOf,
} from '../upload/upload-backend.ts';
import type { UploadContext, UploadOptions, UploadResult } from '../upload/upload-types.ts';
import type { ClientContext } from './context.ts';
import type { Platform } from './platform.ts';
import { BaseXetReader, untilClosed } from './reader.ts';

/** Writes to repositories and manages them. */
export class BaseXetWriter extends BaseXetReader {
  readonly #parts: ClientContext;
  readonly #closing: AbortController;
  readonly #writing: { uploads: UploadBackend | undefined; platform: Platform };

  /** @internal */
  constructor(
    parts: ClientContext,
    closing: AbortController,
    readsOf: (opened: Pick<FileReadsParts, 'file' | 'signal'>) => FileReads,
    writing: { uploads: UploadBackend | undefined; platform: Platform },
  ) {
    super(parts, closing, readsOf);
    this.#parts = parts;
    this.#closing = closing;
    this.#writing = writing;
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

  /**
   * Edits a large file in place: replaces, inserts and deletes ranges, and truncates. If the file was uploaded or downloaded on
   * this machine before, only the parts around the edits are read, chunked and sent; for a repository the rest is also read
   * once, for its SHA-256. Positions are those in the file before all edits.
   *
   * @throws {XetError} as {@link upload}; `INVALID_ARGUMENT` for edits that overlap or lie outside the file, `CONFLICT` if the
   * file has changed in the meantime, and `ENTRY_NOT_FOUND`
   */
  async edit(given: EditOptions): Promise<UploadResult> {
    const options = this.#checked('edit', given, table.EDIT);
    const { uploads, parts } = this.#uploading();
    const signal = untilClosed(this.#closing, options.signal);
    return uploads.edit(parts, { ...options, signal }, this.#readOriginal);
  }

  /** Appends bytes to a file. Rejects as {@link edit}. */
  async append(given: AppendOptions): Promise<UploadResult> {
    const options = this.#checked('append', given, table.APPEND);
    const { uploads, parts } = this.#uploading();
    const signal = untilClosed(this.#closing, options.signal);
    return uploads.append(parts, { ...options, signal }, this.#readOriginal);
  }

  /** Reads just a range of a file that is edited, without anything ahead. */
  readonly #readOriginal: ReadOriginal = (file, range, signal) => {
    const reads = new DirectReads({ engine: this.#parts.engine, file, signal });
    return bytesOf(reads.stream(range, signal));
  };

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

  /** Deletes a branch. */
  async deleteBranch(given: DeleteBranchOptions): Promise<void> {
    const options = this.#checked('deleteBranch', given, table.DELETE_BRANCH);
    const { uploads, parts } = this.#uploading();
    await uploads.deleteBranch(parts, options, untilClosed(this.#closing, options.signal));
  }

  /** Creates a tag. Rejects with `CONFLICT` if it exists. */
  async createTag(given: CreateTagOptions): Promise<void> {
    const options = this.#checked('createTag', given, table.CREATE_TAG);
    const { uploads, parts } = this.#uploading();
    await uploads.createTag(parts, options, untilClosed(this.#closing, options.signal));
  }

  /** Deletes a tag. */
  async deleteTag(given: DeleteTagOptions): Promise<void> {
    const options = this.#checked('deleteTag', given, table.DELETE_TAG);
    const { uploads, parts } = this.#uploading();
    await uploads.deleteTag(parts, options, untilClosed(this.#closing, options.signal));
  }

  /** Deletes a repository or bucket with all of its files. Rejects with `REPOSITORY_NOT_FOUND` unless `missingOk`. */
  async deleteRepo(given: DeleteRepoOptions): Promise<void> {
    const options = this.#checked('deleteRepo', given, table.DELETE_REPO);
    const { uploads, parts } = this.#uploading();
    await uploads.deleteRepo(parts, options, untilClosed(this.#closing, options.signal));
  }

  /**
   * Renames a repository or bucket, or moves it to another owner.
   *
   * @example
   * ```js
   * await client.createRepo({ repo: 'buckets/owner/runs' });
   * await client.moveRepo({ from: 'buckets/owner/runs', to: 'buckets/owner/old-runs' });
   * ```
   */
  async moveRepo(given: MoveRepoOptions): Promise<void> {
    const options = this.#checked('moveRepo', given, table.MOVE_REPO);
    const { uploads, parts } = this.#uploading();
    await uploads.moveRepo(parts, options, untilClosed(this.#closing, options.signal));
  }

  /** Changes the visibility or gating of a repository; what is not given stays as it is. */
  async updateRepo(given: UpdateRepoOptions): Promise<void> {
    const options = this.#checked('updateRepo', given, table.UPDATE_REPO);
    const { uploads, parts } = this.#uploading();
    await uploads.updateRepo(parts, options, untilClosed(this.#closing, options.signal));
  }

  #checked<T extends object>(call: string, given: T, options: string): T {
    return checked(call, given, options, (text) => parseLocation(text, this.endpoint));
  }

  #uploading(): { uploads: UploadFunctions; parts: UploadContext } {
    const { uploads, platform } = this.#writing;
    const { http, hub, pool, budget, caches, attempts, offline, onWarning } = this.#parts;
    if (!uploads) {
      throw new XetError(
        'UNSUPPORTED',
        'A page uploads with what it is given: new XetClient({ uploads: webUploads }).',
      );
    }
    if (offline) throw new XetError('OFFLINE', 'Nothing can be uploaded without a server.');
    const { makeContentHash } = platform;
    return {
      uploads: uploadFunctionsOf(uploads),
      parts: { http, hub, pool, budget, caches, attempts, makeContentHash, onWarning },
    };
  }
}

async function* bytesOf(spans: AsyncIterable<{ bytes: Uint8Array }>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { bytes } of spans) yield bytes;
}
