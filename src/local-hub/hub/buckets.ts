import { baseUrl, type HubContext } from '../context.ts';
import { readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import type { Bucket } from '../repo/bucket.ts';
import { isBucketName, type RepoId } from '../repo/repo-id.ts';
import { maySee, readableBucket, requireKnown, requireWriter, visitor, writableBucket } from './access.ts';
import { positive } from './listing.ts';
import { readOptionalObject } from './refs.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const PAGE_BUCKETS = 100;

/** `POST /api/buckets/{owner}/{name}`. */
export async function createBucket(context: HubContext, exchange: HubExchange, asked: RepoId): Promise<void> {
  requireWriter(context, exchange);
  const [owner = '', ...last] = asked.name.split('/');
  const id: RepoId = { type: 'bucket', name: [ownerOf(context, exchange, owner), ...last].join('/') };
  const { visibility, private: hidden } = await readOptionalObject(exchange);
  if (visibility !== undefined && visibility !== 'public' && visibility !== 'private') {
    throw new HubError(400, `"visibility" must be "public" or "private"`);
  }
  if (!isBucketName(id.name)) throw new HubError(400, `Invalid bucket name: ${id.name.slice(0, 200)}`);
  const secret = visibility === 'private' || hidden === true;
  if (secret) requireKnown(context, exchange);
  const url = `${baseUrl(context, exchange)}/buckets/${id.name}`;
  const bucket = await context.buckets.create(id, { private: secret });
  if (!bucket) {
    const error = `You already created this bucket: ${id.name}`;
    return exchange.json(409, { error, url }, { 'x-error-message': error });
  }
  await exchange.json(200, { url, name: id.name, id: bucket.record.id });
}

/** `GET /api/buckets/{owner}/{name}`. */
export async function sendBucketInfo(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  await exchange.json(200, await describe(readableBucket(context, exchange, id)));
}

/** `GET /api/buckets/{owner}`: the buckets of an owner that the visitor may see, page by page. */
export async function sendBucketList(context: HubContext, exchange: HubExchange, word: string): Promise<void> {
  const who = visitor(context, exchange);
  const owner = ownerOf(context, exchange, word);
  const search = exchange.query.get('search')?.toLowerCase() ?? '';
  const found = context.buckets
    .list('bucket')
    .filter((bucket) => bucket.id.name.startsWith(`${owner}/`) && maySee(bucket, who))
    .filter((bucket) =>
      bucket.id.name
        .slice(owner.length + 1)
        .toLowerCase()
        .includes(search),
    )
    .sort((a, b) => (a.id.name < b.id.name ? -1 : 1));
  const from = exchange.query.get('cursor') ?? '';
  const rest = found.filter((bucket) => bucket.id.name > from);
  const page = rest.slice(0, Math.min(PAGE_BUCKETS, positive(exchange.query.get('limit')) ?? PAGE_BUCKETS));
  const headers: Record<string, string> = {};
  const last = page.at(-1);
  if (last && page.length < rest.length) {
    const query = new URLSearchParams(exchange.query);
    query.set('cursor', last.id.name);
    headers.link = `<${baseUrl(context, exchange)}${exchange.path}?${query}>; rel="next"`;
  }
  await exchange.json(200, await Promise.all(page.map(describe)), headers);
}

export async function deleteBucket(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  writableBucket(context, exchange, id);
  if (!(await context.buckets.delete(id))) throw new HubError(404, 'Bucket not found', 'RepoNotFound');
  await exchange.text(200, 'OK');
}

export async function changeBucketSettings(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const bucket = writableBucket(context, exchange, id);
  const { private: hidden, visibility } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  const secret = visibility === 'public' || visibility === 'private' ? visibility === 'private' : hidden;
  if (typeof secret !== 'boolean') throw new HubError(400, '"private" must be true or false');
  if (secret) requireKnown(context, exchange);
  await bucket.update({ private: secret });
  await exchange.json(200, { private: secret });
}

/** An owner as addresses of new buckets and of lists name it: `me` is the visitor. */
function ownerOf(context: HubContext, exchange: HubExchange, word: string): string {
  if (word !== 'me') return word;
  const { name, write } = visitor(context, exchange);
  if (name === undefined && !write) throw new HubError(401, 'Invalid username or password.');
  return name ?? 'local';
}

async function describe(bucket: Bucket) {
  const { id, record } = bucket;
  const { size, files, updatedAt } = await bucket.totals();
  return {
    _id: record.id,
    id: id.name,
    author: id.name.slice(0, id.name.indexOf('/')),
    private: record.private,
    createdAt: record.createdAt,
    updatedAt: new Date(updatedAt).toISOString(),
    size,
    totalFiles: files,
  };
}
