import type { HubAddress, HubAddresses } from './address.ts';

/** What `fetch` takes. */
export type FetchInput = string | URL | Request;

/** A request for a file on the Hub, read off the arguments of `fetch`. */
export interface Asked {
  address: HubAddress;
  method: 'GET' | 'HEAD';
  headers: Headers;
  signal: AbortSignal | undefined;
  /** The Hub token that the request brings itself. */
  token: string | undefined;
  /** Whether only what the Hub says now will do. */
  fresh: boolean;
}

/** The Hub answers this with what is known of a file, not with the file. */
const FILE_INFO = 'vnd.xet-fileinfo';
/** How Node, Deno and Bun are told to go another way through the network. Whoever says so means it. */
const OWN_TRANSPORT = ['dispatcher', 'client', 'proxy', 'unix', 'tls'];

/**
 * What a call of `fetch` asks a Hub for; undefined where it asks for something else, or in a way that only the
 * real thing can answer. Changes nothing: the arguments can be passed on as they are.
 */
export function readAsked(addresses: HubAddresses, input: FetchInput, init: RequestInit = {}): Asked | undefined {
  const address = addressOf(addresses, input);
  if (!address) return undefined;
  const request = isRequest(input) ? input : undefined;
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase();
  if ((method !== 'GET' && method !== 'HEAD') || (init.body ?? null) !== null) return undefined;
  // Redirects are what a plain answer would begin with: somebody wants to see them.
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
  // A token is for the host it was sent to, which an alias of that host need not be.
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

/** Holds for requests of other realms, too. */
export function isRequest(input: FetchInput): input is Request {
  return typeof input === 'object' && 'url' in input;
}

/** Undefined where they are not well-formed: the real `fetch` says so best. */
function readHeaders(given: HeadersInit | undefined): Headers | undefined {
  try {
    return new Headers(given);
  } catch {
    return undefined;
  }
}
