import { type HubContext, signedUrl } from '../context.ts';
import { requestedRange } from '../http/byte-range.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import { sendRanged } from '../http/ranged.ts';
import type { Repo } from '../repo/repo.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { pointerText, type TreeFile } from '../repo/tree.ts';
import { openRepo } from './access.ts';
import { linkedFacts } from './linked-facts.ts';
import { findFile, type Location, splitRevision } from './locate.ts';

/** A browser cannot see a redirect, so it asks for the same facts as a document of this type. */
const XET_INFO = 'application/vnd.xet-fileinfo+json';

/** `resolve/{revision}/{path}`: where a file's content is. */
export async function resolveFile(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  rest: string[],
): Promise<void> {
  const repo = openRepo(context, exchange, id);
  const location = await splitRevision(repo, rest);
  const file = await findFile(repo, location);
  if (file.xetHash === undefined || !file.lfs) return redirectToGitFile(exchange, repo, location);
  return sendXetFile(context, exchange, repo, location, { ...file, xetHash: file.xetHash, lfs: file.lfs });
}

function redirectToGitFile(exchange: HubExchange, repo: Repo, { commit, path }: Location): Promise<void> {
  const { type, name } = repo.id;
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  const location = `/api/resolve-cache/${type}s/${name}/${commit}/${encoded}`;
  return exchange.text(307, `Temporary Redirect. Redirecting to ${location}`, { location, 'x-repo-commit': commit });
}

async function sendXetFile(
  context: HubContext,
  exchange: HubExchange,
  repo: Repo,
  { commit, path }: Location,
  file: TreeFile & { xetHash: string; lfs: { sha256: string } },
): Promise<void> {
  const { type, name } = repo.id;
  const facts = linkedFacts(context, exchange, repo.id, commit, file);
  const headers: OutgoingHeaders = { ...facts.headers, 'accept-ranges': 'bytes', etag: `"${file.lfs.sha256}"` };
  if (exchange.method === 'GET' && exchange.header('accept')?.includes(XET_INFO)) {
    const { refreshUrl, reconstructionUrl } = facts;
    const info = { hash: file.xetHash, refreshUrl, reconstructionUrl, etag: `"${file.lfs.sha256}"`, size: file.size };
    return exchange.json(200, info, { ...headers, 'content-type': `${XET_INFO}; charset=utf-8` });
  }
  const fileName = encodeURIComponent(path.slice(path.lastIndexOf('/') + 1));
  const location = signedUrl(context, exchange, `/xet-bridge/${file.xetHash}`, {
    filename: fileName,
    repo: `${type}s/${name}`,
    commit,
    sha256: file.lfs.sha256,
  });
  return exchange.text(302, `Found. Redirecting to ${location}`, { ...headers, location });
}

/** `raw/{revision}/{path}`: what git stores, so the pointer of a large file. */
export async function sendRawFile(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  rest: string[],
): Promise<void> {
  const repo = openRepo(context, exchange, id);
  const location = await splitRevision(repo, rest);
  const file = await findFile(repo, location);
  return sendGitFile(context, exchange, location.commit, file);
}

/** `/api/resolve-cache/…/{commit}/{path}`: the content of a small file. */
export async function sendCachedFile(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  [commit = '', ...path]: string[],
): Promise<void> {
  const repo = openRepo(context, exchange, id);
  const location = await splitRevision(repo, [commit, ...path]);
  return sendGitFile(context, exchange, location.commit, await findFile(repo, location));
}

function sendGitFile(context: HubContext, exchange: HubExchange, commit: string, file: TreeFile): Promise<void> {
  const headers: OutgoingHeaders = {
    'content-type': 'text/plain; charset=utf-8',
    'x-repo-commit': commit,
    etag: `"${file.oid}"`,
    'content-disposition': 'inline',
  };
  if (file.lfs) {
    const pointer = Buffer.from(pointerText(file.lfs.sha256, file.size));
    const read = async function* (range: { start: number; end: number }) {
      yield pointer.subarray(range.start, range.end);
    };
    return sendRanged(exchange, { size: pointer.length, read }, headers);
  }
  // An empty file has no byte that a range could name; clients that probe with one want its size all the same.
  if (file.size === 0 && requestedRange(exchange.header('range'), 0) === 'unsatisfiable') {
    return exchange.send(200, { ...headers, 'content-range': 'bytes */0' });
  }
  const read = (range: { start: number; end: number }) => context.store.blobs.read(file.oid, range);
  return sendRanged(exchange, { size: file.size, read }, headers);
}
