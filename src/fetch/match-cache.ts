import { checked, XET_CACHE } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { FetchInput } from './hub-request.ts';
import { type MakeClient, XetFetcher, type XetFetchOptions } from './xet-fetch.ts';

/** The cache interface that libraries accept, modelled on the browser's `Cache`. */
export interface MatchCache {
  /** The stored response for a request, if there is one. */
  match(request: FetchInput): Promise<Response | undefined>;
  /** Stores a response. */
  put(request: FetchInput, response: Response): Promise<void>;
  /** Deletes a response; resolves to false if there was none. */
  delete?(request: FetchInput): Promise<boolean>;
}

/** Options of `createXetCache`. */
export interface XetCacheOptions extends XetFetchOptions {
  /** A cache for all other requests, such as a browser `Cache`. Default: none; they miss. */
  rest?: MatchCache;
}

/**
 * A cache that contains every file of the Hub: a library that looks into its cache first gets files from it, over Xet.
 * A file that the Hub does not have, or not for this token, is a miss, so that the library meets the Hub's own error.
 */
export interface XetCache extends MatchCache {
  /** Deletes from `rest`. Hub files are cached by the client, within its own limits, and are not deleted. */
  delete(request: FetchInput): Promise<boolean>;
  /** Ends transfers under way, and closes the clients that were created for this cache. */
  close(): Promise<void>;
}

export function makeXetCache(given: XetCacheOptions, makeClient: MakeClient): XetCache {
  const { rest, ...options } = checked('createXetCache', given, XET_CACHE);
  const fetcher = new XetFetcher(options, makeClient);
  return {
    async match(request) {
      if (!fetcher.handles(request)) return rest?.match(request);
      const response = await fetcher.fetch(request);
      if (response.ok) return response;
      await response.body?.cancel();
      return undefined;
    },
    async put(request, response) {
      if (rest && !fetcher.handles(request)) return rest.put(request, response);
      if (!(response instanceof Response))
        throw new XetError('INVALID_ARGUMENT', 'put(request, response) takes a Response.');
      // Hub files are cached as chunks already. The cancellation is not awaited: a clone's takes until the other clone
      // has been read, often by the caller of put itself.
      response.body?.cancel().catch(() => undefined);
    },
    delete: async (request) => (await rest?.delete?.(request)) ?? false,
    close: () => fetcher.close(),
  };
}
