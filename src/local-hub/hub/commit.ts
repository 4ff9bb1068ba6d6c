import { type Caller, callerFor } from '../caller.ts';
import { baseUrl, type HubContext } from '../context.ts';
import { asObject, bodyLines } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { parseJson } from '../http/json.ts';
import { HubError } from '../hub-error.ts';
import { type Change, commitChange, type TreeChange } from '../repo/change.ts';
import type { Repo } from '../repo/repo.ts';
import { type RepoId, urlPrefix } from '../repo/repo-id.ts';
import { pointerText, type TreeFile } from '../repo/tree.ts';
import { gitBlobId } from '../store/blob-store.ts';
import type { LargeObject } from '../store/file-store.ts';
import { readableRepo, requireContributor, requireWriter, visitor } from './access.ts';
import { usableObject } from './content-access.ts';
import { flag } from './listing.ts';
import { findCommit } from './locate.ts';

const LIMITS = {
  maxBytes: 256 * 1024 * 1024,
  /** Clients send files of up to 10 MB inline, in base64. */
  maxLineBytes: 16 * 1024 * 1024,
};
const MAX_OPERATIONS = 100_000;
const MAX_SUMMARY_LENGTH = 1000;
const MAX_DESCRIPTION_LENGTH = 64 * 1024;
const SHA256 = /^[0-9a-f]{64}$/;

/** `commit/{revision}`: one line of JSON for the message and one for each operation. */
export async function receiveCommit(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  revision: string,
): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const asPullRequest = flag(exchange.query.get('create_pr'));
  const author =
    asPullRequest || revision.startsWith('refs/pr/')
      ? requireContributor(context, exchange)
      : requireWriter(context, exchange);
  const change = await readChange(context, exchange, callerFor(repo, visitor(context, exchange)), author);
  const { commit, pullRequest } = await repo.exclusively(async () => {
    const base = repo.refs.size === 0 && revision === 'main' ? undefined : await findCommit(repo, revision);
    const pullRequest = asPullRequest ? nextPullRequest(repo) : undefined;
    const ref = pullRequest === undefined ? writableRef(repo, revision) : `refs/pr/${pullRequest}`;
    return { commit: await commitChange(repo, ref, base, change), pullRequest };
  });
  const page = `${baseUrl(context, exchange)}/${urlPrefix(id.type)}${id.name}`;
  await exchange.json(200, {
    success: true,
    commitOid: commit.id,
    commitUrl: `${page}/commit/${commit.id}`,
    hookOutput: '',
    ...(pullRequest !== undefined && { pullRequestUrl: `${page}/discussions/${pullRequest}` }),
  });
}

export function nextPullRequest(repo: Repo): number {
  let last = 0;
  for (const ref of repo.refs.keys()) last = Math.max(last, Number(/^refs\/pr\/(\d{1,9})$/.exec(ref)?.[1] ?? 0));
  return last + 1;
}

/** The ref that a commit to this revision moves; a tag or a commit id stays what it is. */
function writableRef(repo: Repo, revision: string): string {
  if (/^refs\/(heads|pr)\//.test(revision)) return revision;
  const ref = `refs/heads/${revision}`;
  if (repo.refs.has(ref) || (repo.refs.size === 0 && revision === 'main')) return ref;
  throw new HubError(400, `Not a branch: ${revision}`);
}

async function readChange(context: HubContext, exchange: HubExchange, caller: Caller, author: string): Promise<Change> {
  let header: Record<string, unknown> | undefined;
  const operations: TreeChange[] = [];
  let lines = 0;
  for await (const line of bodyLines(exchange.request, LIMITS)) {
    if (++lines > MAX_OPERATIONS + 1) {
      throw new HubError(413, `A commit has at most ${MAX_OPERATIONS} operations. Make several commits.`);
    }
    const text = line.toString();
    if (text.trim() === '') continue;
    const { key, value } = asObject(parseJson(text));
    if (key === 'header') header = asObject(value);
    else operations.push(await readOperation(context, caller, key, asObject(value)));
  }
  const { summary, description, parentCommit } = header ?? {};
  if (typeof summary !== 'string' || summary === '') throw new HubError(400, 'The commit has no summary');
  if (summary.length > MAX_SUMMARY_LENGTH || String(description ?? '').length > MAX_DESCRIPTION_LENGTH) {
    throw new HubError(400, 'The summary or the description of the commit is too long');
  }
  return {
    operations,
    title: summary,
    author,
    date: new Date(context.settings.now()).toISOString(),
    ...(typeof description === 'string' && { description }),
    ...(typeof parentCommit === 'string' && { parentCommit }),
  };
}

async function readOperation(
  context: HubContext,
  caller: Caller,
  key: unknown,
  value: Record<string, unknown>,
): Promise<TreeChange> {
  const { path } = value;
  if (typeof path !== 'string') throw new HubError(400, 'An operation has no path');
  switch (key) {
    case 'file': {
      const { content, encoding } = value;
      if (typeof content !== 'string') throw new HubError(400, `'${path}' has no content`);
      const bytes = Buffer.from(content, encoding === 'utf-8' ? 'utf8' : 'base64');
      return { kind: 'put', path, file: { size: bytes.length, oid: await context.store.blobs.add(bytes) } };
    }
    case 'lfsFile':
      return { kind: 'put', path, file: await largeFile(context, caller, path, value) };
    case 'deletedFile':
    case 'deletedEntry':
      return { kind: 'delete-file', path };
    case 'deletedFolder':
      return { kind: 'delete-folder', path };
    default:
      throw new HubError(400, `Unknown operation: ${String(key)}`);
  }
}

async function largeFile(
  context: HubContext,
  caller: Caller,
  path: string,
  value: Record<string, unknown>,
): Promise<TreeFile> {
  const { algo, oid, size } = value;
  if (algo !== 'sha256' || typeof oid !== 'string' || !SHA256.test(oid)) {
    throw new HubError(400, `'${path}' needs a sha256`);
  }
  const object = await usableObject(context, caller, oid);
  if (!object) {
    throw new HubError(
      400,
      `Your push was rejected because an LFS pointer pointed to a file that does not exist: ${path}`,
    );
  }
  if (size !== undefined && size !== object.size)
    throw new HubError(400, `'${path}' has ${object.size} bytes, not ${size}`);
  return largeTreeFile(oid, object);
}

/** Tree entry of a stored large file. */
export function largeTreeFile(sha256: string, { xetHash, size }: LargeObject): TreeFile {
  const pointer = Buffer.from(pointerText(sha256, size));
  return { size, oid: gitBlobId(pointer), lfs: { sha256, pointerSize: pointer.length }, xetHash };
}
