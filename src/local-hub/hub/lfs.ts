import { baseUrl, type HubContext, signedUrl } from '../context.ts';
import { asObject, bodyPieces, readJsonObject } from '../http/body-reader.ts';
import type { Exchange } from '../http/exchange.ts';
import { checkSignedPath } from '../http/signature.ts';
import { HubError } from '../hub-error.ts';
import { Ingest } from '../ingest.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { wholeObject } from '../store/store.ts';
import { openRepo, readableRepo, requireContributor } from './access.ts';
import { issueToken, tokenHeaders } from './xet-token.ts';

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const LFS_JSON = { 'content-type': 'application/vnd.git-lfs+json' };
const SHA256 = /^[0-9a-f]{64}$/;

interface LfsObject {
  oid: string;
  size: number;
}

/** The batch call of Git LFS: which objects to send or fetch, and where. */
export async function lfsBatch(context: HubContext, exchange: Exchange, id: RepoId): Promise<void> {
  const { operation, transfers, objects } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  if (!Array.isArray(objects)) throw new HubError(400, '"objects" must be a list');
  const asked = objects.map(readObject);
  if (operation === 'download') {
    openRepo(context, exchange, id);
    const answers = await Promise.all(asked.map((object) => downloadAnswer(context, exchange, object)));
    return exchange.json(200, { transfer: 'basic', objects: answers }, LFS_JSON);
  }
  readableRepo(context, exchange, id);
  requireContributor(context, exchange);
  const xet = Array.isArray(transfers) && transfers.includes('xet');
  const answers = await Promise.all(
    asked.map(async ({ oid, size }) => {
      const stored = await wholeObject(context.store, oid);
      if (stored?.size === size) return { oid, size };
      const actions = xet ? xetActions(context, exchange, id) : basicActions(context, exchange, { oid, size });
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
function xetActions(context: HubContext, exchange: Exchange, id: RepoId) {
  const href = `${baseUrl(context, exchange)}/api/${id.type}s/${id.name}/xet-write-token/main`;
  return { upload: { href, header: { ...tokenHeaders(issueToken(context, exchange, 'write')) } } };
}

function basicActions(context: HubContext, exchange: Exchange, { oid, size }: LfsObject) {
  return {
    upload: { href: signedUrl(context, exchange, `/lfs/objects/${oid}`, { size: String(size) }), header: {} },
    verify: { href: signedUrl(context, exchange, '/lfs/verify'), header: {} },
  };
}

async function downloadAnswer(context: HubContext, exchange: Exchange, { oid, size }: LfsObject) {
  const stored = await context.store.files.object(oid);
  if (!stored) return { oid, size, error: { code: 404, message: 'Object does not exist on the server' } };
  const href = signedUrl(context, exchange, `/xet-bridge/${stored.xetHash}`, { filename: oid });
  return { oid, size: stored.size, actions: { download: { href, header: {} } } };
}

/** Takes an object as one body, checks it, and keeps it as chunks like any other. */
export async function receiveLfsObject(context: HubContext, exchange: Exchange, oid: string): Promise<void> {
  if (!checkSignedPath(context.signer, exchange.path, exchange.query, context.settings.now())) {
    throw new HubError(403, 'Access denied');
  }
  const size = Number(exchange.query.get('size'));
  const ingest = new Ingest(context.codec, context.store);
  const file = await ingest.add(limited(bodyPieces(exchange.request), size));
  if (file.size !== size || file.sha256 !== oid) throw new HubError(400, 'The content is not that of the object');
  await ingest.finish();
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

export async function verifyLfsObject(context: HubContext, exchange: Exchange): Promise<void> {
  const { oid, size } = readObject(await readJsonObject(exchange.request, MAX_BODY_BYTES));
  const stored = await context.store.files.object(oid);
  if (stored?.size !== size) throw new HubError(404, 'Object does not exist on the server');
  await exchange.json(200, {}, LFS_JSON);
}

/** A copy between repositories: objects belong to all of them, so it is enough to know the ones asked for. */
export async function duplicateLfsFiles(context: HubContext, exchange: Exchange, id: RepoId): Promise<void> {
  openRepo(context, exchange, id);
  requireContributor(context, exchange);
  const { files } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  if (!Array.isArray(files)) throw new HubError(400, '"files" must be a list');
  const failed: { sha256: string; error: string }[] = [];
  for (const entry of files) {
    const { sha256 } = asObject(entry);
    if (typeof sha256 !== 'string' || !SHA256.test(sha256)) throw new HubError(400, 'A file has no "sha256"');
    if (!(await context.store.files.object(sha256))) failed.push({ sha256, error: 'Not found' });
  }
  await exchange.json(200, { failed });
}
