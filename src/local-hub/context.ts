import type { Codec } from '../codec/codec.ts';
import type { HubExchange } from './http/exchange.ts';
import { senderOf, trustedHost } from './http/sender.ts';
import { type Signer, signPath } from './http/signature.ts';
import type { Settings } from './options.ts';
import type { Bucket } from './repo/bucket.ts';
import type { Repo } from './repo/repo.ts';
import type { RepoId } from './repo/repo-id.ts';
import type { Registry } from './repo/repo-store.ts';
import type { Stored } from './repo/stored.ts';
import type { Store } from './store/store.ts';

/** Context of every handler. */
export interface HubContext {
  settings: Settings;
  codec: Codec;
  store: Store;
  repos: Registry<Repo>;
  buckets: Registry<Bucket>;
  signer: Signer;
  /** Key of the dedup answers of this server. */
  dedupKey: Uint8Array;
  /** `http://host:port` as the server itself sees it. */
  origin: string;
}

/** The repository or bucket of this name. */
export function findStored({ repos, buckets }: HubContext, id: RepoId): Stored | undefined {
  return id.type === 'bucket' ? buckets.get(id) : repos.get(id);
}

export const CAS_PREFIX = '/cas';

/** The server's address as this client reaches it: links must lead there, not to what the server calls itself. */
export function baseUrl(context: HubContext, exchange: HubExchange): string {
  if (context.settings.publicUrl !== undefined) return context.settings.publicUrl;
  const host = trustedHost(exchange.senderFacts, context.settings.senders);
  return host === undefined ? context.origin : `http://${host}`;
}

/** True if the request comes from a page that this Hub does not know. */
export function isForeign(context: HubContext, exchange: HubExchange): boolean {
  return senderOf(exchange.senderFacts, context.settings.senders) === 'foreign';
}

export function casUrl(context: HubContext, exchange: HubExchange): string {
  return context.settings.casUrl ?? `${baseUrl(context, exchange)}${CAS_PREFIX}`;
}

export function nowSeconds(context: HubContext): number {
  return Math.floor(context.settings.now() / 1000);
}

/** A signed address on this server. */
export function signedUrl(
  context: HubContext,
  exchange: HubExchange,
  path: string,
  fields: Record<string, string> = {},
): string {
  const expires = nowSeconds(context) + context.settings.urlLifetimeSeconds;
  return baseUrl(context, exchange) + signPath(context.signer, path, fields, expires);
}
