import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { XetClient } from '../../src/client/xet-client.ts';
import { joinBytes } from '../../src/core/chunks.ts';
import { seen, sha256 } from '../support/hub.ts';
import { holdsAsync } from '../support/property.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const POOL = new Uint8Array(
  createCipheriv('aes-128-ctr', Buffer.alloc(16, 3), Buffer.alloc(16)).update(Buffer.alloc(4_000_000)),
);
const path = 'data.bin';

async function station(repo: string) {
  const hub = await sourceHub();
  await hub.createRepo(repo);
  const clientHere = () => sourceClient(hub, { accessToken: 'hf_local' });
  return { hub, client: clientHere(), clientHere };
}

async function contentOf(client: XetClient, repo: string): Promise<Uint8Array> {
  const file = await client.open({ repo, path });
  return new Uint8Array(await file.arrayBuffer());
}

describe.each(['owner/model', 'buckets/owner/store'])('edits in %s', (repo) => {
  test('give what they specify, for random edits, with the hash and digest that the Hub checks', async () => {
    const { client, clientHere } = await station(repo);
    const reader = clientHere();
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      inserts: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50_000 })),
      deletes: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300_000 }), fc.constant(1e9)),
    });
    await holdsAsync(25, fc.array(edit, { minLength: 1, maxLength: 3 }), async (points) => {
      const original = POOL.subarray(0, 1_200_000);
      await client.upload({ repo, files: { path, content: original } });
      const sorted = points.map(({ at, ...rest }) => ({ at: Math.floor(at * original.length), ...rest }));
      sorted.sort((a, b) => a.at - b.at);
      const edits = sorted.map(({ at: start, inserts, deletes }, index) => ({
        start,
        end: Math.min(start + deletes, sorted[index + 1]?.at ?? original.length),
        content: POOL.subarray(2_000_000 + index, 2_000_000 + index + inserts),
      }));
      let at = 0;
      const parts: Uint8Array[] = [];
      for (const { start, end, content } of edits) {
        parts.push(original.subarray(at, start), content);
        at = end;
      }
      const expected = joinBytes([...parts, original.subarray(at)]);
      const { files } = await client.edit({ repo, path, edits });
      expect(Buffer.compare(await contentOf(reader, repo), expected)).toBe(0);
      expect(files[0]?.size).toBe(expected.length);
      if (files[0]?.sha256) expect(files[0].sha256).toBe(sha256(expected));
    });
  }, 60_000);

  test('are given up with CONFLICT if the file changes in the meantime, and leave the other version', async () => {
    const { client, clientHere } = await station(repo);
    await client.upload({ repo, files: { path, content: POOL.subarray(0, 1_000_000) } });
    const other = clientHere();
    const late = async function* () {
      await other.upload({ repo, files: { path, content: POOL.subarray(5, 900_000) } });
      yield new Uint8Array(2_000_000);
    };
    const editing = client.edit({ repo, path, edits: [{ start: 500_000, end: 500_000, content: late() }] });
    await expect(editing).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(Buffer.compare(await contentOf(other, repo), POOL.subarray(5, 900_000))).toBe(0);
  });

  test('append to a file whose recipe is known, with little to read and send', async () => {
    const { hub, client, clientHere } = await station(repo);
    const original = POOL.subarray(0, 2_000_000);
    await client.upload({ repo, files: { path, content: original } });
    const added = POOL.subarray(3_000_000, 3_100_000);
    const before = client.metrics().bytes;
    const { bytes } = await client.append({ repo, path, content: new Blob([added]) });
    expect(bytes.sent).toBeLessThan(added.length + 200_000);
    if (repo.startsWith('buckets/')) expect(client.metrics().bytes.network - before.network).toBeLessThan(200_000);
    expect(seen(hub, 'xorb-upload').length).toBeLessThanOrEqual(2);
    expect(Buffer.compare(await contentOf(clientHere(), repo), joinBytes([original, added]))).toBe(0);
  });

  test('truncate a file, and empty it', async () => {
    const { client, clientHere } = await station(repo);
    await client.upload({ repo, files: { path, content: POOL.subarray(0, 1_000_000) } });
    await client.edit({ repo, path, edits: [{ start: 400_001, end: 1_000_000 }] });
    expect(Buffer.compare(await contentOf(clientHere(), repo), POOL.subarray(0, 400_001))).toBe(0);
    await client.edit({ repo, path, edits: [{ start: 0, end: 400_001 }] });
    expect(await contentOf(clientHere(), repo)).toHaveLength(0);
  });

  test('of a file without a recipe give the same result', async () => {
    const { client, clientHere } = await station(repo);
    await client.upload({ repo, files: { path, content: POOL.subarray(0, 1_000_000) } });
    await clientHere().edit({ repo, path, edits: [{ start: 10, end: 20, content: new Uint8Array(3) }] });
    const expected = joinBytes([POOL.subarray(0, 10), new Uint8Array(3), POOL.subarray(20, 1_000_000)]);
    expect(Buffer.compare(await contentOf(clientHere(), repo), expected)).toBe(0);
  });
});

test('a small git file is edited by the regular route', async () => {
  const repo = 'owner/model';
  const { client } = await station(repo);
  await client.upload({ repo, files: { path: 'notes.txt', content: new Blob(['one two']) } });
  await client.edit({ repo, path: 'notes.txt', edits: [{ start: 4, end: 7, content: new Blob(['three']) }] });
  await client.append({ repo, path: 'notes.txt', content: new Blob([' four']) });
  expect(await (await client.open({ repo, path: 'notes.txt' })).text()).toBe('one three four');
});

test.each([
  ['no edits', []],
  ['an edit that is not one', ['x']],
  [
    'edits that overlap',
    [
      { start: 0, end: 5 },
      { start: 3, end: 6 },
    ],
  ],
  ['an edit behind the end', [{ start: 0, end: 1e6 }]],
])('%s are refused before anything is sent', async (_, edits) => {
  const repo = 'owner/model';
  const { client, hub } = await station(repo);
  await client.upload({ repo, files: { path: 'notes.txt', content: new Blob(['one two']) } });
  const commits = seen(hub, 'commit').length;
  await expect(client.edit({ repo, path: 'notes.txt', edits: edits as never })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
  expect(seen(hub, 'commit').length).toBe(commits);
});
