export type { FetchInput } from './hub-request.ts';
export type { MatchCache, XetCache, XetCacheOptions } from './match-cache.ts';
export type { FetchClient } from './token-clients.ts';
export { type ListenOptions, onXetProgress, type XetProgressMessage } from './worker-messages.ts';
export type { FetchProgress, XetFetch, XetFetchOptions } from './xet-fetch.ts';
