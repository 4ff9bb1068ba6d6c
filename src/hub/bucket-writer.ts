import { publicText, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import type { HubRequests } from './entries.ts';
import { apiUrl, repoText } from './repo.ts';
import { incomplete, type RepoId, type RepoType } from './types.ts';

/** One change of a bucket. Times are in milliseconds since 1970. */
export type FileChange =
  | { type: 'addFile'; path: string; xetHash: string; mtimeMs: number }
  | { type: 'copyFile'; path: string; xetHash: string; mtimeMs: number; source: RepoId }
  | { type: 'deleteFile'; path: string };

/** A change that the Hub did not make. */
export interface FailedChange {
  /** Path in the bucket. */
  path: string;
  /** The Hub's reason. */
  message: string;
}

/** The Hub accepts at most this many changes per call. */
const MAX_CHANGES = 1000;
/** Limit of a response: every change may have failed, with a reason. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

/**
 * Makes changes to a bucket, and returns those that the Hub refused. They are made one by one, so the others are in
 * place. Repeating a change does no harm, so a call without an answer is sent again.
 */
export async function changeBucket(
  hub: HubRequests,
  repo: RepoId,
  changes: readonly FileChange[],
  signal: AbortSignal,
): Promise<FailedChange[]> {
  const failed: FailedChange[] = [];
  for (let at = 0; at < changes.length; at += MAX_CHANGES) {
    for (const failure of await sendBatch(hub, repo, changes.slice(at, at + MAX_CHANGES), signal)) failed.push(failure);
  }
  return failed;
}

async function sendBatch(
  hub: HubRequests,
  repo: RepoId,
  changes: readonly FileChange[],
  signal: AbortSignal,
): Promise<FailedChange[]> {
  const url = apiUrl(hub.endpoint, repo, 'batch');
  const headers = { ...(await hub.headers()), 'content-type': 'application/x-ndjson' };
  const text = changes.map((change) => `${JSON.stringify(wireForm(change))}\n`).join('');
  // Of 422 none, of 200 not all of the changes need have been made; both answers list those that were not.
  const { body, reply } = await hub.http.json(
    { kind: 'hub', url, method: 'POST', headers, body: text, signal, accept: [422] },
    MAX_RESPONSE_BYTES,
  );
  const { success, failed, error } = isRecord(body) ? body : {};
  if (!Array.isArray(failed)) {
    if (reply.status === 200 && success === true) return [];
    if (typeof error !== 'string') throw incomplete(url, 'the outcome of the changes');
    const serverMessage = publicText(error).slice(0, 300);
    const { status } = reply;
    throw new XetError('SERVER', `${repoText(repo)} refused all changes: ${serverMessage}`, {
      status,
      url,
      serverMessage,
    });
  }
  const sent = new Set(changes.map(({ path }) => path));
  const failures = failed.filter(isRecord).flatMap(({ path, error }) => {
    const message = typeof error === 'string' ? publicText(error).slice(0, 300) : 'no reason given';
    return typeof path === 'string' && sent.has(path) ? [{ path, message }] : [];
  });
  // What is said of other paths says nothing about these.
  if (failures.length < failed.length || (failures.length === 0 && (reply.status === 422 || success === false))) {
    throw incomplete(url, 'the changes that failed');
  }
  return failures;
}

function wireForm(change: FileChange): Record<string, unknown> {
  const { type, path } = change;
  if (type === 'deleteFile') return { type, path };
  const { xetHash, mtimeMs } = change;
  const source: { sourceRepoType?: RepoType; sourceRepoId?: string } =
    type === 'copyFile' ? { sourceRepoType: change.source.type, sourceRepoId: change.source.name } : {};
  return { type, path, xetHash, mtime: Math.round(mtimeMs), ...source };
}

/** The error for changes that failed while others were made. */
export function changesFailed(
  repo: RepoId,
  failures: readonly FailedChange[],
  total: number,
  advice: string,
): XetError {
  const [first] = failures;
  const others = failures.length > 1 ? ` and ${failures.length - 1} more` : '';
  const done = total - failures.length;
  return new XetError(
    'SERVER',
    `${repoText(repo)} refused ${failures.length} of ${total} changes: '${first?.path}' (${first?.message})${others}. ` +
      `${done > 0 ? `The other ${done} were made. ` : ''}${advice}`,
    { retryable: true, failures },
  );
}
