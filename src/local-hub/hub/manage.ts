import { baseUrl, type HubContext } from '../context.ts';
import { readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import { commitChange } from '../repo/change.ts';
import type { Repo } from '../repo/repo.ts';
import { isRepoName, isRepoType, type RepoId, urlPrefix } from '../repo/repo-id.ts';
import type { RepoRecord } from '../repo/stored.ts';
import { readable, requireKnown, requireWriter, visitor, writableRepo } from './access.ts';
import { defaultAttributes } from './upload-mode.ts';

const MAX_BODY_BYTES = 1024 * 1024;

export async function createRepo(context: HubContext, exchange: HubExchange): Promise<void> {
  const author = requireWriter(context, exchange);
  const body = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  const id = namedRepo(body, author);
  const secret = body.private === true || body.visibility === 'private';
  if (secret) requireKnown(context, exchange);
  const repo = await startRepo(context, id, author, {
    private: secret,
    ...(typeof body.sdk === 'string' && { sdk: body.sdk }),
  });
  const url = `${baseUrl(context, exchange)}/${urlPrefix(id.type)}${id.name}`;
  if (!repo) {
    const error = `You already created this ${id.type} repo: ${id.name}`;
    return exchange.json(409, { error, url }, { 'x-error-message': error });
  }
  await exchange.json(200, { url, name: id.name, id: repo.record.id });
}

/** A new repository with the first commit that the Hub gives it; `undefined` where the name is taken. */
export async function startRepo(
  context: HubContext,
  id: RepoId,
  author: string,
  settings: Partial<RepoRecord> = {},
): Promise<Repo | undefined> {
  const attributes = Buffer.from(defaultAttributes());
  const oid = await context.store.blobs.add(attributes);
  return context.repos.create(id, settings, async (repo) => {
    await commitChange(repo, 'refs/heads/main', undefined, {
      operations: [{ kind: 'put', path: '.gitattributes', file: { size: attributes.length, oid } }],
      title: 'initial commit',
      author,
      date: new Date(context.settings.now()).toISOString(),
    });
  });
}

export async function deleteRepo(context: HubContext, exchange: HubExchange): Promise<void> {
  const author = requireWriter(context, exchange);
  const id = namedRepo(await readJsonObject(exchange.request, MAX_BODY_BYTES), author);
  writableRepo(context, exchange, id);
  if (!(await context.repos.delete(id))) throw new HubError(404, 'Repository not found', 'RepoNotFound');
  await exchange.text(200, 'OK');
}

/** `POST /api/repos/move`, of repositories and buckets. Requests for the old name are redirected. */
export async function moveRepo(context: HubContext, exchange: HubExchange): Promise<void> {
  requireWriter(context, exchange);
  const { fromRepo, toRepo, type = 'model' } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  const names = [fromRepo, toRepo].filter((name) => typeof name === 'string' && name.includes('/') && isRepoName(name));
  if ((type !== 'bucket' && !isRepoType(type)) || names.length < 2) {
    throw new HubError(400, '"fromRepo" and "toRepo" must be names with their owners, and "type" their type');
  }
  const [from, to] = [fromRepo, toRepo].map((name): RepoId => ({ type, name: String(name) })) as [RepoId, RepoId];
  const found = readable(context, exchange, from);
  const registry = type === 'bucket' ? context.buckets : context.repos;
  const outcome = await registry.move(found.id, to);
  if (outcome === 'missing') throw new HubError(404, 'Repository not found', 'RepoNotFound');
  if (outcome === 'taken') throw new HubError(409, `The name ${to.name} is taken`);
  await exchange.json(200, { url: `${baseUrl(context, exchange)}/${urlPrefix(type)}${to.name}` });
}

export async function changeSettings(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const repo = writableRepo(context, exchange, id);
  const { private: secret, visibility, gated } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  const changes: Partial<RepoRecord> = {};
  if (typeof secret === 'boolean') changes.private = secret;
  if (visibility === 'private' || visibility === 'public') changes.private = visibility === 'private';
  if (changes.private) requireKnown(context, exchange);
  if (gated === false || gated === 'auto' || gated === 'manual') changes.gated = gated;
  await repo.update(changes);
  await exchange.json(200, { private: repo.record.private, gated: repo.record.gated });
}

export async function sendWhoAmI(context: HubContext, exchange: HubExchange): Promise<void> {
  const { name, write } = visitor(context, exchange);
  if (name === undefined) throw new HubError(401, 'Invalid username or password.');
  await exchange.json(200, {
    type: 'user',
    id: Buffer.from(name).toString('hex').padEnd(24, '0').slice(0, 24),
    name,
    fullname: name,
    email: `${name}@localhost`,
    emailVerified: true,
    isPro: false,
    canPay: false,
    avatarUrl: '',
    orgs: [],
    auth: {
      type: 'access_token',
      accessToken: {
        displayName: name,
        role: write ? 'write' : 'read',
        createdAt: new Date(context.settings.now()).toISOString(),
      },
    },
  });
}

function namedRepo(body: Record<string, unknown>, author: string): RepoId {
  const { name, organization, type } = body;
  if (typeof name !== 'string') throw new HubError(400, '"name" must be a string');
  const owner = typeof organization === 'string' && organization !== '' ? organization : author;
  const full = name.includes('/') ? name : `${owner}/${name}`;
  const known = type ?? 'model';
  if (!isRepoType(known) || !isRepoName(full)) throw new HubError(400, `Invalid repo name: ${full.slice(0, 200)}`);
  return { type: known, name: full };
}
