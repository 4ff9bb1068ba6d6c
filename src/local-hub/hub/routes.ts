import type { HubContext } from '../context.ts';
import type { RequestKind } from '../faults.ts';
import { readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { notFound, type Route } from '../http/route.ts';
import { isRepoName, type RepoId, type RepoType, typeOfPlural, typeOfPrefix } from '../repo/repo-id.ts';
import { sendBridge } from './bridge.ts';
import { bucketApiRoute, bucketPageRoute } from './bucket-routes.ts';
import { receiveCommit } from './commit.ts';
import { sendCommits } from './commits.ts';
import { openPullRequest, sendPullRequest } from './discussions.ts';
import { duplicateLfsFiles, lfsBatch, receiveLfsObject, verifyLfsObject } from './lfs.ts';
import { sendPathsInfo, sendTree } from './listing.ts';
import { changeSettings, createRepo, deleteRepo, moveRepo, sendWhoAmI } from './manage.ts';
import { sendRepoPage, sendStartPage } from './pages.ts';
import { preupload } from './preupload.ts';
import { createBranch, createTag, deleteRef, sendRefs } from './refs.ts';
import { sendRepoInfo, sendRepoList } from './repo-info.ts';
import { resolveFile, sendCachedFile, sendRawFile } from './resolve.ts';
import { sendToken } from './xet-token.ts';

type Handler = (context: HubContext, exchange: HubExchange, id: RepoId, rest: string[]) => Promise<void>;

/** Routes after a repository's name below `/api/{type}s/`, by method. */
const ACTIONS: Record<string, [RequestKind, Handler]> = {
  'GET revision': ['revision', (c, x, id, rest) => sendRepoInfo(c, x, id, rest.join('/'))],
  'GET tree': ['tree', sendTree],
  'POST paths-info': ['paths-info', sendPathsInfo],
  'GET refs': ['refs', sendRefs],
  'GET commits': ['commits', sendCommits],
  'GET xet-read-token': ['token', (c, x, id, rest) => sendToken(c, x, id, 'read', revisionIn(rest))],
  'GET xet-write-token': ['token', (c, x, id, rest) => sendToken(c, x, id, 'write', revisionIn(rest))],
  'POST preupload': ['preupload', (c, x, id, rest) => preupload(c, x, id, rest.join('/'))],
  'POST commit': ['commit', (c, x, id, rest) => receiveCommit(c, x, id, rest.join('/'))],
  'POST branch': ['refs', (c, x, id, rest) => createBranch(c, x, id, rest.join('/'))],
  'DELETE branch': ['refs', (c, x, id, rest) => deleteRef(c, x, id, `refs/heads/${rest.join('/')}`)],
  'POST tag': ['refs', (c, x, id, rest) => createTag(c, x, id, rest.join('/'))],
  'DELETE tag': ['refs', (c, x, id, rest) => deleteRef(c, x, id, `refs/tags/${rest.join('/')}`)],
  'POST discussions': ['repo', openPullRequest],
  'GET discussions': ['repo', (c, x, id, rest) => sendPullRequest(c, x, id, rest[0] ?? '')],
  'PUT settings': ['repo', changeSettings],
  'POST lfs-files': ['lfs', duplicateLfsFiles],
};

/** Finds what answers a request to the Hub. */
export function hubRoute(context: HubContext, exchange: HubExchange): Route {
  const { method, segments } = exchange;
  const hub = (kind: RequestKind, run: () => Promise<void>): Route => ({ family: 'hub', kind, run });
  const reads = method === 'GET' || method === 'HEAD';
  const [first = '', second = '', third = ''] = segments;
  if (first === 'api') return apiRoute(context, exchange);
  if (reads && segments.length === 1 && first === '') return hub('other', () => sendStartPage(context, exchange));
  if (first === 'xet-bridge' && reads) {
    return { family: 'signed', kind: 'bridge', run: () => sendBridge(context, exchange, second) };
  }
  if (first === 'lfs' && second === 'objects' && method === 'PUT') {
    return { family: 'signed', kind: 'lfs', run: () => receiveLfsObject(context, exchange, third) };
  }
  if (first === 'lfs' && second === 'verify' && method === 'POST') {
    return hub('lfs', () => verifyLfsObject(context, exchange));
  }
  if (first === 'buckets') return bucketPageRoute(context, exchange, segments.slice(1));
  const type = typeOfPrefix(first) ?? 'model';
  const words = type === 'model' ? segments : segments.slice(1);
  for (const length of [2, 1]) {
    const [action = '', ...rest] = words.slice(length);
    const id: RepoId = { type, name: words.slice(0, length).join('/') };
    if (action === 'resolve' && reads) return hub('resolve', () => resolveFile(context, exchange, id, rest));
    if (action === 'raw' && reads) return hub('resolve', () => sendRawFile(context, exchange, id, rest));
    const last = words[length - 1] ?? '';
    if (last.endsWith('.git') && [action, ...rest].join('/') === 'info/lfs/objects/batch' && method === 'POST') {
      return hub('lfs', () => lfsBatch(context, exchange, { ...id, name: id.name.slice(0, -'.git'.length) }));
    }
  }
  // The addresses of commits and pull requests, as clients print them, lead to the page of the repository.
  const [owner = '', name = '', what = ''] = words;
  const id: RepoId = { type, name: name === '' ? owner : `${owner}/${name}` };
  if (reads && isRepoName(id.name) && (what === '' || what === 'commit' || what === 'discussions' || what === 'tree')) {
    return hub('other', () => sendRepoPage(context, exchange, id));
  }
  return notFound(exchange);
}

function apiRoute(context: HubContext, exchange: HubExchange): Route {
  const { method, segments } = exchange;
  const hub = (kind: RequestKind, run: () => Promise<void>): Route => ({ family: 'hub', kind, run });
  const [what = '', ...rest] = segments.slice(1);
  switch (`${method} ${[what, ...rest].join('/')}`) {
    case 'POST repos/create':
      return hub('repo', () => createRepo(context, exchange));
    case 'POST repos/move':
      return hub('repo', () => moveRepo(context, exchange));
    case 'DELETE repos/delete':
      return hub('repo', () => deleteRepo(context, exchange));
    case 'GET whoami-v2':
      return hub('other', () => sendWhoAmI(context, exchange));
    case 'POST validate-yaml':
      return hub('other', async () => {
        await readJsonObject(exchange.request, 1024 * 1024);
        await exchange.json(200, { errors: [], warnings: [] });
      });
  }
  const reads = method === 'GET' || method === 'HEAD';
  if (what === 'resolve-cache' && reads) {
    const type = typeOfPlural(rest[0]);
    // The commit id tells where a name of one or two words ends.
    const commitAt = rest.findIndex((word, index) => index > 1 && /^[0-9a-f]{40}$/.test(word));
    if (type && (commitAt === 2 || commitAt === 3)) {
      const id: RepoId = { type, name: rest.slice(1, commitAt).join('/') };
      return hub('resolve-cache', () => sendCachedFile(context, exchange, id, rest.slice(commitAt)));
    }
  }
  if (what === 'buckets') return bucketApiRoute(context, exchange, rest);
  const type = typeOfPlural(what);
  return type ? repoRoute(context, exchange, type, rest) : notFound(exchange);
}

function repoRoute(context: HubContext, exchange: HubExchange, type: RepoType, words: string[]): Route {
  const { method } = exchange;
  const hub = (kind: RequestKind, run: () => Promise<void>): Route => ({ family: 'hub', kind, run });
  if (words.length === 0 && method === 'GET') return hub('other', () => sendRepoList(context, exchange, type));
  for (const length of [2, 1]) {
    const action = ACTIONS[`${method === 'HEAD' ? 'GET' : method} ${words[length] ?? ''}`];
    if (!action || words.length <= length) continue;
    const [kind, run] = action;
    const id: RepoId = { type, name: words.slice(0, length).join('/') };
    return hub(kind, () => run(context, exchange, id, words.slice(length + 1)));
  }
  if (words.length <= 2 && (method === 'GET' || method === 'HEAD')) {
    return hub('revision', () => sendRepoInfo(context, exchange, { type, name: words.join('/') }, undefined));
  }
  return notFound(exchange);
}

function revisionIn(rest: string[]): string | undefined {
  const revision = rest.join('/');
  return revision === '' || revision === 'None' ? undefined : revision;
}
