import { type HubContext, signedUrl } from '../context.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import { sendEmpty, sendRanged } from '../http/ranged.ts';
import type { Repo } from '../repo/repo.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { pointerText, type TreeFile } from '../repo/tree.ts';
import { openRepo } from './access.ts';
import { type LinkedFile, linkedFacts } from './linked-facts.ts';
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
  const { sha256 } = file.lfs;
  const linked = { xetHash: file.xetHash, size: file.size, etag: sha256 };
  return sendLinked(context, exchange, repo.id, { commit, path }, linked, { commit, sha256 });
}

/** Answers with the facts of a file and the address of its content. `fields` go into that address. */
export async function sendLinked(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  { commit, path }: { commit?: string; path: string },
  file: LinkedFile,
  fields: Record<string, string>,
  more: OutgoingHeaders = {},
): Promise<void> {
  const facts = linkedFacts(context, exchange, id, commit, file);
  const etag = `"${file.etag}"`;
  const headers: OutgoingHeaders = { ...facts.headers, 'accept-ranges': 'bytes', etag, ...more };
  if (exchange.method === 'GET' && exchange.header('accept')?.includes(XET_INFO)) {
    const { refreshUrl, reconstructionUrl } = facts;
    const info = { hash: file.xetHash, refreshUrl, reconstructionUrl, etag, size: file.size };
    return exchange.json(200, info, { ...headers, 'content-type': `${XET_INFO}; charset=utf-8` });
  }
  const fileName = encodeURIComponent(path.slice(path.lastIndexOf('/') + 1));
  const location = signedUrl(context, exchange, `/xet-bridge/${file.xetHash}`, {
    filename: fileName,
    repo: `${id.type}s/${id.name}`,
    ...fields,
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
  if (file.size === 0) return sendEmpty(exchange, { 'accept-ranges': 'bytes', ...headers });
  const read = (range: { start: number; end: number }) => context.store.blobs.read(file.oid, range);
  return sendRanged(exchange, { size: file.size, read }, headers);
}
