/** The words that clients know in `X-Error-Code`. */
export type HubErrorCode = 'RepoNotFound' | 'RevisionNotFound' | 'EntryNotFound' | 'GatedRepo';

/** A request that gets an error for an answer. */
export class HubError extends Error {
  readonly status: number;
  readonly code: HubErrorCode | undefined;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, code?: HubErrorCode, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}
