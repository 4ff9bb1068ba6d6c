import { ZERO_HASH } from '../../core/hash.ts';
import { baseUrl, type HubContext } from '../context.ts';
import { readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import { type BucketEntry, type BucketFile, listPage } from '../repo/bucket-listing.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { readableBucket } from './access.ts';
import { flag, positive } from './listing.ts';
import { sendLinked } from './resolve.ts';

const PAGE_ENTRIES = 1000;
const MAX_PAGE_ENTRIES = 5000;
const MAX_PATHS = 1000;
const MAX_PATHS_BODY_BYTES = 8 * 1024 * 1024;

/** `tree[/{prefix}]`, page by page. A prefix that nothing begins with, or an empty bucket, gives an empty page. */
export async function sendBucketTree(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  rest: string[],
): Promise<void> {
  const bucket = readableBucket(context, exchange, id);
  const { query } = exchange;
  const files = await bucket.files();
  const page = listPage(files, await bucket.paths(), {
    prefix: rest.join('/'),
    recursive: flag(query.get('recursive')),
    limit: Math.min(MAX_PAGE_ENTRIES, positive(query.get('limit')) ?? PAGE_ENTRIES),
    from: readCursor(query.get('cursor')),
  });
  const headers: Record<string, string> = {};
  if (page.next !== undefined) {
    const next = new URLSearchParams(query);
    next.set('cursor', Buffer.from(page.next).toString('base64url'));
    headers.link = `<${baseUrl(context, exchange)}${exchange.path}?${next}>; rel="next"`;
  }
  await exchange.json(200, page.entries.map(describe), headers);
}

/** `paths-info`: the files among some paths. Folders and unknown paths are left out. */
export async function sendBucketPaths(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const bucket = readableBucket(context, exchange, id);
  const { paths } = await readJsonObject(exchange.request, MAX_PATHS_BODY_BYTES);
  if (!Array.isArray(paths) || paths.length > MAX_PATHS || !paths.every((path) => typeof path === 'string')) {
    throw new HubError(400, `"paths" must be a list of at most ${MAX_PATHS} strings`);
  }
  const files = await bucket.files();
  const found = paths.flatMap((path: string): BucketEntry[] => {
    const file = files.get(path);
    return file ? [{ path, file, uploadedAt: file.uploadedAt }] : [];
  });
  await exchange.json(200, found.map(describe));
}

/** `/buckets/{owner}/{name}/resolve/{path}`: where a file's content is. */
export async function resolveBucketFile(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  rest: string[],
): Promise<void> {
  const bucket = readableBucket(context, exchange, id);
  const path = rest.join('/');
  const file = (await bucket.files()).get(path);
  if (!file) throw new HubError(404, 'Entry not found', 'EntryNotFound');
  const { xetHash, size, contentType, mtime, uploadedAt } = file;
  const fields: Record<string, string> = contentType === undefined ? {} : { type: contentType };
  const changed = new Date(mtime ?? uploadedAt).toUTCString();
  await sendLinked(context, exchange, id, { path }, { xetHash, size, etag: xetHash }, fields, {
    'last-modified': changed,
  });
}

function describe({ path, file, uploadedAt }: BucketEntry) {
  if (!file) return { type: 'directory', path, uploadedAt: isoTime(uploadedAt) };
  return { type: 'file', path, ...describeFile(file) };
}

/** Fields of a file in listings and events. */
export function describeFile({ size, xetHash, mtime, uploadedAt, contentType }: BucketFile) {
  return {
    size,
    xetHash: size === 0 ? ZERO_HASH : xetHash,
    ...(mtime !== undefined && { mtime: isoTime(mtime) }),
    uploadedAt: isoTime(uploadedAt),
    ...(contentType !== undefined && { contentType }),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function readCursor(cursor: string | null): string | undefined {
  return cursor === null ? undefined : Buffer.from(cursor, 'base64url').toString();
}
