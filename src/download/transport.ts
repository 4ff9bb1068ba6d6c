import type { LocalCaches } from '../cache/local-caches.ts';
import type { CasVersions } from '../cas/client.ts';
import type { BatchForms } from '../cas/reconstructions-ahead.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { MemoryBudget } from '../core/budget.ts';
import type { MakeContentHash } from '../core/content-hash.ts';
import type { Lanes } from '../core/lanes.ts';
import type { Http } from '../http/http.ts';
import type { HubClient } from '../hub/client.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { runBufferBytes } from '../xorb/frames.ts';
import type { FetchTogether } from './fetch-together.ts';
import { ThroughputAverage } from './hedge.ts';
import { RangeRules } from './open-range.ts';
import { RUN_BYTES } from './range-part.ts';

/** Objects and settings of a client that its transport is made of. */
export interface TransportParts {
  http: Http;
  hub: HubClient;
  pool: CodecPool;
  budget: MemoryBudget;
  lanes: Lanes;
  makeHash: MakeContentHash;
  /** Attempts at a request. */
  attempts: number;
  /** Requests several ranges at once; undefined where that costs a preflight. */
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

/** Everything that all reads of a client share. Made once, and passed by reference. */
export interface Transport extends TransportParts {
  /** Usual speed of data requests. */
  readonly pace: ThroughputAverage;
  /** Memory for runs of frames. */
  readonly buffers: RunBuffers;
  /** Request forms that servers accept. */
  readonly rules: RangeRules;
  readonly casVersions: CasVersions;
  /** The form of batch reconstruction that each CAS answers. */
  readonly batchForms: BatchForms;
}

export function createTransport(parts: TransportParts): Transport {
  return {
    ...parts,
    pace: new ThroughputAverage(),
    buffers: new RunBuffers(runBufferBytes(RUN_BYTES)),
    rules: new RangeRules(parts.requestBytes),
    casVersions: new Map(),
    batchForms: new Map(),
  };
}
