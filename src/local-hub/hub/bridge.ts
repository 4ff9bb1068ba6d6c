import type { ByteRange } from '../../core/ranges.ts';
import type { HubContext } from '../context.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import { sendEmpty, sendRanged } from '../http/ranged.ts';
import { checkSignedPath } from '../http/signature.ts';
import { HubError } from '../hub-error.ts';
import { typeOfPlural } from '../repo/repo-id.ts';
import type { FileRecord } from '../store/file-store.ts';
import { readFileBytes } from '../store/read-file.ts';
import { linkedFacts } from './linked-facts.ts';

/** The whole file behind a signed address, for clients that do not speak Xet. */
export async function sendBridge(context: HubContext, exchange: HubExchange, hash: string): Promise<void> {
  if (!checkSignedPath(context.signer, exchange.path, exchange.query, context.settings.now())) {
    throw new HubError(403, 'Access denied');
  }
  const file = await context.store.files.file(hash);
  if (!file) throw new HubError(404, 'Not found');
  const name = exchange.query.get('filename') ?? 'file';
  const headers: OutgoingHeaders = {
    ...repeatedFacts(context, exchange, file),
    'content-type': exchange.query.get('type') ?? 'application/octet-stream',
    etag: `"${hash}"`,
    'content-disposition': `inline; filename*=UTF-8''${name}`,
  };
  if (file.size === 0) return sendEmpty(exchange, headers);
  const read = (range: ByteRange) => readFileBytes(context.store, context.codec, file, range);
  return sendRanged(exchange, { size: file.size, read }, headers);
}

/**
 * Headers of the redirect to this URL. huggingface_hub follows a redirect on the Hub's own host, and reads metadata
 * from the last response.
 */
function repeatedFacts(context: HubContext, exchange: HubExchange, { hash, size }: FileRecord): OutgoingHeaders {
  const [plural, ...name] = exchange.query.get('repo')?.split('/') ?? [];
  const type = plural === 'buckets' ? 'bucket' : typeOfPlural(plural);
  const commit = exchange.query.get('commit') ?? undefined;
  const etag = exchange.query.get('sha256') ?? hash;
  if (!type || (type !== 'bucket' && commit === undefined)) return {};
  return linkedFacts(context, exchange, { type, name: name.join('/') }, commit, { xetHash: hash, size, etag }).headers;
}
