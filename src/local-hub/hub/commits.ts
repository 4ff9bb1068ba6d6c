import { baseUrl, type HubContext } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import type { Commit } from '../repo/repo.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { readableRepo } from './access.ts';
import { positive } from './listing.ts';
import { splitRevision } from './locate.ts';

/** `commits/{revision}`: newest first, page by page. */
export async function sendCommits(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  rest: string[],
): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const { commit } = await splitRevision(repo, rest);
  const commits: Commit[] = [];
  for await (const entry of repo.history(commit)) commits.push(entry);
  const limit = Math.min(1000, positive(exchange.query.get('limit')) ?? 50);
  const page = positive(exchange.query.get('p')) ?? 0;
  const headers: Record<string, string> = { 'x-total-count': String(commits.length) };
  if ((page + 1) * limit < commits.length) {
    const query = new URLSearchParams(exchange.query);
    query.set('limit', String(limit));
    query.set('p', String(page + 1));
    headers.link = `<${baseUrl(context, exchange)}${exchange.path}?${query}>; rel="next"`;
  }
  const described = commits.slice(page * limit, (page + 1) * limit).map((entry) => ({
    id: entry.id,
    title: entry.title,
    message: entry.message,
    authors: [{ user: entry.author, avatar: '' }],
    date: entry.date,
  }));
  await exchange.json(200, described, headers);
}
