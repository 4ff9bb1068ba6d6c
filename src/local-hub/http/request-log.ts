import type { RequestKind } from '../faults.ts';

/** One request that was served, or is being served. */
export interface RequestRecord {
  /** The request. */
  kind: RequestKind;
  /** As in `GET`. */
  method: string;
  /** Without the query. */
  path: string;
  /** 0 where the connection was closed before an answer. */
  status: number;
  /** Bytes of the response body that were handed to the connection. */
  bytesSent: number;
  /** The `Range` header, as it was sent. */
  range?: string;
  /** True if the request had an `Authorization` header. */
  authorized: boolean;
  /** By the Hub's clock, in milliseconds. */
  startedAt: number;
}

/** The latest requests, oldest first. */
export class RequestLog {
  readonly records: RequestRecord[] = [];
  readonly #capacity: number;

  constructor(capacity = 100_000) {
    this.#capacity = capacity;
  }

  add(record: RequestRecord): void {
    // Dropped in batches: taking one off the front for every request would move the rest each time.
    if (this.records.length >= this.#capacity) this.records.splice(0, Math.ceil(this.#capacity / 10));
    this.records.push(record);
  }

  clear(): void {
    this.records.length = 0;
  }
}
