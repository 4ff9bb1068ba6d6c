import { CAS_PREFIX, findStored } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import type { Route } from '../http/route.ts';
import { isRepoName, typeOfPlural } from '../repo/repo-id.ts';
import { mirrorCasRoute, sendMirrorXorb, XORB_PREFIX } from './cas-routes.ts';
import { mirrorHubRoute } from './hub-routes.ts';
import type { Mirror } from './mirror.ts';
import { FILE_PREFIX, sendWholeFile } from './resolve.ts';
import { statusRoute } from './status.ts';
import { parseTarget } from './target.ts';

/** Finds what answers a request; `undefined` for what is local. */
export function mirrorRoute(mirror: Mirror, exchange: HubExchange): Route | undefined {
  mirror.metrics.add('requests', 1);
  // The target is appended to the upstream's address, which only a path cannot change.
  if (!exchange.path.startsWith('/')) return undefined;
  const [first = '', second = '', ...rest] = exchange.segments;
  const reads = exchange.method === 'GET' || exchange.method === 'HEAD';
  if (reads && first === XORB_PREFIX) {
    return { family: 'signed', kind: 'xorb', run: () => sendMirrorXorb(mirror, exchange, second) };
  }
  if (reads && first === FILE_PREFIX) {
    return { family: 'signed', kind: 'bridge', run: () => sendWholeFile(mirror, exchange, second) };
  }
  if (`/${first}` === CAS_PREFIX) {
    return mirror.tokens.isOwn(exchange.bearer()) ? mirrorCasRoute(mirror, exchange, [second, ...rest]) : undefined;
  }
  if (['xorbs', 'xorb-uploads', 'xet-bridge', 'lfs', 'v1'].includes(first) || isLocal(mirror, exchange))
    return undefined;
  return statusRoute(mirror, exchange) ?? mirrorHubRoute(mirror, exchange);
}

/** True for a repository or bucket of this folder: it comes before one of the same name at the upstream. */
function isLocal({ context }: Mirror, exchange: HubExchange): boolean {
  const { repo } = parseTarget(exchange.segments) ?? {};
  const [kind, ...words] = repo?.split('/') ?? [];
  const type = kind === 'buckets' ? 'bucket' : typeOfPlural(kind);
  const name = words.join('/').replace(/\.git$/, '');
  return type !== undefined && isRepoName(name) && findStored(context, { type, name }) !== undefined;
}
