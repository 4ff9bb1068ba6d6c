import { checked, XET_CACHE } from '../core/arguments.ts';
import type { FetchInput } from './asked.ts';
import { type MakeClient, XetFetcher, type XetFetchOptions } from './xet-fetch.ts';

/** What libraries ask of a cache of their own making, after the `Cache` of browsers. */
export interface MatchCache {
  /** The answer that is kept for a request, if there is one. */
  match(request: FetchInput): Promise<Response | undefined>;
  /** Keeps an answer. */
  put(request: FetchInput, response: Response): Promise<void>;
  /** Forgets an answer; says whether there was one. */
  delete?(request: FetchInput): Promise<boolean>;
}

/** What the cache answers, and what it leaves to another one. */
export interface XetCacheOptions extends XetFetchOptions {
  /** Where all else is looked for and kept, such as a `Cache` of the browser. Default: nowhere. */
  rest?: MatchCache;
}

/**
 * A cache that has every file of the Hub: libraries that ask their cache first get it from there, through
 * Xet. What the Hub does not have, or not for this token, is a miss, so that they find out as they are used to.
 */
export interface XetCache extends MatchCache {
  /** Removes what `rest` has of it. What is of the Hub is not kept here, but by the client, which bounds it by itself. */
  delete(request: FetchInput): Promise<boolean>;
  /** Ends what is under way, and the clients that were made for this. */
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
      // What is of the Hub is kept in chunks already. Nobody waits for the cancelling: that of a copy lasts until its
      // other half has been read, mostly by who waits for this.
      response.body?.cancel().catch(() => undefined);
    },
    delete: async (request) => (await rest?.delete?.(request)) ?? false,
    close: () => fetcher.close(),
  };
}
