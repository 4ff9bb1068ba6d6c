import type { Verified } from '../core/content-hash.ts';
import type { MetricsLog } from '../core/metrics.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { FileSink } from '../files/place.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { Sections } from './sections.ts';
import type { Ahead } from './stages.ts';

/** A file whose bytes are in a CAS. */
export type CasFile = ResolvedFile & { xetHash: string };

/**
 * Sources that a read may use: `any`; the `network` only; or `refetch`, the network past all HTTP caches, as an earlier try gave
 * corrupt data and what is known of the file may be wrong.
 */
export type ReadPolicy = 'any' | 'network' | 'refetch';

/** Receiver of the counts of a read, in bytes. */
export interface Report {
  /** Bytes that came over the network. */
  network?(bytes: number): void;
  /** Content that came from caches and other files on this machine. */
  cached?(bytes: number): void;
  /** Content that was in its place before. */
  placed?(bytes: number): void;
}

/** One read of a file: what the caller wants. Made once, and passed by reference. */
export interface Read<F extends ResolvedFile = ResolvedFile> {
  readonly file: F;
  /** Half-open. */
  readonly range: ByteRange;
  readonly signal: AbortSignal;
  readonly policy: ReadPolicy;
  /** Counts requests and bytes into the log of this read. */
  readonly http: Http;
  readonly report: Report;
}

export interface ReadOptions {
  signal: AbortSignal;
  /** Notes the requests and bytes of this read. */
  log?: MetricsLog;
  /** Default: any. */
  policy?: ReadPolicy;
  report?: Report;
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
}

/** Target of a whole file that is written in any order. */
export type FillTarget = Pick<FileSink, 'held' | 'unchecked' | 'read' | 'write' | 'destination' | 'note'>;

/** The whole of a file. */
export const wholeOf = ({ size }: ResolvedFile): ByteRange => ({ start: 0, end: size });

/** True if a read ends with the verification of its file. */
export function isWhole({ file, range }: Pick<Read, 'file' | 'range'>): boolean {
  return range.start === 0 && range.end === file.size;
}
