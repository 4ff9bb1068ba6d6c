import { opensCaches } from '../cache/cache-settings.ts';
import { loadsCodec } from '../codec/codec-factory.ts';
import { checked, FILE_INFO, OPEN, READER } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { FileInfo, ResolvedFile } from '../hub/client.ts';
import { givenPath, parseLocation, parseRepo, repoText, revisionOf } from '../hub/repo.ts';
import type { CasAccess } from '../hub/token.ts';
import { DirectReads } from '../read/direct-reads.ts';
import type { FileReads, FileReadsParts } from '../read/file-reads.ts';
import { XetFile } from '../read/xet-file.ts';
import { checkOptions, type XetReaderOptions } from './options.ts';
import type { ReaderPlatform } from './platform.ts';
import { createReaderContext, type ReaderContext } from './reader-context.ts';
import type { FileTarget, OpenTarget } from './types.ts';

/** Opens a resolved file without asking the Hub; for modules of this package. */
export let openResolved: (client: BaseXetReader, file: ResolvedFile, access?: CasAccess) => XetFile;

/** Reads files of Hugging Face repositories over the Xet protocol. All reads of a client share one memory budget. */
export class BaseXetReader {
  static {
    openResolved = (client, file, access) => {
      if (access) client.#parts.hub.tokens(file.tokenUrl).give(access);
      return client.#opened(file, untilClosed(client.#closing, undefined));
    };
  }

  readonly #parts: ReaderContext;
  readonly #closing: AbortController;
  readonly #readsOf: (opened: Pick<FileReadsParts, 'file' | 'signal'>) => FileReads;

  /** @internal */
  constructor(
    parts: ReaderContext,
    closing: AbortController,
    readsOf: (opened: Pick<FileReadsParts, 'file' | 'signal'>) => FileReads,
  ) {
    this.#parts = parts;
    this.#closing = closing;
    this.#readsOf = readsOf;
  }

  /** URL of the Hub, without a trailing slash. */
  get endpoint(): string {
    return this.#parts.hub.endpoint;
  }

  /** Resolves a path at a revision to size, etag, commit and Xet hash, without fetching content. */
  async fileInfo(given: FileTarget): Promise<FileInfo> {
    const target = this.#checked('fileInfo', given, FILE_INFO);
    const signal = untilClosed(this.#closing, target.signal);
    const { path, size, etag, commit, xetHash } = await this.#resolve({ ...target, beginning: false }, signal);
    return { path, size, etag, commit, xetHash };
  }

  /**
   * Opens a file for reading, whole or in ranges, without storing it as a file.
   *
   * @throws {XetError} `INVALID_ARGUMENT`, `REPOSITORY_NOT_FOUND`, `REVISION_NOT_FOUND`, `ENTRY_NOT_FOUND`, `GATED`, `OFFLINE`,
   * and network errors
   *
   * @example
   * ```js
   * const opened = await client.open({ repo: 'owner/model', path: 'model.safetensors' });
   * const header = await opened.read(0, 1024);
   * const tail = await opened.slice(-1024).arrayBuffer();
   * console.log(opened.size, header.length, tail.byteLength);
   * ```
   */
  async open(given: OpenTarget): Promise<XetFile> {
    const target = this.#checked('open', given, OPEN);
    const signal = untilClosed(this.#closing, target.signal);
    return this.#opened(await this.#resolve(target, signal), signal);
  }

  #checked<T extends FileTarget>(call: string, given: T, options: string): T {
    return checked(call, given, options, (text) => parseLocation(text, this.endpoint));
  }

  /** Aborts running transfers with `CLOSED` and ends the workers. The client cannot be used afterwards. */
  async close(): Promise<void> {
    this.#closing.abort(new XetError('CLOSED', 'The client was closed.'));
    this.#parts.pool.close();
    this.#parts.engine.transfers?.close();
    await this.#parts.caches?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #opened(file: ResolvedFile, signal: AbortSignal): XetFile {
    return new XetFile(this.#readsOf({ file, signal }));
  }

  #resolve(target: OpenTarget, signal: AbortSignal): Promise<ResolvedFile> {
    const { path, beginning = true } = target;
    const repo = parseRepo(target.repo);
    const revision = revisionOf(repo, target.revision);
    checkOnline(this.#parts, `'${path}' of ${repoText(repo)}`);
    return this.#parts.http.log.timed('resolving', () =>
      this.#parts.hub.resolve(repo, revision, givenPath(path), { signal, beginning }),
    );
  }
}

/** Constructor arguments of a reader that uses only the optional parts it is given. */
export function bareParts(
  given: XetReaderOptions,
  platform: ReaderPlatform,
): ConstructorParameters<typeof BaseXetReader> {
  const options = checkOptions('XetReader', given, READER);
  const { codec, caches } = options;
  const loadCodec = codec ? loadsCodec(codec) : platform.loadCodec;
  const openCaches = caches && opensCaches(caches);
  const parts = createReaderContext(options, { ...platform, loadCodec }, (settings) => openCaches?.(settings));
  const { engine, onWarning } = parts;
  const { spawnWorker } = platform;
  return [parts, new AbortController(), (opened) => new DirectReads({ ...opened, engine, spawnWorker, onWarning })];
}

/** The caller's abort, and the client's end. */
export function untilClosed(closing: AbortController, signal: AbortSignal | undefined): AbortSignal {
  return signal ? AbortSignal.any([signal, closing.signal]) : closing.signal;
}

/** Throws `OFFLINE` if no server may be contacted. */
export function checkOnline({ offline }: ReaderContext, subject: string): void {
  if (!offline) return;
  throw new XetError('OFFLINE', `${subject} cannot be looked up while offline.`);
}
