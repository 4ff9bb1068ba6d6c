import { stat } from 'node:fs/promises';
import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { callerFor } from './caller.ts';
import { checkContents, invalid } from './check-arguments.ts';
import { type Content, openContent } from './content.ts';
import type { HubContext } from './context.ts';
import { Ingest, type IngestOptions } from './ingest.ts';
import type { BucketChange } from './repo/bucket.ts';
import { type BucketFile, badKey } from './repo/bucket-listing.ts';
import type { RepoId } from './repo/repo-id.ts';

/** Options of `LocalHub.putFiles`. */
export interface PutOptions extends IngestOptions {
  /** Files to delete. */
  deletions?: string[];
  /** Modification time of the files, in milliseconds since 1970. Default: that of files on disk, none for other content. */
  mtimeMs?: number;
}

const OPTIONS = 'deletions:l mtimeMs:n compression:auto|none|lz4|bg4-lz4 chunksPerXorb:c';

/** Checks arguments of `LocalHub.putFiles`. Throws `INVALID_ARGUMENT`. */
export function checkPut(files: Record<string, Content>, given: PutOptions): PutOptions {
  checkContents('putFiles', files);
  for (const path of Object.keys(files)) {
    const bad = badKey(path);
    if (bad) throw invalid(`putFiles: '${path.slice(0, 200)}' cannot name a file of a bucket: ${bad}.`);
  }
  const options = checked('putFiles', given, OPTIONS);
  return { ...options, ...(options.deletions && { deletions: [options.deletions].flat() }) };
}

/** Puts files into a bucket from the server's own side; makes the bucket where there is none. */
export async function putFiles(
  context: HubContext,
  id: RepoId,
  files: Record<string, Content>,
  options: PutOptions = {},
): Promise<{ changed: boolean; files: number }> {
  const bucket = context.buckets.get(id) ?? (await context.buckets.create(id)) ?? context.buckets.get(id);
  if (!bucket) {
    throw new XetError(
      'CONFLICT',
      `The name ${id.name} differs from that of another bucket in case only. Use its name.`,
    );
  }
  return bucket.exclusively(async () => {
    const owner = callerFor(bucket, { name: 'local', known: true, write: true });
    const ingest = new Ingest(context.codec, context.store, owner, options);
    const before = await bucket.files();
    const uploadedAt = context.settings.now();
    const changes: BucketChange[] = [];
    for (const [path, content] of Object.entries(files)) {
      const { size, hash } = await ingest.add((await openContent(content)).pieces());
      const mtime = options.mtimeMs ?? (await mtimeOf(content));
      const file: BucketFile = { xetHash: hash, size, uploadedAt, ...(mtime !== undefined && { mtime }) };
      const present = before.get(path);
      if (present?.xetHash !== hash || present.mtime !== mtime) changes.push([path, file]);
    }
    await ingest.finish();
    for (const path of options.deletions ?? []) if (before.has(path)) changes.push([path]);
    await bucket.change(changes, uploadedAt);
    return { changed: changes.length > 0, files: Object.keys(files).length };
  });
}

async function mtimeOf(content: Content): Promise<number | undefined> {
  if (typeof content === 'string' || content instanceof Uint8Array) return undefined;
  return Math.trunc((await stat(content.file)).mtimeMs);
}
