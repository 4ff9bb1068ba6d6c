import type { LocalCaches } from '../cache/local-caches.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { MemoryBudget } from '../core/budget.ts';
import type { MakeContentHash, Verified } from '../core/content-hash.ts';
import type { Lanes } from '../core/lanes.ts';
import type { MetricsLog } from '../core/metrics.ts';
import type { FileSink } from '../files/place.ts';
import type { Http } from '../http/http.ts';
import type { HubClient } from '../hub/client.ts';
import type { FetchTogether } from './fetch-runs.ts';
import type { Sections } from './sections.ts';
import type { Ahead } from './stages.ts';

export interface EngineParts {
  http: Http;
  hub: HubClient;
  pool: CodecPool;
  budget: MemoryBudget;
  lanes: Lanes;
  makeHash: MakeContentHash;
  attempts: number;
  /** Asks for several ranges at once; undefined where that costs a preflight. */
  together?: FetchTogether | undefined;
  /** Largest data request, in bytes. Default: no limit. */
  requestBytes?: number | undefined;
  /** True if files come through the CAS. */
  xet: boolean;
  /** True if plain HTTP may replace Xet when it cannot serve. */
  fallback: boolean;
  onWarning: (message: string) => void;
  /** True if files are written from start to end. */
  sequentialWrites?: boolean | undefined;
  /** Caches of recipes and chunks. */
  caches?: LocalCaches | undefined;
  /** File bytes that one reconstruction covers at most: its JSON stays small whatever the file's size. */
  windowBytes?: number;
}

export interface ReadOptions {
  signal: AbortSignal;
  /** Notes the requests and bytes of this read. */
  log?: MetricsLog;
  /** Past all caches, as an earlier try gave corrupt data. */
  fresh?: boolean;
  /** Everything over the network, whatever is on this machine. */
  networkOnly?: boolean;
  onNetworkBytes?: (bytes: number) => void;
  /** Called with bytes of content that came from this machine. */
  onCachedBytes?: (bytes: number) => void;
}

export interface StreamOptions extends ReadOptions {
  /** Called with the verification method of the whole file, before the end. */
  onVerified?: (verified: Verified) => void;
  /** Reconstructions shared with other reads of the file. */
  sections?: Sections;
  /** Fetches little more than is taken, as the reader may leave at any moment. */
  cautious?: boolean;
  /** Begins before the range and ends behind it where its chunks do, if that is known. */
  wholeChunks?: boolean;
  /** True if each piece is used only until the next is requested, so its memory may be reused. */
  lent?: boolean;
}

export interface FillOptions extends ReadOptions {
  /** Has its reconstruction, perhaps. */
  ahead?: Ahead | undefined;
  /** Over plain HTTP from the start, as Xet could not serve this file a moment ago. */
  plain?: boolean;
  /** Called when plain HTTP replaces Xet. */
  onFallback?: () => void;
  /** Called with bytes that are already in place. */
  onFound?: (bytes: number) => void;
}

/** Target of a whole file that is written in any order. */
export type FillTarget = Pick<FileSink, 'held' | 'unchecked' | 'read' | 'write'>;
