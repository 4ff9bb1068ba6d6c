import type { FetchRange, SignedXorb } from '../../cas/reconstruction.ts';
import type { ChunkRecords } from '../../core/chunks.ts';
import { isXetError, XetError, type XetErrorCode, type XetErrorDetails } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { FileDestination } from '../../files/place.ts';
import type { RetryPolicy } from '../../http/retry-timing.ts';
import type { HttpTimeouts, RetryNotice } from '../../http/types.ts';
import { RangesBelongTogether } from '../open-range.ts';
import type { Piece } from '../plan.ts';
import type { ReadPolicy } from '../read.ts';

/** Settings of the requests that transfer workers make. */
export interface TransferSettings {
  timeouts: HttpTimeouts;
  retry: RetryPolicy;
  encrypted: boolean;
}

/** A job for a transfer worker: ranges of a xorb, and where the chunks of each piece belong in a file. */
export interface TransferOrder {
  id: number;
  xorb: string;
  ranges: readonly FetchRange[];
  /** The signed address of each range. */
  signed: readonly SignedXorb[];
  wanted: readonly ChunkRange[];
  pieces: readonly Piece[];
  destination: FileDestination;
  policy: ReadPolicy;
  attempts: number;
  settings: TransferSettings;
  /** Bytes of the memory budget that the client has set aside for this job. */
  memoryBytes: number;
  /** A frame from which on all is there that is wanted of a single range. */
  start: { chunk: number; byte: number } | undefined;
}

/** Message to a transfer worker. */
export type TransferCommand =
  | { order: TransferOrder }
  | { stop: number }
  | { renewed: number; at: number; signed: SignedXorb }
  | { notRenewed: number; at: number; failure: TransferFailure }
  | { ping: true };

/** Bytes that are in the file, and the chunks that they are. */
export interface WrittenPart {
  at: number;
  length: number;
  chunks: ChunkRecords;
}

/** Counts of a job since its last news. */
export interface TransferCounts {
  /** Bytes received of ranges. */
  received: number;
  /** Bytes of all bodies. */
  network: number;
  requests: number;
  decodedRuns: number;
  writingSeconds: number;
  retries: Partial<Record<XetErrorCode, number>>;
}

/** Message from a transfer worker: records, counts and errors, never content. */
export type TransferNews =
  | { id: number; written: WrittenPart[]; counts: TransferCounts; start: { chunk: number; byte: number } | undefined }
  | { id: number; renew: number; expired: string }
  | { id: number; backOff: true }
  | { id: number; retry: Omit<RetryNotice, 'error'>; failure: TransferFailure }
  | { id: number; ended: TransferFailure | undefined }
  | { pong: true };

/** An error as data: its class and its fields are lost in a message. */
export type TransferFailure =
  | { together: true }
  | { code: XetErrorCode; message: string; details: XetErrorDetails; cause: Cause | undefined }
  | { unknown: string };

interface Cause {
  name: string;
  message: string;
  code: string | undefined;
}

export function failureOf(error: unknown): TransferFailure {
  if (error instanceof RangesBelongTogether) return { together: true };
  if (!isXetError(error)) return { unknown: error instanceof Error ? error.message : String(error) };
  const { code, message, status, url, requestId, retryable, retryAfterMs, serverMessage, cause } = error;
  const details = {
    retryable,
    ...(status !== undefined && { status }),
    ...(url !== undefined && { url }),
    ...(requestId !== undefined && { requestId }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(serverMessage !== undefined && { serverMessage }),
  };
  return { code, message, details, cause: causeOf(cause) };
}

/** The innermost reason, by whose code callers tell failures apart. */
function causeOf(error: unknown): Cause | undefined {
  if (!(error instanceof Error)) return undefined;
  const inner = causeOf(error.cause);
  if (inner) return inner;
  const { name, message } = error;
  return { name, message, code: 'code' in error ? String(error.code) : undefined };
}

export function errorOf(failure: TransferFailure): Error {
  if ('together' in failure) return new RangesBelongTogether();
  if ('unknown' in failure) return new Error(failure.unknown);
  const { code, message, details, cause } = failure;
  if (!cause) return new XetError(code, message, details);
  const reason = new Error(cause.message);
  reason.name = cause.name;
  if (cause.code !== undefined) Object.assign(reason, { code: cause.code });
  return new XetError(code, message, { ...details, cause: reason });
}
