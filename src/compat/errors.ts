import { isXetError, publicUrl, type XetError } from '../core/errors.ts';

type Json = string | number | boolean | null | Json[] | readonly Json[] | JsonObject;
type JsonObject = { [key in string]: Json } & { [key in string]?: Json | undefined };

/** An answer of the Hub that is no success. Has the name and the fields of the error of `@huggingface/hub`. */
export class HubApiError extends Error {
  override name = 'HubApiError';
  statusCode: number;
  url: string;
  requestId?: string;
  /** Parsed JSON body of the response, or its text as `message`. */
  data?: JsonObject;

  /** Also errors of the original package are some of these: a call may have been handed on to it. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (!(value instanceof Error)) return false;
    const { statusCode, url } = value as { statusCode?: unknown; url?: unknown };
    return typeof statusCode === 'number' && typeof url === 'string';
  }

  constructor(url: string, statusCode: number, requestId?: string, message?: string) {
    super(message ?? `The Hub answered ${statusCode}`);
    this.statusCode = statusCode;
    this.url = url;
    if (requestId !== undefined) this.requestId = requestId;
  }
}

/** An answer that is not of the form that the call has. */
export class InvalidApiResponseFormatError extends Error {
  override name = 'InvalidApiResponseFormatError';
}

/** An answer that was refused. `data` is what its body said. */
export function apiError(
  url: string,
  statusCode: number,
  { requestId, data = {}, cause }: { requestId?: string | undefined; data?: JsonObject; cause?: unknown } = {},
): HubApiError {
  const said = [data.error, data.message, data.error_description].find(
    (text) => typeof text === 'string' && text !== '',
  );
  const shown = publicUrl(url);
  const request = requestId === undefined ? '' : ` Request ID: ${requestId}`;
  const what = typeof said === 'string' ? said.replace(/\.$/, '') : `Api error with status ${statusCode}`;
  const error = new HubApiError(shown, statusCode, requestId, `${what}. URL: ${shown}.${request}`);
  error.data = data;
  if (cause !== undefined) error.cause = cause;
  return error;
}

/**
 * Maps an error of xetkit to the class of `@huggingface/hub`. Errors without a counterpart, such as corrupt data or a
 * full disk, stay `XetError`; other errors are returned unchanged.
 */
export function compatError(error: unknown): unknown {
  if (!isXetError(error)) return error;
  if (error.status !== undefined) return fromAnswer(error, error.status);
  if (error.code === 'INVALID_ARGUMENT') return new TypeError(error.message, { cause: error });
  if (error.code === 'PROTOCOL') return new InvalidApiResponseFormatError(error.message, { cause: error });
  if (error.code === 'NETWORK') return fromFetch(error);
  return error;
}

function fromAnswer(error: XetError, status: number): HubApiError {
  const { requestId, serverMessage, url = '' } = error;
  const data: JsonObject = serverMessage === undefined ? {} : { error: serverMessage };
  return apiError(url, status, { requestId, data, cause: error });
}

/** A `fetch` that fails throws a `TypeError`; one that was given from outside throws whatever it likes. */
function fromFetch(error: XetError): unknown {
  const { cause } = error;
  if (cause === undefined || cause instanceof TypeError) return new TypeError(error.message, { cause: error });
  return cause;
}
