import { publicCause, publicText, publicUrl, XetError } from '../core/errors.ts';

/**
 * `lasting`: another attempt meets the same, as with certificates. `unreached`: no server was reached, as nobody knows the
 * name, nobody listens or there is no way there. `malformed`: what answers does not speak HTTP.
 */
export type FailureKind = 'lasting' | 'unreached' | 'malformed' | undefined;
export interface Failure {
  code: string;
  text: string;
  name: string;
}

/** Browsers say of no failure which it was. */
let kindOf = (_: Failure): FailureKind => undefined;

/** Has failures told apart by the names that they have on this platform. */
export function tellFailuresBy(how: typeof kindOf): void {
  kindOf = how;
}

/** Of a mistake in a program, as engines say it; what `fetch` throws is a `TypeError` too. */
const MISTAKE =
  /is not (an? (function|constructor|object)|defined|iterable)|(undefined|null) is not|cannot (read|set|destructure|access|convert|use)|of (undefined|null)|has no prop/i;

/** Turns the failure of a request, or of reading its answer, into an `XetError`, mostly `NETWORK`. Programming errors are returned unchanged. */
export function networkError(error: unknown, url: string): unknown {
  const isMistake =
    error instanceof ReferenceError ||
    error instanceof SyntaxError ||
    (error instanceof TypeError && error.cause === undefined && MISTAKE.test(error.message));
  if (isMistake) return error;
  const failure = innermost(error);
  const kind = kindOf(failure);
  return new XetError(
    kind === 'malformed' ? 'PROTOCOL' : 'NETWORK',
    `The connection to ${publicUrl(url)} failed: ${publicText(failure.text).slice(0, 300)}.`,
    { url, retryable: kind === undefined || kind === 'unreached', cause: publicCause(error) },
  );
}

/** True if no server was reached. */
export function isUnreached({ message, cause }: XetError): boolean {
  return kindOf({ ...innermost(cause), text: message }) === 'unreached';
}

/** The innermost reason, which runtimes bury under a general "fetch failed". */
function innermost(error: unknown): Failure {
  let reason = error;
  // Of several addresses of a host each failed in its own way.
  while (reason instanceof Error && (reason.cause ?? firstOf(reason)) instanceof Error)
    reason = reason.cause ?? firstOf(reason);
  if (!(reason instanceof Error)) return { code: '', text: String(reason), name: '' };
  const code = 'code' in reason ? String(reason.code) : '';
  return { code, text: reason.message || code || reason.name, name: reason.name };
}

const firstOf = (error: Error): unknown =>
  'errors' in error && Array.isArray(error.errors) ? error.errors[0] : undefined;
