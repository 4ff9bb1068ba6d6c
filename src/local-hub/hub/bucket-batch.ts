import { isHashHex, ZERO_HASH } from '../../core/hash.ts';
import { printable } from '../../snapshot/names.ts';
import { type Caller, callerFor } from '../caller.ts';
import { findStored, type HubContext } from '../context.ts';
import { asObject, bodyLines } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { parseJson } from '../http/json.ts';
import { HubError } from '../hub-error.ts';
import type { BucketChange } from '../repo/bucket.ts';
import { type BucketFile, badKey } from '../repo/bucket-listing.ts';
import { isRepoName, isRepoType, type RepoId } from '../repo/repo-id.ts';
import { mayRead, visitor, writableBucket } from './access.ts';
import { readableFile } from './content-access.ts';

const MAX_OPERATIONS = 1000;
const MAX_FILES = 1_000_000;
const LIMITS = { maxBytes: 16 * 1024 * 1024, maxLineBytes: 64 * 1024 };
const CONTENT_TYPE = /^[\w.+-]{1,64}\/[\w.+-]{1,64}(?:; ?charset=[\w-]{1,32})?$/;
/** The last time that a date can name. */
const MAX_TIME_MS = 8.64e15;

/** An operation that was well-formed. */
type Operation = { path: string } & (
  | { type: 'deleteFile' }
  | ({ type: 'addFile' } & Stats)
  | ({ type: 'copyFile'; source: RepoId } & Stats)
);

type Stats = { xetHash: string; mtime?: number; contentType?: string };

/**
 * `batch`: adds, copies and deletes files. An operation that fails does not hold up the others. Deleting what is not
 * there succeeds, so that a batch can be sent again. The status is 422 if all fail.
 */
export async function receiveBatch(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const bucket = writableBucket(context, exchange, id);
  const operations = await readOperations(exchange);
  const caller = callerFor(bucket, visitor(context, exchange));
  const failed: { path: string; error: string }[] = [];
  await bucket.exclusively(async () => {
    const now = context.settings.now();
    const changes: BucketChange[] = [];
    const touched = new Set<string>();
    const files = await bucket.files();
    let room = MAX_FILES - files.size;
    for (const operation of operations) {
      const { path } = operation;
      const found = await outcome(context, caller, operation, now);
      if (typeof found === 'string') failed.push({ path, error: found });
      else if (found && !files.has(path) && room-- <= 0) {
        failed.push({ path, error: `A bucket holds at most ${MAX_FILES} files` });
      } else if (found || files.has(path) || touched.has(path)) {
        touched.add(path);
        changes.push(found ? [path, found] : [path]);
      }
    }
    await bucket.change(changes, now);
  });
  const processed = operations.length;
  const all = processed > 0 && failed.length === processed;
  await exchange.json(all ? 422 : 200, {
    success: failed.length === 0,
    processed,
    succeeded: processed - failed.length,
    failed,
  });
}

/** The new file, nothing for a deletion, or why the operation fails. */
async function outcome(
  context: HubContext,
  caller: Caller,
  operation: Operation,
  now: number,
): Promise<BucketFile | undefined | string> {
  const bad = badKey(operation.path);
  if (bad) return `Invalid path '${printable(operation.path.slice(0, 200))}': ${bad}`;
  if (operation.type === 'deleteFile') return undefined;
  const { xetHash, mtime, contentType } = operation;
  const size =
    operation.type === 'addFile'
      ? (await readableFile(context, caller, xetHash))?.size
      : await sizeAtSource(context, caller, operation.source, xetHash);
  if (size === undefined) {
    return operation.type === 'addFile'
      ? `No content with the hash ${xetHash} was uploaded to this bucket`
      : `The source has no file with the hash ${xetHash}, or you may not read it`;
  }
  return {
    xetHash,
    size,
    uploadedAt: now,
    ...(mtime !== undefined && { mtime }),
    ...(contentType !== undefined && { contentType }),
  };
}

/** The size of a file that the caller may read at another place. */
async function sizeAtSource(
  context: HubContext,
  caller: Caller,
  source: RepoId,
  xetHash: string,
): Promise<number | undefined> {
  const stored = findStored(context, source);
  if (!stored || !mayRead(stored, caller)) return undefined;
  if (xetHash !== ZERO_HASH && !(await stored.held()).files.has(xetHash)) return undefined;
  return (await context.store.files.file(xetHash))?.size;
}

async function readOperations(exchange: HubExchange): Promise<Operation[]> {
  const operations: Operation[] = [];
  for await (const line of bodyLines(exchange.request, LIMITS)) {
    const text = line.toString();
    if (text.trim() === '') continue;
    if (operations.length === MAX_OPERATIONS) {
      throw new HubError(413, `A batch has at most ${MAX_OPERATIONS} operations. Send several batches.`);
    }
    operations.push(readOperation(asObject(parseJson(text))));
  }
  return operations;
}

function readOperation(value: Record<string, unknown>): Operation {
  const { type, path } = value;
  if (typeof path !== 'string') throw new HubError(400, 'An operation has no "path"');
  switch (type) {
    case 'deleteFile':
      return { type, path };
    case 'addFile':
      return { type, path, ...readStats(value) };
    case 'copyFile': {
      const { sourceRepoType, sourceRepoId } = value;
      const known = sourceRepoType === 'bucket' || isRepoType(sourceRepoType);
      if (!known || typeof sourceRepoId !== 'string' || !isRepoName(sourceRepoId)) {
        throw new HubError(400, 'A copy needs "sourceRepoType" and "sourceRepoId"');
      }
      return {
        type,
        path,
        ...readStats(value),
        source: { type: sourceRepoType as RepoId['type'], name: sourceRepoId },
      };
    }
    default:
      throw new HubError(400, `Unknown operation: ${printable(String(type).slice(0, 100))}`);
  }
}

function readStats({ xetHash, mtime, contentType }: Record<string, unknown>): Stats {
  if (!isHashHex(xetHash)) throw new HubError(400, '"xetHash" must be 64 hexadecimal digits');
  if (mtime !== undefined && (typeof mtime !== 'number' || !(Math.abs(mtime) <= MAX_TIME_MS))) {
    throw new HubError(400, '"mtime" must be a number of milliseconds since 1970');
  }
  if (contentType !== undefined && (typeof contentType !== 'string' || !CONTENT_TYPE.test(contentType))) {
    throw new HubError(400, '"contentType" must be a media type');
  }
  return {
    xetHash,
    ...(typeof mtime === 'number' && { mtime: Math.trunc(mtime) }),
    ...(typeof contentType === 'string' && { contentType }),
  };
}
