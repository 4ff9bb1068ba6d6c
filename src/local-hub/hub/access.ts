import type { Visitor } from '../caller.ts';
import { type HubContext, isForeign } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import type { Bucket } from '../repo/bucket.ts';
import type { Repo } from '../repo/repo.ts';
import type { RepoId } from '../repo/repo-id.ts';
import type { Registry } from '../repo/repo-store.ts';
import type { Stored } from '../repo/stored.ts';

/** The Hub does not tell strangers whether a repository is missing or private: both look like a bad login. */
const UNKNOWN_LOGIN = 'Invalid username or password.';

export function visitor(context: HubContext, exchange: HubExchange): Visitor {
  const { tokens, openWrites } = context.settings;
  const token = exchange.bearer();
  if (isForeign(context, exchange)) {
    if (exchange.header('authorization') === undefined) return { name: undefined, write: false, known: false };
    throw new HubError(403, 'A page of an origin that this Hub does not know may not send a token.');
  }
  if (token === undefined) return { name: undefined, write: openWrites, known: false };
  const grant = Object.hasOwn(tokens, token) ? tokens[token] : undefined;
  if (grant) return { name: grant.name, write: grant.write === true || openWrites, known: true };
  if (openWrites) return { name: 'guest', write: true, known: false };
  throw new HubError(401, 'Invalid credentials in Authorization header');
}

/** True if somebody may know of a repository. */
export function maySee({ record }: Pick<Stored, 'record'>, { known }: Pick<Visitor, 'known'>): boolean {
  return known || !record.private;
}

/** True if somebody may have the files of a repository. */
export function mayRead(repo: Pick<Stored, 'record'>, who: Pick<Visitor, 'name' | 'known'>): boolean {
  const { gated, allowed, disabled } = repo.record;
  if (disabled || !maySee(repo, who)) return false;
  return gated === false || (who.known && who.name !== undefined && allowed.includes(who.name));
}

/** The repository, if this visitor may know of it. */
export function readableRepo(context: HubContext, exchange: HubExchange, id: RepoId): Repo {
  return visible(context.repos, context, exchange, id);
}

/** The bucket, if this visitor may know of it and so have its files. */
export function readableBucket(context: HubContext, exchange: HubExchange, id: RepoId): Bucket {
  return visible(context.buckets, context, exchange, id);
}

/** The repository or bucket, if this visitor may know of it. */
export function readable(context: HubContext, exchange: HubExchange, id: RepoId): Stored {
  return id.type === 'bucket' ? readableBucket(context, exchange, id) : readableRepo(context, exchange, id);
}

function visible<T extends Stored>(registry: Registry<T>, context: HubContext, exchange: HubExchange, id: RepoId): T {
  const who = visitor(context, exchange);
  const repo = registry.get(id);
  if (!repo || !maySee(repo, who)) {
    const other = repo ? undefined : (registry.findOtherCase(id) ?? registry.findFormer(id));
    if (other && !other.record.private) throw renamed(exchange, id, other.id);
    throw who.name === undefined
      ? new HubError(401, UNKNOWN_LOGIN, 'RepoNotFound')
      : new HubError(404, id.type === 'bucket' ? 'Bucket not found' : 'Repository not found', 'RepoNotFound');
  }
  if (repo.record.disabled) throw new HubError(403, 'Access to this resource is disabled.');
  return repo;
}

/** The repository, if this visitor may have its files. */
export function openRepo(context: HubContext, exchange: HubExchange, id: RepoId): Repo {
  const repo = readableRepo(context, exchange, id);
  requireOpen(context, exchange, repo);
  return repo;
}

/** Refuses who may not have the files of a repository. */
export function requireOpen(context: HubContext, exchange: HubExchange, repo: Stored): void {
  const { id } = repo;
  const who = visitor(context, exchange);
  if (mayRead(repo, who)) return;
  const { name } = who;
  const why =
    name === undefined
      ? `Access to ${id.type} ${id.name} is restricted. You must have access to it and be authenticated to access it. Please log in.`
      : `Access to ${id.type} ${id.name} is restricted and you are not in the authorized list. Visit its page to ask for access.`;
  throw new HubError(name === undefined ? 401 : 403, why, 'GatedRepo');
}

export function writableRepo(context: HubContext, exchange: HubExchange, id: RepoId): Repo {
  const repo = readableRepo(context, exchange, id);
  requireWriter(context, exchange);
  return repo;
}

export function writableBucket(context: HubContext, exchange: HubExchange, id: RepoId): Bucket {
  const bucket = readableBucket(context, exchange, id);
  requireWriter(context, exchange);
  return bucket;
}

/** The name of somebody who may write. */
export function requireWriter(context: HubContext, exchange: HubExchange): string {
  const who = visitor(context, exchange);
  refuseReadOnly(context);
  if (who.write) return who.name ?? 'local';
  if (who.name === undefined) throw notLoggedIn(context, exchange);
  throw new HubError(403, 'Forbidden: you must use a write token to write to this repository.');
}

/** The name of somebody who may propose changes: anyone with a token. */
export function requireContributor(context: HubContext, exchange: HubExchange): string {
  const who = visitor(context, exchange);
  refuseReadOnly(context);
  if (who.name !== undefined || who.write) return who.name ?? 'local';
  throw notLoggedIn(context, exchange);
}

/** The name of somebody who may make a repository private: whose token is not known could not open it afterwards. */
export function requireKnown(context: HubContext, exchange: HubExchange): void {
  if (visitor(context, exchange).known) return;
  throw new HubError(
    403,
    'A private repository needs a token that this Hub knows: one of its tokens (--token), or hf_local where none are set.',
  );
}

function refuseReadOnly({ settings }: HubContext): void {
  if (settings.readOnly) throw new HubError(403, 'This Hub is read-only.');
}

function notLoggedIn(context: HubContext, exchange: HubExchange): HubError {
  if (!isForeign(context, exchange)) return new HubError(401, UNKNOWN_LOGIN);
  return new HubError(403, 'A page of an origin that this Hub does not know may only read.');
}

/** Another spelling of the name is answered with a relative redirect to the right one. */
function renamed(exchange: HubExchange, asked: RepoId, right: RepoId): HubError {
  const query = exchange.query.size > 0 ? `?${exchange.query}` : '';
  const location = exchange.path.replace(`/${asked.name}`, () => `/${right.name}`) + query;
  return new HubError(307, `Temporary Redirect. Redirecting to ${location}`, undefined, { location });
}
