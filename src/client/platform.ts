import type { SpawnWorker } from '../../workers/spawn.ts';
import type { OpenLocalCaches } from '../cache/cache-settings.ts';
import type { Codec } from '../codec/codec.ts';
import type { MakeContentHash } from '../core/content-hash.ts';
import type { Shares } from '../core/descriptors.ts';
import type { FetchTogether } from '../download/fetch-runs.ts';
import type { HttpOptions, HttpTimeouts } from '../http/http.ts';
import type { OpenCacheControl } from '../manage/cache-control.ts';
import type { NamePlatform } from '../snapshot/names.ts';
import type { UploadBackend } from '../upload/upload-backend.ts';
import type { FileBackend } from './file-backend.ts';

/** What reading takes of browsers, Node, Deno and Bun. */
export interface ReaderPlatform {
  /** What sends requests where the caller gives no `fetch`. */
  fetch: HttpOptions['fetch'];
  /** Whether that also takes a body in pieces. */
  takesPieces?: boolean;
  /** The codec of the calling thread; undefined where that is to do without. */
  loadCodec: (() => Promise<Codec>) | undefined;
  spawnWorker: SpawnWorker | undefined;
  /** Asks for several ranges with one request; undefined in pages, where that costs a preflight. */
  fetchTogether: FetchTogether | undefined;
  /**
   * How much one request for data asks for at most, in bytes; without a limit where what nobody reads waits at its
   * sender.
   */
  requestBytes?: number;
  /** What is decoded on the calling thread while no worker has been started, in bytes; little where a page waits. */
  decodeHereBytes?: number;
  /** Processors that may be used. */
  processors: number;
  /** Memory budget where none is given, in bytes. */
  memoryBudgetBytes: number;
  makeContentHash: MakeContentHash;
  /** What the environment says about the endpoint and the token. */
  defaultEndpoint: () => string | undefined;
  /** Whether the environment asks to go without Xet. */
  xetDisabled: () => boolean;
  defaultToken: () => Promise<string | undefined>;
  /** Timeouts from the environment. */
  defaultTimeouts?: () => Partial<HttpTimeouts>;
  /** Limits of parallelism where descriptors are scarce; undefined where they are not. */
  shares?: () => Shares | undefined;
  /** Whether the environment asks to go without any server. */
  offline: () => boolean;
}

/** All that differs between browsers, Node, Deno and Bun. An entry of the package picks one. */
export interface Platform extends ReaderPlatform {
  /** Which names files may have. */
  names: NamePlatform;
  /** What writes files; undefined where there is no file system. */
  files: FileBackend | undefined;
  /** What writes to a Hub; undefined where it is handed in. */
  uploads: UploadBackend | undefined;
  /** Where is remembered how files are built, and chunks of what leaves no file. */
  openCaches: OpenLocalCaches;
  /** What looks after all that is kept. */
  openCacheControl: OpenCacheControl;
}
