import type { HubAddress, HubAddresses } from './address.ts';

/** First argument of `fetch`. */
export type FetchInput = string | URL | Request;

/** A request for a file on the Hub, parsed from the arguments of `fetch`. */
export interface HubRequest {
  address: HubAddress;
  method: 'GET' | 'HEAD';
  headers: Headers;
  signal: AbortSignal | undefined;
  /** Hub token that the request carries. */
  token: string | undefined;
  /** True if the request asks for the Hub's current state, bypassing caches. */
  fresh: boolean;
}

/** The Hub answers a request for this media type with metadata of the file instead of the file. */
const FILE_INFO = 'vnd.xet-fileinfo';
/** Options that select another transport in Node, Deno and Bun. A caller who sets one wants that transport. */
const OWN_TRANSPORT = ['dispatcher', 'client', 'proxy', 'unix', 'tls'];

/**
 * The request for a Hub file in a call of `fetch`; undefined if the call asks for anything else, or in a way that only
 * the platform's `fetch` can answer. The arguments are not changed and can be passed on.
 */
export function parseHubRequest(
  addresses: HubAddresses,
  input: FetchInput,
  init: RequestInit = {},
): HubRequest | undefined {
  const address = addressOf(addresses, input);
  if (!address) return undefined;
  const request = isRequest(input) ? input : undefined;
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase();
  if ((method !== 'GET' && method !== 'HEAD') || (init.body ?? null) !== null) return undefined;
  // The Hub answers with redirects, and this caller wants to see them.
  if ((init.redirect ?? request?.redirect ?? 'follow') !== 'follow') return undefined;
  if ((init.integrity ?? request?.integrity ?? '') !== '') return undefined;
  const cache = init.cache ?? request?.cache ?? 'default';
  const mode = init.mode ?? request?.mode ?? 'cors';
  if (cache === 'only-if-cached' || mode === 'same-origin') return undefined;
  if (OWN_TRANSPORT.some((name) => (init as Record<string, unknown>)[name] !== undefined)) return undefined;
  const headers = readHeaders(init.headers ?? request?.headers);
  if (!headers || headers.get('accept')?.includes(FILE_INFO)) return undefined;
  const authorization = headers.get('authorization');
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  // A token belongs to the host that it was sent to, and an alias may be another host.
  if (authorization !== null && (token === undefined || address.alias)) return undefined;
  return {
    address,
    method,
    headers,
    signal: (init.signal === undefined ? request?.signal : init.signal) ?? undefined,
    token,
    fresh: ['no-store', 'no-cache', 'reload'].includes(cache) || /no-(cache|store)/i.test(cacheControl(headers)),
  };
}

const cacheControl = (headers: Headers) => `${headers.get('cache-control')} ${headers.get('pragma')}`;

function addressOf(addresses: HubAddresses, input: FetchInput): HubAddress | undefined {
  const text = isRequest(input) ? input.url : String(input);
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  return URL.canParse(text, base) ? addresses.find(new URL(text, base)) : undefined;
}

/** True for a `Request`, including one of another realm. */
export function isRequest(input: FetchInput): input is Request {
  return typeof input === 'object' && input !== null && 'url' in input;
}

/** Undefined for malformed headers: the platform's `fetch` reports those best. */
function readHeaders(given: HeadersInit | undefined): Headers | undefined {
  try {
    return new Headers(given);
  } catch {
    return undefined;
  }
}
