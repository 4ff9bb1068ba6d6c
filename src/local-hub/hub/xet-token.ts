import { type Caller, callerFor, decodeCaller, encodeCaller } from '../caller.ts';
import { casUrl, type HubContext, isForeign, nowSeconds } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import type { RepoId } from '../repo/repo-id.ts';
import type { Stored } from '../repo/stored.ts';
import { openRepo, readableBucket, readableRepo, requireContributor, requireWriter, visitor } from './access.ts';
import { repoOf } from './content-access.ts';
import { findCommit } from './locate.ts';

export type Scope = 'read' | 'write';

export interface XetToken {
  accessToken: string;
  /** Unix seconds. */
  exp: number;
  casUrl: string;
}

/** A token for the CAS: its claims and a signature, which only this server can have made. */
export function issueToken(context: HubContext, exchange: HubExchange, scope: Scope, caller: Caller): XetToken {
  const exp = nowSeconds(context) + context.settings.tokenLifetimeSeconds;
  const claims = Buffer.from(JSON.stringify({ scope, exp, caller: encodeCaller(caller) })).toString('base64url');
  return { accessToken: `xet_${claims}.${context.signer.sign(claims)}`, exp, casUrl: casUrl(context, exchange) };
}

/** Lets a CAS request through that carries a token with this scope, and says who sent it. */
export function requireScope(context: HubContext, exchange: HubExchange, scope: Scope): Caller {
  const match = /^xet_([\w-]+)\.([\w-]+)$/.exec(exchange.bearer() ?? '');
  const [, claims = '', signature = ''] = match ?? [];
  if (!match || !context.signer.matches(claims, signature)) throw new HubError(401, 'Missing or invalid token');
  const given = JSON.parse(Buffer.from(claims, 'base64url').toString()) as {
    scope: Scope;
    exp: number;
    caller: string;
  };
  if (given.exp * 1000 <= context.settings.now()) throw new HubError(401, 'Token expired');
  if (scope === 'write' && given.scope !== 'write') throw new HubError(403, 'Token does not allow writing');
  const caller = decodeCaller(given.caller);
  if (!caller) throw new HubError(401, 'Missing or invalid token');
  if (isForeign(context, exchange) && (caller.known || given.scope === 'write')) {
    throw new HubError(403, 'A page of an origin that this Hub does not know may not use this token.');
  }
  repoOf(context, caller);
  return caller;
}

export function tokenHeaders(token: XetToken): Record<string, string> {
  return {
    'X-Xet-Cas-Url': token.casUrl,
    'X-Xet-Access-Token': token.accessToken,
    'X-Xet-Token-Expiration': String(token.exp),
  };
}

export async function sendToken(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  scope: Scope,
  revision: string | undefined,
): Promise<void> {
  const repo = scope === 'read' ? openRepo(context, exchange, id) : readableRepo(context, exchange, id);
  if (scope === 'read') {
    if (revision !== undefined) await findCommit(repo, revision);
  } else {
    // Anyone may fill a pull request, so its tokens need less.
    const forPullRequest = exchange.query.has('create_pr') || revision?.startsWith('refs/pr/') === true;
    if (forPullRequest) requireContributor(context, exchange);
    else requireWriter(context, exchange);
  }
  await sendTokenFor(context, exchange, scope, repo);
}

/** The same for a bucket, which has no revisions. */
export async function sendBucketToken(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  scope: Scope,
): Promise<void> {
  const bucket = readableBucket(context, exchange, id);
  if (scope === 'write') requireWriter(context, exchange);
  await sendTokenFor(context, exchange, scope, bucket);
}

async function sendTokenFor(context: HubContext, exchange: HubExchange, scope: Scope, owner: Stored): Promise<void> {
  const token = issueToken(context, exchange, scope, callerFor(owner, visitor(context, exchange)));
  await exchange.json(200, token, tokenHeaders(token));
}
