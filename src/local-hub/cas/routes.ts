import { isHashHex } from '../../core/hash.ts';
import type { HubContext } from '../context.ts';
import { asObject, readBody } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { parseJson } from '../http/json.ts';
import { notFound, type Route } from '../http/route.ts';
import { HubError } from '../hub-error.ts';
import { sendChunkAnswer } from './chunk-query.ts';
import type { Grants } from './grants.ts';
import { sendReconstruction, sendReconstructions } from './reconstruction.ts';
import { uploadShard, uploadShardStreaming } from './shard-upload.ts';
import { sendXorb } from './xorb-download.ts';
import { probeFile, probeXorb, uploadXorb } from './xorb-upload.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_KEYS = 5000;

/** The addresses below the CAS prefix. */
export function casRoutes(context: HubContext, grants: Grants): (exchange: HubExchange, segments: string[]) => Route {
  return (exchange, [version = '', what = '', ...rest]) => {
    const [first = '', hash = ''] = rest;
    const action = `${exchange.method} ${version}/${what}`;
    const cas = (kind: Route['kind'], run: () => Promise<void>): Route => ({ family: 'cas', kind, run });
    switch (action) {
      case 'GET v1/reconstructions':
      case 'GET v2/reconstructions':
        if (rest.length === 0) return cas('reconstruction', () => batch(context, exchange));
        return cas('reconstruction', () =>
          sendReconstruction(context, exchange, version === 'v2' ? 2 : 1, hashIn(first)),
        );
      case 'POST v1/reconstructions':
        return cas('reconstruction', () => batch(context, exchange));
      case 'GET v1/chunks':
        if (first !== 'default' && first !== 'default-merkledb') break;
        return cas('chunk-query', () => sendChunkAnswer(context, exchange, hashIn(hash)));
      case 'POST v1/xorbs':
        return cas('xorb-upload', () => uploadXorb(context, exchange, hashIn(hash)));
      case 'HEAD v1/xorbs':
        return cas('other', () => probeXorb(context, exchange, hashIn(hash)));
      case 'HEAD v1/files':
        return cas('other', () => probeFile(context, exchange, hashIn(first)));
      case 'POST v1/xorb-grants':
        return cas('grant', () => grants.offer(context, exchange, hashIn(hash)));
      case 'POST v1/xorb-commits':
        return cas('grant', () => grants.commit(context, exchange, hashIn(hash), rest[3] ?? ''));
      case 'POST v1/shards':
        return cas('shard-upload', () => uploadShard(context, exchange));
      case 'POST v2/shards':
        return cas('shard-upload', () => uploadShardStreaming(context, exchange));
      case 'POST v1/telemetry':
        return cas('telemetry', async () => {
          await readBody(exchange.request, MAX_BODY_BYTES);
          await exchange.json(200, {});
        });
    }
    return notFound(exchange, 'cas');
  };
}

/** The addresses that are signed, and so need no token. */
export function signedRoute(context: HubContext, grants: Grants, exchange: HubExchange): Route | undefined {
  const [what, first = '', hash = ''] = exchange.segments;
  const reads = exchange.method === 'GET' || exchange.method === 'HEAD';
  if (what === 'xorbs' && first === 'default' && reads) {
    return { family: 'signed', kind: 'xorb', run: () => sendXorb(context, exchange, hashIn(hash)) };
  }
  if (what === 'xorb-uploads' && exchange.method === 'PUT') {
    return { family: 'signed', kind: 'xorb-upload', run: () => grants.receive(context, exchange, first) };
  }
  return undefined;
}

async function batch(context: HubContext, exchange: HubExchange): Promise<void> {
  if (exchange.method === 'GET')
    return sendReconstructions(context, exchange, exchange.query.getAll('file_id').map(hashIn));
  const keys = parseJson((await readBody(exchange.request, MAX_BODY_BYTES)).toString());
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) {
    throw new HubError(400, `A list of at most ${MAX_KEYS} keys was expected`);
  }
  const hashes = keys.map((key) => (typeof key === 'string' ? key : asObject(key).hash));
  return sendReconstructions(context, exchange, hashes.map(hashIn));
}

function hashIn(text: unknown): string {
  if (!isHashHex(text)) throw new HubError(400, 'Not a hash');
  return text;
}
