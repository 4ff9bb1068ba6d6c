import { isHashHex } from '../../core/hash.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { baseUrl, casUrl, signedUrl } from '../context.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import { sendEmpty, sendRanged } from '../http/ranged.ts';
import { checkSignedPath } from '../http/signature.ts';
import { HubError } from '../hub-error.ts';
import type { Asker } from './askers.ts';
import type { Mirror } from './mirror.ts';
import { primed } from './primed.ts';
import { type Answered, staleHeader, wantsFresh } from './questions.ts';
import { sendAnswer } from './send-answer.ts';
import { parseTarget } from './target.ts';
import type { UpstreamHeaders } from './upstream.ts';

/** Path of signed URLs of whole files. No repository has such a name. */
export const FILE_PREFIX = '-files';
const XET_INFO = 'application/vnd.xet-fileinfo+json';

/** `resolve`, `raw` and `resolve-cache`: facts of a file as the upstream gives them, and its content from the mirror. */
export async function sendResolved(mirror: Mirror, exchange: HubExchange): Promise<void> {
  const asker = mirror.askers.of(exchange);
  const target = parseTarget(exchange.segments);
  const question = { method: 'HEAD' as const, target: exchange.request.url ?? '/' };
  const facts = await mirror.questions.ask(asker, question, target, { fresh: wantsFresh(exchange) });
  const { status, headers } = facts;
  if (status >= 400) {
    return exchange.text(
      status,
      headers['x-error-message'] ?? `The upstream answered ${status}.`,
      refusalHeaders(facts),
    );
  }
  if (headers['x-xet-hash'] !== undefined) return sendXetFacts(mirror, exchange, asker, facts);
  const location = headers.location === undefined ? undefined : onMirror(mirror, headers.location);
  const linked = hashOf(headers['x-linked-etag']);
  if (location !== undefined && !(linked?.length === 64 && isRedirectAway(location))) {
    return sendAnswer(mirror, exchange, { ...facts, body: '' });
  }
  return sendPlain(mirror, exchange, asker, facts);
}

/** A redirect to another file or repository of the Hub is handed on; one to its storage is not. */
function isRedirectAway(location: string): boolean {
  return /^https?:/.test(location);
}

/** An address of the upstream as a path, which leads to the mirror; others as they are. */
function onMirror(mirror: Mirror, location: string): string {
  return location.startsWith(`${mirror.upstream.url}/`) ? location.slice(mirror.upstream.url.length) : location;
}

function refusalHeaders(facts: Answered): OutgoingHeaders {
  const { headers } = facts;
  return {
    'x-error-code': headers['x-error-code'],
    'x-error-message': headers['x-error-message'],
    'x-repo-commit': headers['x-repo-commit'],
    'retry-after': headers['retry-after'],
    ratelimit: headers.ratelimit,
    'ratelimit-policy': headers['ratelimit-policy'],
    ...staleHeader(facts),
  };
}

async function sendXetFacts(mirror: Mirror, exchange: HubExchange, asker: Asker, facts: Answered): Promise<void> {
  const { headers } = facts;
  const hash = headers['x-xet-hash'];
  const size = Number(headers['x-linked-size']);
  const tokenPath = tokenPathOf(headers.link);
  if (!isHashHex(hash) || !Number.isSafeInteger(size) || tokenPath === undefined) {
    throw new HubError(502, 'The upstream of this mirror described a file in a way that no Hub does.');
  }
  const etag = headers['x-linked-etag'] ?? headers.etag ?? `"${hash}"`;
  const shown: OutgoingHeaders = {
    ...linkedHeaders(mirror, exchange, { hash, size, etag, tokenPath, commit: headers['x-repo-commit'] }),
    'last-modified': headers['last-modified'],
    'accept-ranges': 'bytes',
    etag,
    ...staleHeader(facts),
  };
  if (exchange.method === 'GET' && exchange.header('accept')?.includes(XET_INFO)) {
    const info = {
      hash,
      refreshUrl: baseUrl(mirror.context, exchange) + tokenPath,
      reconstructionUrl: `${casUrl(mirror.context, exchange)}/v1/reconstructions/${hash}`,
      etag,
      size,
    };
    return exchange.json(200, info, { ...shown, 'content-type': `${XET_INFO}; charset=utf-8` });
  }
  const path = exchange.path.slice(exchange.path.lastIndexOf('/') + 1);
  const location = signedUrl(mirror.context, exchange, `/${FILE_PREFIX}/${hash}`, {
    asker: asker.key,
    token: tokenPath,
    filename: path,
    size: String(size),
    etag,
    ...(headers['x-repo-commit'] !== undefined && { commit: headers['x-repo-commit'] }),
  });
  return exchange.text(302, `Found. Redirecting to ${location}`, { ...shown, location });
}

interface LinkedFacts {
  hash: string;
  size: number;
  etag: string;
  tokenPath: string;
  commit: string | undefined;
}

/** Headers with which a client fetches a file over Xet, from the mirror. */
function linkedHeaders(
  mirror: Mirror,
  exchange: HubExchange,
  { hash, size, etag, tokenPath, commit }: LinkedFacts,
): OutgoingHeaders {
  const refresh = baseUrl(mirror.context, exchange) + tokenPath;
  const reconstruction = `${casUrl(mirror.context, exchange)}/v1/reconstructions/${hash}`;
  return {
    'x-repo-commit': commit,
    'x-linked-etag': etag,
    'x-linked-size': size,
    'x-xet-hash': hash,
    link: `<${refresh}>; rel="xet-auth", <${reconstruction}>; rel="xet-reconstruction-info"`,
  };
}

/** The path of the upstream's token route for a file. */
function tokenPathOf(link: string | undefined): string | undefined {
  const url = /<([^>]*)>\s*;\s*rel="?xet-auth"?/.exec(link ?? '')?.[1];
  if (url === undefined) return undefined;
  // The real Hub may name itself by another address than the one it was asked at.
  const path = url.startsWith('/') ? url : URL.canParse(url) ? url.slice(new URL(url).origin.length) : '';
  return /^\/api\/[\w%./-]+\/xet-read-token(?:\/[\w%.-]+)?$/.test(path) ? path : undefined;
}

/** A whole file behind a signed URL, for clients without Xet: put together from the same chunks. */
export async function sendWholeFile(mirror: Mirror, exchange: HubExchange, hash: string): Promise<void> {
  const { query } = exchange;
  if (!checkSignedPath(mirror.context.signer, exchange.path, query, mirror.context.settings.now())) {
    throw new HubError(403, 'Access denied');
  }
  const asker = mirror.askers.known(query.get('asker') ?? '');
  const tokenPath = query.get('token') ?? '';
  if (!asker || !isHashHex(hash)) throw new HubError(403, 'Access denied');
  const size = Number(query.get('size'));
  const etag = query.get('etag') ?? `"${hash}"`;
  const headers: OutgoingHeaders = {
    ...linkedHeaders(mirror, exchange, { hash, size, etag, tokenPath, commit: query.get('commit') ?? undefined }),
    'content-type': 'application/octet-stream',
    'content-disposition': `inline; filename*=UTF-8''${query.get('filename') ?? 'file'}`,
    etag: `"${hash}"`,
  };
  if (size === 0) return sendEmpty(exchange, { 'accept-ranges': 'bytes', ...headers });
  if (exchange.method === 'HEAD') return sendHead(exchange, size, { ...headers, 'accept-ranges': 'bytes' });
  const file = await mirror.reconstructions.file(await mirror.tokens.grant(asker, tokenPath), hash);
  if (file.size !== size) throw new HubError(502, 'The upstream announced two different sizes of this file.');
  const read = (range: ByteRange) => mirror.files.read(file, range, exchange.signal);
  return sendRanged(exchange, await primed(exchange, { size, read }), headers);
}

/** A file of git, or a large one without Xet. */
async function sendPlain(mirror: Mirror, exchange: HubExchange, asker: Asker, facts: Answered): Promise<void> {
  const { headers } = facts;
  const id = hashOf(headers['x-linked-etag']) ?? hashOf(headers.etag);
  const size = Number(headers['x-linked-size'] ?? headers['content-length']);
  if (id === undefined || !Number.isSafeInteger(size)) {
    throw new HubError(502, 'The upstream of this mirror did not answer as a Hub does. Check --upstream.');
  }
  const shown: OutgoingHeaders = {
    'content-type': headers['content-type'] ?? 'application/octet-stream',
    'content-disposition': headers['content-disposition'],
    'x-repo-commit': headers['x-repo-commit'],
    'x-linked-etag': headers['x-linked-etag'],
    'x-linked-size': headers['x-linked-size'],
    etag: headers['x-linked-etag'] ?? headers.etag,
    'accept-ranges': 'bytes',
    ...staleHeader(facts),
  };
  if (size === 0) return sendEmpty(exchange, shown);
  if (exchange.method === 'HEAD') return sendHead(exchange, size, shown);
  if (wantsFresh(exchange) && mirror.upstream.isAvailable) await mirror.blobs.forget(id);
  const read = await mirror.blobs.prepare({ id, size }, asker, exchange.request.url ?? '/');
  return sendRanged(exchange, await primed(exchange, { size, read }), shown);
}

/** The head of an answer whose body has so many bytes. */
function sendHead(exchange: HubExchange, length: number, headers: OutgoingHeaders): Promise<void> {
  return exchange.send(200, headers, { length, pieces: (async function* () {})() });
}

/** A hash of git or a sha256 in an entity tag. */
function hashOf(etag: UpstreamHeaders['etag']): string | undefined {
  return /^(?:W\/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?$/.exec(etag ?? '')?.[1];
}
