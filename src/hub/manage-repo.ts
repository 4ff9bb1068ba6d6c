import { XetError } from '../core/errors.ts';
import type { HubRequests } from './entries.ts';
import { apiUrl, refuseForBucket, repoText } from './repo.ts';
import type { RepoId } from './types.ts';

/** Settings of a repository; what is not given stays as it is. */
export interface RepoChanges {
  /** Visibility. */
  visibility?: 'public' | 'private' | 'protected' | undefined;
  /** Access on request: `auto` grants it at once, `manual` after a review, `false` ends it. */
  gated?: 'auto' | 'manual' | 'false' | undefined;
}

/** Deletes a repository with all of its files. */
export async function deleteRepo(
  hub: HubRequests,
  repo: RepoId,
  { missingOk = false }: { missingOk?: boolean | undefined },
  signal: AbortSignal,
): Promise<void> {
  const inBucket = repo.type === 'bucket';
  const url = inBucket ? apiUrl(hub.endpoint, repo) : `${hub.endpoint}/api/repos/delete`;
  await send(hub, 'DELETE', url, inBucket ? undefined : nameOf(repo), signal, missingOk ? [404] : []);
}

/** Renames a repository, or gives it to another owner. */
export async function moveRepo(hub: HubRequests, from: RepoId, to: RepoId, signal: AbortSignal): Promise<void> {
  if (from.type !== to.type) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `${repoText(from)} cannot become ${repoText(to)}: a ${from.type} stays a ${from.type}. Copy its files instead.`,
    );
  }
  const request = { fromRepo: from.name, toRepo: to.name, type: from.type };
  await send(hub, 'POST', `${hub.endpoint}/api/repos/move`, request, signal);
}

/** Changes the settings of a repository. Sends only what is given. */
export async function changeSettings(
  hub: HubRequests,
  repo: RepoId,
  { visibility, gated }: RepoChanges,
  signal: AbortSignal,
): Promise<void> {
  refuseForBucket(repo, { gated });
  if (visibility === undefined && gated === undefined) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `There is nothing to change about ${repoText(repo)}: give visibility or gated.`,
    );
  }
  if (visibility === 'protected' && repo.type !== 'space') {
    throw new XetError('INVALID_ARGUMENT', "Only a space can be 'protected': use 'public' or 'private'.");
  }
  const asked = {
    ...(visibility !== undefined && (repo.type === 'bucket' ? { private: visibility === 'private' } : { visibility })),
    ...(gated !== undefined && { gated: gated === 'false' ? false : gated }),
  };
  await send(hub, 'PUT', apiUrl(hub.endpoint, repo, 'settings'), asked, signal);
}

/** Deletes a branch. */
export async function deleteBranch(hub: HubRequests, repo: RepoId, branch: string, signal: AbortSignal): Promise<void> {
  refuseForBucket(repo, { branch });
  await send(hub, 'DELETE', apiUrl(hub.endpoint, repo, 'branch', branch), undefined, signal);
}

/** Creates a tag at a revision. */
export async function createTag(
  hub: HubRequests,
  repo: RepoId,
  { tag, revision, message }: { tag: string; revision: string; message?: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  refuseForBucket(repo, { tag });
  const request = { tag, ...(message !== undefined && { message }) };
  await send(hub, 'POST', apiUrl(hub.endpoint, repo, 'tag', revision), request, signal);
}

/** Deletes a tag. */
export async function deleteTag(hub: HubRequests, repo: RepoId, tag: string, signal: AbortSignal): Promise<void> {
  refuseForBucket(repo, { tag });
  await send(hub, 'DELETE', apiUrl(hub.endpoint, repo, 'tag', tag), undefined, signal);
}

async function send(
  hub: HubRequests,
  method: 'POST' | 'PUT' | 'DELETE',
  url: string,
  request: unknown,
  signal: AbortSignal,
  accept: number[] = [],
): Promise<void> {
  const headers = { ...(await hub.headers()), ...(request !== undefined && { 'content-type': 'application/json' }) };
  const body = request === undefined ? {} : { body: JSON.stringify(request) };
  await hub.http.exchange({ kind: 'hub', url, method, headers, ...body, signal, accept }, async (reply) =>
    reply.drop(),
  );
}

/** A repository as the calls for creating and deleting name it. */
function nameOf({ type, name }: RepoId): { name: string; organization?: string; type: string } {
  const [owner, bare] = name.split('/');
  return bare === undefined ? { name, type } : { name: bare, organization: owner as string, type };
}
