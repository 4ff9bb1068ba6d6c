import type { HubContext } from '../context.ts';
import type { Exchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import type { Repo } from '../repo/repo.ts';
import type { RepoId } from '../repo/repo-id.ts';

/** Who asks. `name` is `undefined` for somebody without a token. */
export interface Visitor {
  name: string | undefined;
  write: boolean;
}

/** The Hub does not tell strangers whether a repository is missing or private: both look like a bad login. */
const UNKNOWN_LOGIN = 'Invalid username or password.';

export function visitor({ settings }: HubContext, exchange: Exchange): Visitor {
  const token = exchange.bearer();
  if (token === undefined) return { name: undefined, write: settings.openWrites };
  const grant = Object.hasOwn(settings.tokens, token) ? settings.tokens[token] : undefined;
  if (grant) return { name: grant.name, write: grant.write === true || settings.openWrites };
  if (settings.openWrites) return { name: 'guest', write: true };
  throw new HubError(401, 'Invalid credentials in Authorization header');
}

/** The repository, if this visitor may know of it. */
export function readableRepo(context: HubContext, exchange: Exchange, id: RepoId): Repo {
  const who = visitor(context, exchange);
  const repo = context.repos.get(id);
  if (!repo || (repo.record.private && who.name === undefined)) {
    const other = repo ? undefined : context.repos.findOtherCase(id);
    if (other && !other.record.private) throw renamed(exchange, id, other.id);
    throw who.name === undefined
      ? new HubError(401, UNKNOWN_LOGIN, 'RepoNotFound')
      : new HubError(404, 'Repository not found', 'RepoNotFound');
  }
  if (repo.record.disabled) throw new HubError(403, 'Access to this resource is disabled.');
  return repo;
}

/** The repository, if this visitor may have its files. */
export function openRepo(context: HubContext, exchange: Exchange, id: RepoId): Repo {
  const repo = readableRepo(context, exchange, id);
  const { gated, allowed } = repo.record;
  const { name } = visitor(context, exchange);
  if (gated === false || (name !== undefined && allowed.includes(name))) return repo;
  const why =
    name === undefined
      ? `Access to ${id.type} ${id.name} is restricted. You must have access to it and be authenticated to access it. Please log in.`
      : `Access to ${id.type} ${id.name} is restricted and you are not in the authorized list. Visit its page to ask for access.`;
  throw new HubError(name === undefined ? 401 : 403, why, 'GatedRepo');
}

export function writableRepo(context: HubContext, exchange: Exchange, id: RepoId): Repo {
  const repo = readableRepo(context, exchange, id);
  requireWriter(context, exchange);
  return repo;
}

/** The name of somebody who may write. */
export function requireWriter(context: HubContext, exchange: Exchange): string {
  const who = visitor(context, exchange);
  if (who.write) return who.name ?? 'local';
  if (who.name === undefined) throw new HubError(401, UNKNOWN_LOGIN);
  throw new HubError(403, 'Forbidden: you must use a write token to write to this repository.');
}

/** The name of somebody who may propose changes: anyone with a token. */
export function requireContributor(context: HubContext, exchange: Exchange): string {
  const who = visitor(context, exchange);
  if (who.name !== undefined || who.write) return who.name ?? 'local';
  throw new HubError(401, UNKNOWN_LOGIN);
}

/** Another spelling of the name is answered with a relative redirect to the right one. */
function renamed(exchange: Exchange, asked: RepoId, right: RepoId): HubError {
  const query = exchange.query.size > 0 ? `?${exchange.query}` : '';
  const location = exchange.path.replace(`/${asked.name}`, () => `/${right.name}`) + query;
  return new HubError(307, `Temporary Redirect. Redirecting to ${location}`, undefined, { location });
}
