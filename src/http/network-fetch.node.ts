import { joinBytes } from '../chunks.ts';
import { publicUrl, XetError } from '../errors.ts';
import type { Answer } from './http.ts';
import { beneath } from './network-fetch.ts';
import { isPlainBody, nodeRequest } from './node-request.node.ts';
import { type Environment, routeTo } from './proxy-settings.node.ts';

const builtIn = beneath(globalThis.fetch);

/** Deno and Bun go by the same variables themselves, and have a `fetch` that costs little. */
export const isNotNode = 'Deno' in globalThis || 'Bun' in globalThis;

/** What sends requests in Node, Deno and Bun: like the platform's `fetch`, but it also takes bodies in pieces, and goes by what the environment says about proxies and certificates. */
export function makeNodeFetch(env: Environment): (input: string, init?: RequestInit) => Promise<Answer> {
  return async (input, init) => {
    const fetch = beneath(globalThis.fetch);
    // One that somebody put in its place has its own way through the network.
    if (isNotNode || fetch !== builtIn || !isPlainBody(init?.body)) return fetch(input, inOne(init));
    try {
      return await nodeRequest(input, init, (url) => routeTo(url, env));
    } catch (error) {
      throw untrusted(error, input) ?? error;
    }
  };
}

/** With a body in pieces put together, as every `fetch` takes it. */
function inOne(init: RequestInit | undefined): RequestInit | undefined {
  return Array.isArray(init?.body) ? { ...init, body: joinBytes(init.body) } : init;
}

/** Of a certificate that nobody here vouches for: another attempt meets the same one. */
function untrusted(error: unknown, url: string): XetError | undefined {
  const { cause } = error instanceof Error ? error : {};
  if (!(cause instanceof Error) || !('code' in cause)) return undefined;
  if (!/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_)/.test(String(cause.code))) return undefined;
  return new XetError(
    'NETWORK',
    `${publicUrl(url)} shows a certificate that is not trusted here (${cause.message}). Where a proxy opens what is encrypted, name the file with its certificate in NODE_EXTRA_CA_CERTS.`,
    { url, cause: error },
  );
}

export const nodeFetch = makeNodeFetch(process.env);
