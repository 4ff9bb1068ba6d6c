import { type Caller, callerFor, decodeCaller, encodeCaller } from '../caller.ts';
import { baseUrl, type HubContext, signedUrl } from '../context.ts';
import { asObject, bodyPieces, readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { checkSignedPath } from '../http/signature.ts';
import { HubError } from '../hub-error.ts';
import { Ingest } from '../ingest.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { wholeObject } from '../store/store.ts';
import { openRepo, readableRepo, requireContributor, visitor } from './access.ts';
import { readableObject, repoOf, usableObject } from './content-access.ts';
import { issueToken, tokenHeaders } from './xet-token.ts';

const MAX_BODY_BYTES = 1024 * 1024;
/** Clients send batches of some hundreds at most. */
const MAX_OBJECTS = 1000;
const LFS_JSON = { 'content-type': 'application/vnd.git-lfs+json' };
/** The field of signed addresses that names whom they are for. */
const CALLER = 'Caller';
const SHA256 = /^[0-9a-f]{64}$/;

interface LfsObject {
  oid: string;
  size: number;
}

/** The batch call of Git LFS: which objects to send or fetch, and where. */
export async function lfsBatch(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const { operation, transfers, objects } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  if (!Array.isArray(objects) || objects.length > MAX_OBJECTS) {
    throw new HubError(400, `"objects" must be a list of at most ${MAX_OBJECTS}`);
  }
  const asked = objects.map(readObject);
  if (operation === 'download') {
    const caller = callerFor(openRepo(context, exchange, id), visitor(context, exchange));
    const answers = await Promise.all(asked.map((object) => downloadAnswer(context, exchange, caller, object)));
    return exchange.json(200, { transfer: 'basic', objects: answers }, LFS_JSON);
  }
  const repo = readableRepo(context, exchange, id);
  requireContributor(context, exchange);
  const caller = callerFor(repo, visitor(context, exchange));
  const xet = Array.isArray(transfers) && transfers.includes('xet');
  const answers = await Promise.all(
    asked.map(async ({ oid, size }) => {
      const stored = await wholeObject(context.store, await usableObject(context, caller, oid));
      if (stored?.size === size) return { oid, size };
      const actions = xet
        ? xetActions(context, exchange, caller)
        : basicActions(context, exchange, caller, { oid, size });
      return { oid, size, actions };
    }),
  );
  await exchange.json(200, { transfer: xet ? 'xet' : 'basic', hash_algo: 'sha256', objects: answers }, LFS_JSON);
}

function readObject(value: unknown): LfsObject {
  const { oid, size } = asObject(value);
  if (
    typeof oid !== 'string' ||
    !SHA256.test(oid) ||
    typeof size !== 'number' ||
    !Number.isSafeInteger(size) ||
    size < 0
  ) {
    throw new HubError(400, 'Each object needs "oid" and "size"');
  }
  return { oid, size };
}

/** The header names are those that a client expects beside the address of fresh tokens. */
function xetActions(context: HubContext, exchange: HubExchange, caller: Caller) {
  const { type, name } = caller.repo;
  const href = `${baseUrl(context, exchange)}/api/${type}s/${name}/xet-write-token/main`;
  return { upload: { href, header: { ...tokenHeaders(issueToken(context, exchange, 'write', caller)) } } };
}

function basicActions(context: HubContext, exchange: HubExchange, caller: Caller, { oid, size }: LfsObject) {
  const by = { [CALLER]: encodeCaller(caller) };
  return {
    upload: { href: signedUrl(context, exchange, `/lfs/objects/${oid}`, { size: String(size), ...by }), header: {} },
    verify: { href: signedUrl(context, exchange, '/lfs/verify', by), header: {} },
  };
}

async function downloadAnswer(context: HubContext, exchange: HubExchange, caller: Caller, { oid, size }: LfsObject) {
  const stored = await readableObject(context, caller, oid);
  if (!stored) return { oid, size, error: { code: 404, message: 'Object does not exist on the server' } };
  const href = signedUrl(context, exchange, `/xet-bridge/${stored.xetHash}`, { filename: oid });
  return { oid, size: stored.size, actions: { download: { href, header: {} } } };
}

/** Takes an object as one body, checks it, and keeps it as chunks like any other. */
export async function receiveLfsObject(context: HubContext, exchange: HubExchange, oid: string): Promise<void> {
  const caller = signedCaller(context, exchange);
  const size = Number(exchange.query.get('size'));
  const ingest = new Ingest(context.codec, context.store, caller);
  const file = await ingest.add(limited(bodyPieces(exchange.request), size));
  if (file.size !== size || file.sha256 !== oid) throw new HubError(400, 'The content is not that of the object');
  await ingest.finish();
  await context.store.uploads.addFile(caller, file.hash);
  await exchange.send(200, { etag: `"${oid}"` });
}

async function* limited(pieces: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  let received = 0;
  for await (const piece of pieces) {
    received += piece.length;
    if (received > size) throw new HubError(400, 'The content is longer than the object');
    yield piece;
  }
}

/** The caller for whom the signed address of this request was made. */
function signedCaller(context: HubContext, exchange: HubExchange): Caller {
  if (!checkSignedPath(context.signer, exchange.path, exchange.query, context.settings.now())) {
    throw new HubError(403, 'Access denied');
  }
  const caller = decodeCaller(exchange.query.get(CALLER));
  if (!caller) throw new HubError(403, 'Access denied');
  repoOf(context, caller);
  return caller;
}

export async function verifyLfsObject(context: HubContext, exchange: HubExchange): Promise<void> {
  const caller = signedCaller(context, exchange);
  const { oid, size } = readObject(await readJsonObject(exchange.request, MAX_BODY_BYTES));
  const stored = await readableObject(context, caller, oid);
  if (stored?.size !== size) throw new HubError(404, 'Object does not exist on the server');
  await exchange.json(200, {}, LFS_JSON);
}

/** A copy between repositories: content is stored once, so it is enough that the visitor may have what is asked for. */
export async function duplicateLfsFiles(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const repo = openRepo(context, exchange, id);
  requireContributor(context, exchange);
  const caller = callerFor(repo, visitor(context, exchange));
  const { files } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  if (!Array.isArray(files) || files.length > MAX_OBJECTS) {
    throw new HubError(400, `"files" must be a list of at most ${MAX_OBJECTS}`);
  }
  const failed: { sha256: string; error: string }[] = [];
  for (const entry of files) {
    const { sha256 } = asObject(entry);
    if (typeof sha256 !== 'string' || !SHA256.test(sha256)) throw new HubError(400, 'A file has no "sha256"');
    if (!(await usableObject(context, caller, sha256))) failed.push({ sha256, error: 'Not found' });
  }
  await exchange.json(200, { failed });
}
