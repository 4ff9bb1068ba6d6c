import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientOf, hubFor, scratch, seen } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';

const content = randomBytes(4_000_000, 91);
const PATH = 'weights.bin';
const repo = 'owner/model';

/** A Hub whose CAS gives no data any more, and a client that knows the recipe of a file but has none of its chunks. */
async function knownRecipe() {
  const hub = await hubFor();
  await hub.commitFiles(repo, { [PATH]: content }, { chunksPerXorb: 16 });
  const recipes = { dir: join(await scratch(), 'recipes') };
  const before = clientOf(hub, { chunkCache: false, recipes });
  await (await before.open({ repo, path: PATH })).arrayBuffer();
  await before.close();
  hub.resetRequests();
  hub.faults.add({ kind: 'xorb', action: 'status', status: 404, times: 1e9 });
  const client = clientOf(hub, { chunkCache: false, recipes });
  return { hub, file: await client.open({ repo, path: PATH }) };
}

test.each([
  [1_234_567, 1_234_600],
  [0, 10],
  [3_999_000, 4_000_000],
  [100_000, 3_700_000],
])('a range over plain HTTP is checked chunk by chunk if the recipe is known: %i–%i', async (start, end) => {
  const { hub, file } = await knownRecipe();
  const once = hub.faults.add({ kind: 'bridge', action: 'corrupt', offset: Math.min(5, end - start - 1), times: 1 });
  expect(Buffer.compare(await file.read(start, end), content.subarray(start, end))).toBe(0);
  expect(once.hits).toBe(1);
  // The range with the chunks around it, and the part that was wrong once more.
  expect(seen(hub, 'bridge').length).toBe(2);
});

test('a range that stays wrong over plain HTTP is INTEGRITY', async () => {
  const { hub, file } = await knownRecipe();
  hub.faults.add({ kind: 'bridge', action: 'corrupt', offset: 5, times: 1e9 });
  const error = await rejectionOf(file.read(2_000_000, 2_000_100));
  expect(error).toMatchObject({ code: 'INTEGRITY', message: expect.stringMatching(/plain HTTP/) });
});

test('a stream of a range gives no byte that was not checked', async () => {
  const { hub, file } = await knownRecipe();
  // The second megabyte is wrong, and so is what comes in its place.
  hub.faults.add({ kind: 'bridge', action: 'corrupt', offset: 1_500_000, times: 1 });
  hub.faults.add({ kind: 'bridge', action: 'corrupt', offset: 300_000, times: 1e9 });
  const given: Uint8Array[] = [];
  const reading = (async () => {
    for await (const bytes of file.slice(500_000, 3_000_000).stream()) given.push(bytes.slice());
  })();
  expect(await rejectionOf(reading)).toMatchObject({ code: 'INTEGRITY' });
  const got = Buffer.concat(given);
  expect(got.length).toBeGreaterThan(500_000);
  expect(Buffer.compare(got, content.subarray(500_000, 500_000 + got.length))).toBe(0);
});
