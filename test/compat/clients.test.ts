import { expect, test } from 'vitest';
import { XetClient } from '../../src/client/xet-client.ts';
import { type ClientSettings, CompatClients } from '../../src/compat/clients.ts';
import type { CompatPlatform } from '../../src/compat/platform.ts';

/** Clients that are counted, and never ask anybody. */
function counted() {
  const made: XetClient[] = [];
  const closed: XetClient[] = [];
  const platform: CompatPlatform = {
    makeClient: (options) => {
      const client = new XetClient({ ...options, workers: 0, chunkCache: false });
      const close = client.close.bind(client);
      client.close = async () => {
        closed.push(client);
        await close();
      };
      made.push(client);
      return client;
    },
    switches: () => ({ mode: 'on', xetDisabled: false }),
    loadOriginal: async () => undefined,
  };
  return { clients: new CompatClients(platform), made, closed };
}

const at = (number: number): ClientSettings => ({ endpoint: `http://127.0.0.1:${number}` });

test('calls that say the same share a client', async () => {
  const { clients, made } = counted();
  const fetch = () => Promise.reject(new Error('not asked'));
  const same: ClientSettings[] = [at(1), { ...at(1), xet: undefined }, { ...at(1), fetch }, { fetch, ...at(1) }];
  for (const settings of same) clients.hold(settings).release();
  expect(made).toHaveLength(2);
  for (const other of [
    { ...at(1), xet: false },
    { ...at(1), accessToken: 'a' },
    { ...at(1), fetch: () => fetch() },
  ]) {
    clients.hold(other).release();
  }
  expect(made).toHaveLength(5);
});

test('those used longest ago are closed, but never one that is in use', async () => {
  const { clients, made, closed } = counted();
  const held = clients.hold(at(1));
  const again = clients.hold(at(1));
  for (let number = 2; number <= 6; number++) await clients.with(at(number), async () => undefined);
  expect(closed).toEqual([made[1]]);
  held.release();
  held.release();
  expect(closed).toEqual([made[1]]);
  again.release();
  expect(closed).toEqual([made[1], made[0]]);
  expect(clients.hold(at(1)).client).not.toBe(made[0]);
});
