export type { FetchInput } from './asked.ts';
export type { FetchClient } from './clients.ts';
export type { MatchCache, XetCache, XetCacheOptions } from './match-cache.ts';
export { type ListenOptions, onXetProgress } from './page.ts';
export type { XetProgressMessage } from './worker-messages.ts';
export type { FetchProgress, XetFetch, XetFetchOptions } from './xet-fetch.ts';
