import type { HubContext } from '../context.ts';
import type { RequestKind } from '../faults.ts';
import type { HubExchange } from '../http/exchange.ts';
import { notFound, type Route } from '../http/route.ts';
import { isBucketName, isRepoName, type RepoId } from '../repo/repo-id.ts';
import { receiveBatch } from './bucket-batch.ts';
import { resolveBucketFile, sendBucketPaths, sendBucketTree } from './bucket-files.ts';
import { changeBucketSettings, createBucket, deleteBucket, sendBucketInfo, sendBucketList } from './buckets.ts';
import { sendBucketPage } from './pages.ts';
import { sendBucketToken } from './xet-token.ts';

type Handler = (context: HubContext, exchange: HubExchange, id: RepoId, rest: string[]) => Promise<void>;

/** Routes after a bucket's name below `/api/buckets/`, by method. */
const ACTIONS: Record<string, [RequestKind, Handler]> = {
  'GET ': ['repo', sendBucketInfo],
  'POST ': ['repo', createBucket],
  'DELETE ': ['repo', deleteBucket],
  'PUT settings': ['repo', changeBucketSettings],
  'GET tree': ['tree', sendBucketTree],
  'POST paths-info': ['paths-info', sendBucketPaths],
  'GET xet-read-token': ['token', (c, x, id) => sendBucketToken(c, x, id, 'read')],
  'GET xet-write-token': ['token', (c, x, id) => sendBucketToken(c, x, id, 'write')],
  'POST batch': ['batch', receiveBatch],
};

const isOwnerName = (name: string) => isRepoName(name) && !name.includes('/');

/** Finds what answers a request below `/api/buckets`. */
export function bucketApiRoute(context: HubContext, exchange: HubExchange, words: string[]): Route {
  const [owner = '', name = '', what = '', ...rest] = words;
  const method = exchange.method === 'HEAD' ? 'GET' : exchange.method;
  const hub = (kind: RequestKind, run: () => Promise<void>): Route => ({ family: 'hub', kind, run });
  if (words.length === 1 && isOwnerName(owner) && method === 'GET') {
    return hub('repo', () => sendBucketList(context, exchange, owner));
  }
  const action = name === '' ? undefined : ACTIONS[`${method} ${what}`];
  if (!action) return notFound(exchange);
  const [kind, run] = action;
  return hub(kind, () => run(context, exchange, { type: 'bucket', name: `${owner}/${name}` }, rest));
}

/** Finds what answers a request below `/buckets`: pages of buckets, and the content of their files. */
export function bucketPageRoute(context: HubContext, exchange: HubExchange, words: string[]): Route {
  const [owner = '', name = '', what = '', ...rest] = words;
  const id: RepoId = { type: 'bucket', name: `${owner}/${name}` };
  const reads = exchange.method === 'GET' || exchange.method === 'HEAD';
  if (!reads || !isBucketName(id.name)) return notFound(exchange);
  if (what === 'resolve') {
    return { family: 'hub', kind: 'resolve', run: () => resolveBucketFile(context, exchange, id, rest) };
  }
  if (what !== '' && what !== 'tree') return notFound(exchange);
  return { family: 'hub', kind: 'other', run: () => sendBucketPage(context, exchange, id) };
}
