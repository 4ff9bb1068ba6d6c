import type { HubContext } from '../context.ts';
import { asObject, readBody } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { parseJson } from '../http/json.ts';
import { HubError } from '../hub-error.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { readableRepo, writableRepo } from './access.ts';
import { flag } from './listing.ts';
import { findCommit } from './locate.ts';

const MAX_BODY_BYTES = 1024 * 1024;

export async function sendRefs(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const under = (start: string) =>
    [...repo.refs]
      .filter(([ref]) => ref.startsWith(start))
      .map(([ref, commit]) => ({ name: ref.slice(start.length), ref, targetCommit: commit }));
  await exchange.json(200, {
    branches: under('refs/heads/'),
    converts: under('refs/convert/'),
    tags: under('refs/tags/'),
    ...(flag(exchange.query.get('include_prs')) && { pullRequests: under('refs/pr/') }),
  });
}

export async function createBranch(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  name: string,
): Promise<void> {
  const repo = writableRepo(context, exchange, id);
  const { startingPoint, overwrite } = await readOptionalObject(exchange);
  await repo.exclusively(async () => {
    const ref = `refs/heads/${checkRefName(name)}`;
    if (repo.refs.has(ref) && overwrite !== true) throw new HubError(409, `Reference already exists: ${ref}`);
    await repo.setRef(ref, await findCommit(repo, typeof startingPoint === 'string' ? startingPoint : 'main'));
  });
  await exchange.text(200, 'OK');
}

export async function createTag(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  revision: string,
): Promise<void> {
  const repo = writableRepo(context, exchange, id);
  const { tag } = await readOptionalObject(exchange);
  if (typeof tag !== 'string') throw new HubError(400, '"tag" must be a string');
  await repo.exclusively(async () => {
    const ref = `refs/tags/${checkRefName(tag)}`;
    if (repo.refs.has(ref)) throw new HubError(409, `Tag reference exists already: ${tag}`);
    await repo.setRef(ref, await findCommit(repo, revision));
  });
  await exchange.text(200, 'OK');
}

export async function deleteRef(context: HubContext, exchange: HubExchange, id: RepoId, ref: string): Promise<void> {
  const repo = writableRepo(context, exchange, id);
  if (ref === 'refs/heads/main') throw new HubError(403, 'The main branch cannot be deleted');
  await repo.exclusively(async () => {
    if (!repo.refs.has(ref)) throw new HubError(404, `Reference does not exist: ${ref}`, 'RevisionNotFound');
    await repo.deleteRef(ref);
  });
  await exchange.text(200, 'OK');
}

/** Git's rules for names, as far as they keep a name apart from others and from paths. */
export function checkRefName(name: string): string {
  const fine =
    name.length <= 200 &&
    !/[\0-\x20~^:?*[\\\x7f]|\.\.|@\{|^[@-]$|^-|\.$|\p{Surrogate}/u.test(name) &&
    name.split('/').every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock'));
  if (!fine) throw new HubError(400, `Invalid reference name: ${name}`);
  return name;
}

export async function readOptionalObject(exchange: HubExchange): Promise<Record<string, unknown>> {
  const text = (await readBody(exchange.request, MAX_BODY_BYTES)).toString();
  return text.trim() === '' ? {} : asObject(parseJson(text));
}
