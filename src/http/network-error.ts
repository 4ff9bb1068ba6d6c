import { publicCause, publicText, publicUrl, XetError } from '../errors.ts';

/** Certificates, redirects in a circle and servers that do not speak TLS: another attempt meets the same. */
const LASTING =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_TLS_|ERR_SSL_|EPROTO)|redirect count exceeded|too many redirects|redirected too many|proxy authentication required/i;
/** No server was reached: nobody knows the name, nobody listens, or there is no way there. */
const UNREACHED =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ConnectionRefused|FailedToOpenSocket|connection refused|dns error/i;
/** Of a mistake in a program, as engines say it; what `fetch` throws is a `TypeError` too. */
const MISTAKE =
  /is not (a function|defined|iterable|a constructor|an object)|(undefined|null) is not|cannot (read|set|destructure|access|convert|use)|of (undefined|null)|has no properties/i;

/** What it means that a request or the reading of its answer failed: mostly `NETWORK`. A mistake in a program stays what it is. */
export function networkError(error: unknown, url: string): unknown {
  const isMistake =
    error instanceof ReferenceError ||
    error instanceof SyntaxError ||
    (error instanceof TypeError && error.cause === undefined && MISTAKE.test(error.message));
  if (isMistake) return error;
  const { code, text, name } = innermost(error);
  if (name === 'MalformedAnswer') {
    const said = `${publicUrl(url)} did not answer as HTTP/1.1 has it: ${publicText(text).slice(0, 300)}.`;
    return new XetError('PROTOCOL', said, { url, cause: publicCause(error) });
  }
  return new XetError('NETWORK', `The connection to ${publicUrl(url)} failed: ${publicText(text).slice(0, 300)}.`, {
    url,
    retryable: !LASTING.test(code) && !LASTING.test(text),
    cause: publicCause(error),
  });
}

/** Whether no server was reached. */
export function isUnreached({ message, cause }: XetError): boolean {
  return UNREACHED.test(innermost(cause).code) || UNREACHED.test(message);
}

/** The innermost reason, which runtimes bury under a general "fetch failed". */
function innermost(error: unknown): { code: string; text: string; name: string } {
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
