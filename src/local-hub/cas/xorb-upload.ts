import type { HubContext } from '../context.ts';
import { bodyPieces } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { readableFile } from '../hub/content-access.ts';
import { requireScope } from '../hub/xet-token.ts';
import { HubError } from '../hub-error.ts';
import { receiveXorb } from '../store/receive-xorb.ts';

export async function uploadXorb(context: HubContext, exchange: HubExchange, hash: string): Promise<void> {
  const caller = requireScope(context, exchange, 'write');
  const { codec, store } = context;
  const inserted = await receiveXorb(codec, store.xorbs, store.staging, hash, bodyPieces(exchange.request));
  store.uploads.addXorb(caller, hash);
  await exchange.json(200, { was_inserted: inserted });
}

export async function probeXorb(context: HubContext, exchange: HubExchange, hash: string): Promise<void> {
  const caller = requireScope(context, exchange, 'read');
  const { uploads, xorbs } = context.store;
  const index = uploads.hasXorb(caller, hash) ? await xorbs.whole(hash) : undefined;
  if (!index) throw new HubError(404, 'Xorb not found');
  await exchange.send(200, {}, { length: index.storedBytes, pieces: nothing() });
}

export async function probeFile(context: HubContext, exchange: HubExchange, hash: string): Promise<void> {
  const caller = requireScope(context, exchange, 'read');
  const file = await readableFile(context, caller, hash);
  if (!file) throw new HubError(404, 'File not found');
  await exchange.send(200, {}, { length: file.size, pieces: nothing() });
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
