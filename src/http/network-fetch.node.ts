import { joinBytes } from '../core/chunks.ts';
import type { Environment } from '../core/env.node.ts';
import { environment } from '../core/env.node.ts';
import { publicCause, publicText, publicUrl, XetError } from '../core/errors.ts';
import { hasCustomDispatcher } from './global-dispatcher.node.ts';
import { tellFailuresBy } from './network-error.ts';
import { beneath } from './network-fetch.ts';
import { isPlainBody, nodeRequest } from './node/request.node.ts';
import { routeTo } from './proxy-settings.node.ts';
import { type Hop, isRedirect, nextHop } from './redirects.ts';
import type { HttpResponse, RewriteRedirect, SendingFetch, TransportName } from './types.ts';

const builtIn = beneath(globalThis.fetch);

/** Certificates, redirects in a circle and servers that do not speak TLS, as Node, Deno and Bun name them. */
const LASTING =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_TLS_|ERR_SSL_|EPROTO)|redirect count exceeded|too many redirects|redirected too many|proxy authentication required/i;
const UNREACHED =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ConnectionRefused|FailedToOpenSocket|connection refused|dns error/i;

tellFailuresBy(({ code, text, name }) => {
  if (name === 'MalformedResponse') return 'malformed';
  if (LASTING.test(code) || LASTING.test(text)) return 'lasting';
  return UNREACHED.test(code) || UNREACHED.test(text) ? 'unreached' : undefined;
});

/** Deno and Bun go by the same variables themselves, and have a `fetch` that costs little. */
export const isNotNode = 'Deno' in globalThis || 'Bun' in globalThis;

/**
 * Sends requests in Node, Deno and Bun: like the platform's `fetch`, but it also accepts bodies in pieces, and follows
 * the environment's settings for proxies and certificates.
 */
export function makeNodeFetch(env: Environment, transport: TransportName = 'own'): SendingFetch {
  return async (input, init, rewrite) => {
    const fetch = beneath(globalThis.fetch);
    if (!usesOwnClient(transport) || !isPlainBody(init?.body)) {
      return rewrite ? following(fetch, input, inOne(init), rewrite) : fetch(input, inOne(init));
    }
    try {
      return await nodeRequest(input, init, (url) => routeTo(url, env), rewrite);
    } catch (error) {
      throw untrusted(error, input) ?? error;
    }
  };
}

/** True if requests use our own client: a `fetch` or a dispatcher that the program has set has its own way through the network. */
export function usesOwnClient(transport: TransportName): boolean {
  return transport === 'own' && !isNotNode && beneath(globalThis.fetch) === builtIn && !hasCustomDispatcher();
}

/** A fetch that would not say where redirects lead, asked step by step. */
async function following(
  fetch: typeof globalThis.fetch,
  input: string,
  init: RequestInit = {},
  rewrite: RewriteRedirect,
): Promise<HttpResponse> {
  const headers = new Map(Object.entries((init.headers ?? {}) as Record<string, string>));
  let hop: Hop = { url: new URL(input), method: init.method ?? 'GET', body: init.body, headers };
  for (let redirects = 0; ; redirects++) {
    const { url, method, body } = hop;
    const step = { ...init, method, headers: Object.fromEntries(hop.headers), redirect: 'manual' } as const;
    const response = await fetch(url.href, body === undefined ? { ...step, body: null } : step);
    const location = response.headers.get('location');
    if (!isRedirect(response.status, location)) return response;
    await response.body?.cancel();
    hop = nextHop(hop, response.status, location, redirects, rewrite);
  }
}

/** With a body in pieces put together, as every `fetch` takes it. */
function inOne(init: RequestInit | undefined): RequestInit | undefined {
  return Array.isArray(init?.body) ? { ...init, body: joinBytes(init.body) } : init;
}

/** Of a certificate that nobody here vouches for, and of none: another attempt meets the same. */
function untrusted(error: unknown, url: string): XetError | undefined {
  const { cause } = error instanceof Error ? error : {};
  if (!(cause instanceof Error) || !('code' in cause)) return undefined;
  if (/^(EPROTO|ERR_SSL_WRONG_VERSION_NUMBER)$/.test(String(cause.code))) {
    const said = `${publicUrl(url)} does not speak TLS as it should. Where it is not encrypted, its address begins with http://.`;
    return new XetError('NETWORK', said, { url, cause: publicCause(error) });
  }
  if (!/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|HOSTNAME_|ERR_TLS_CERT_)/.test(String(cause.code)))
    return undefined;
  return new XetError(
    'NETWORK',
    `${publicUrl(url)} shows a certificate that is not trusted here (${publicText(cause.message).slice(0, 200)}). Where a proxy opens what is encrypted, name the file with its certificate in NODE_EXTRA_CA_CERTS.`,
    { url, cause: publicCause(error) },
  );
}

export const nodeFetch = makeNodeFetch(environment);

/** The `fetch` that the option `transport` selects, else the environment. */
export const nodeFetchOf = (transport: TransportName | undefined): SendingFetch =>
  makeNodeFetch(environment, transport ?? transportOf(environment));

/** `XETKIT_HTTP`. Throws `INVALID_ARGUMENT` if it is neither `own` nor `platform`. */
export function transportOf(env: Environment): TransportName {
  const { XETKIT_HTTP: value = '' } = env;
  if (value === '' || value === 'own') return 'own';
  if (value === 'platform') return 'platform';
  throw new XetError('INVALID_ARGUMENT', `XETKIT_HTTP is neither 'own' nor 'platform': ${JSON.stringify(value)}.`);
}
