import type { HubContext } from '../context.ts';
import { readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { readableRepo, requireContributor } from './access.ts';
import { nextPullRequest } from './commit.ts';
import { findCommit } from './locate.ts';

const MAX_BODY_BYTES = 1024 * 1024;

/** Opens a pull request without commits of its own, to which a client then commits. */
export async function openPullRequest(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  requireContributor(context, exchange);
  const { pullRequest } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  if (pullRequest !== true) throw new HubError(501, 'Only pull requests are kept here');
  const number = await repo.exclusively(async () => {
    const next = nextPullRequest(repo);
    await repo.setRef(`refs/pr/${next}`, await findCommit(repo, 'main'));
    return next;
  });
  await exchange.json(200, { num: number, pullRequest: true });
}

export async function sendPullRequest(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  number: string,
): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const head = repo.refs.get(`refs/pr/${number}`);
  const commit = head === undefined ? undefined : await repo.commit(head);
  if (!commit) throw new HubError(404, 'Discussion not found');
  await exchange.json(200, {
    num: Number(number),
    title: commit.title,
    author: { name: commit.author },
    createdAt: commit.date,
    status: 'draft',
    isPullRequest: true,
    repo: { name: id.name, type: id.type },
    events: [],
    filesWithConflicts: [],
    changes: { base: 'refs/heads/main' },
    diff: '',
  });
}
