import type { SpawnWorker } from '../../workers/spawn.ts';
import type { OpenLocalCaches } from '../cache/cache-settings.ts';
import type { Codec } from '../codec/codec.ts';
import type { MakeContentHash } from '../core/content-hash.ts';
import type { Shares } from '../core/descriptors.ts';
import type { FetchTogether } from '../download/fetch-together.ts';
import type { TransferPoolOptions } from '../download/transfer/pool.ts';
import type { Transfers } from '../download/transfer/transfers.ts';
import type { HttpOptions } from '../http/http.ts';
import type { HttpTimeouts, TransportName } from '../http/types.ts';
import type { OpenCacheControl } from '../manage/types.ts';
import type { NamePlatform } from '../snapshot/names.ts';
import type { UploadBackend } from '../upload/upload-backend.ts';
import type { FileBackend } from './file-backend.ts';

/** Platform features that reading needs. */
export interface ReaderPlatform {
  /** Sends requests if the caller passes no `fetch`. */
  fetchOf: (transport: TransportName | undefined) => HttpOptions['fetch'];
  /** True if `fetch` also accepts a body in pieces. */
  takesPieces?: boolean;
  /** The codec of the calling thread; undefined where that is to do without. */
  loadCodec: (() => Promise<Codec>) | undefined;
  spawnWorker: SpawnWorker | undefined;
  /** Asks for several ranges with one request; undefined in pages, where that costs a preflight. */
  fetchTogether: FetchTogether | undefined;
  /** Largest data request in bytes; undefined (no limit) where unread data waits at the sender. */
  requestBytes?: number;
  /** Bytes that are decoded on the calling thread before a worker is started; small in pages, which would block. */
  decodeHereBytes?: number;
  /** Processors that may be used. */
  processors: number;
  /** Memory budget where none is given, in bytes. */
  memoryBudgetBytes: number;
  makeContentHash: MakeContentHash;
  /** Endpoint from the environment. */
  defaultEndpoint: () => string | undefined;
  /** True if the environment disables Xet. */
  xetDisabled: () => boolean;
  defaultToken: () => Promise<string | undefined>;
  /** Timeouts from the environment. */
  defaultTimeouts?: () => Partial<HttpTimeouts>;
  /** Limits of parallelism where descriptors are scarce; undefined where they are not. */
  shares?: () => Shares | undefined;
  /** Makes workers that download to files on their own; undefined where the calling thread does that. */
  makeTransfers?: (
    options: Pick<TransferPoolOptions, 'size' | 'settings' | 'onWarning'>,
    transport: TransportName | undefined,
  ) => Transfers;
  /** True if the environment selects offline mode. */
  offline: () => boolean;
}

/** All that differs between browsers, Node, Deno and Bun. An entry of the package picks one. */
export interface Platform extends ReaderPlatform {
  /** Rules for names of files. */
  names: NamePlatform;
  /** Storage for files; undefined without a file system. */
  files: FileBackend | undefined;
  /** Implementation of uploads; undefined if the caller passes it. */
  uploads: UploadBackend | undefined;
  /** Opens the recipe store and the chunk store. */
  openCaches: OpenLocalCaches;
  /** Opens `client.cache`. */
  openCacheControl: OpenCacheControl;
}
