import type { HubContext } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import type { Repo } from '../repo/repo.ts';
import type { RepoId, RepoType } from '../repo/repo-id.ts';
import type { Tree } from '../repo/tree.ts';
import { mayRead, maySee, readableRepo, visitor } from './access.ts';
import { flag, positive } from './listing.ts';
import { findCommit } from './locate.ts';

/** `GET /api/{type}s/{id}` and `…/revision/{revision}`. */
export async function sendRepoInfo(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  revision: string | undefined,
): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const head = revision === undefined ? await repo.resolve('main') : await findCommit(repo, revision);
  const tree: Tree = head === undefined ? new Map() : await repo.tree(head);
  const lastModified = head === undefined ? undefined : (await repo.commit(head))?.date;
  const open = mayRead(repo, visitor(context, exchange));
  const siblings = [...tree].map(([path, file]) => ({
    rfilename: path,
    ...(flag(exchange.query.get('blobs')) && {
      size: file.size,
      blobId: file.oid,
      ...(open && file.lfs && { lfs: { sha256: file.lfs.sha256, size: file.size, pointerSize: file.lfs.pointerSize } }),
    }),
  }));
  const info = { ...summary(repo), sha: head, lastModified: lastModified ?? repo.record.createdAt, siblings };
  await exchange.json(200, info, head === undefined ? {} : { 'x-repo-commit': head });
}

/** `GET /api/{type}s`: the repositories that the visitor may see. */
export async function sendRepoList(context: HubContext, exchange: HubExchange, type: RepoType): Promise<void> {
  const who = visitor(context, exchange);
  const search = exchange.query.get('search')?.toLowerCase();
  const author = exchange.query.get('author');
  const repos = context.repos
    .list(type)
    .filter((repo) => maySee(repo, who))
    .filter((repo) => search === undefined || repo.id.name.toLowerCase().includes(search))
    .filter((repo) => author === null || repo.id.name.startsWith(`${author}/`))
    .slice(0, Math.min(1000, positive(exchange.query.get('limit')) ?? 1000));
  const described = await Promise.all(
    repos.map(async (repo) => ({
      ...summary(repo),
      sha: await repo.resolve('main'),
      lastModified: repo.record.createdAt,
    })),
  );
  await exchange.json(200, described);
}

function summary({ id: { type, name }, record }: Repo) {
  return {
    _id: record.id,
    id: name,
    ...(type === 'model' && { modelId: name }),
    author: name.includes('/') ? name.slice(0, name.indexOf('/')) : undefined,
    private: record.private,
    gated: record.gated,
    disabled: record.disabled,
    createdAt: record.createdAt,
    downloads: 0,
    likes: 0,
    tags: [],
    ...(record.sdk !== undefined && { sdk: record.sdk }),
  };
}
