import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { XetClient } from 'xetkit';
import type { LocalHub } from 'xetkit/local-hub';
import { clientOf, contentUnder, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes, weights } from '../support/samples.ts';

const repo = 'owner/model';
const path = 'model.safetensors';
const model = weights(12, 1);
/** What may be fetched twice when a download is cut anywhere: the run that was being collected, and one decoded. */
const LOST = 4 << 20;

async function startedHub(): Promise<LocalHub> {
  const hub = await hubFor();
  await hub.commitFiles(repo, { [path]: model }, { chunksPerXorb: 40 });
  return hub;
}

/** Starts a download and aborts it when so much of the file is written. */
async function cut(client: XetClient, localDir: string, at: number): Promise<void> {
  const stop = new AbortController();
  const reason = new Error('cut');
  const download = client.downloadFile({
    repo,
    path,
    localDir,
    signal: stop.signal,
    onProgress: ({ bytes }) => bytes.done >= at && stop.abort(reason),
  });
  await expect(download).rejects.toBe(reason);
}

const partials = async (localDir: string) =>
  (await contentUnder(localDir)).filter((name) => name.endsWith('.incomplete'));
const dataFile = async (localDir: string) =>
  join(localDir, (await partials(localDir)).find((name) => name.endsWith('.xetkit.incomplete')) ?? '');
const journalFile = async (localDir: string) =>
  join(localDir, (await partials(localDir)).find((name) => name.endsWith('journal.incomplete')) ?? '');

describe('an aborted download', () => {
  test('goes on where it stopped, in another client', async () => {
    const hub = await startedHub();
    hub.faults.bytesPerSecond = 5_000_000;
    const localDir = await scratch();
    await cut(clientOf(hub), localDir, 5_000_000);
    expect(await contentUnder(localDir)).not.toContain(path);
    hub.faults.clear();
    hub.resetRequests();
    const result = await clientOf(hub).downloadFile({ repo, path, localDir });
    expect(sha256(await readFile(result.localPath))).toBe(sha256(model));
    expect(result).toMatchObject({ verified: 'xet' });
    expect(result.bytes.local).toBeGreaterThan(4_000_000);
    expect(result.bytes.network).toBeLessThan(model.length - result.bytes.local + LOST);
    expect(await contentUnder(localDir)).toEqual([path]);
  });

  test('believes nothing on the disk that it has not hashed again', async () => {
    const hub = await startedHub();
    hub.faults.bytesPerSecond = 5_000_000;
    const localDir = await scratch();
    await cut(clientOf(hub), localDir, 6_000_000);
    hub.faults.clear();
    const data = await readFile(await dataFile(localDir));
    data[3_000_000] = (data[3_000_000] ?? 0) ^ 4;
    await writeFile(await dataFile(localDir), data);
    hub.resetRequests();
    const result = await clientOf(hub).downloadFile({ repo, path, localDir });
    expect(sha256(await readFile(result.localPath))).toBe(sha256(model));
    // One chunk is fetched again, and what is around it is kept.
    expect(result.bytes.local).toBeGreaterThan(5_000_000);
    expect(seen(hub, 'xorb').length).toBeGreaterThan(1);
    expect(result.bytes.network).toBeLessThan(model.length - result.bytes.local + LOST);
  });

  test.each<[what: string, damage: (journal: Buffer) => Uint8Array]>([
    ['an empty one', () => new Uint8Array()],
    ['one that was cut in the middle of a record', (journal) => journal.subarray(0, journal.length - 17)],
    ['noise', () => randomBytes(5000, 3)],
    ['one of another file', (journal) => Buffer.concat([Buffer.from('{"xetkit":1,"etag":"x"}\n'), journal])],
    [
      'one with impossible lengths',
      (journal) => Buffer.concat([journal.subarray(0, journal.length - 4), Buffer.of(255, 255, 255, 255)]),
    ],
  ])('survives a journal that is %s', async (_what, damage) => {
    const hub = await startedHub();
    hub.faults.bytesPerSecond = 5_000_000;
    const localDir = await scratch();
    await cut(clientOf(hub), localDir, 4_000_000);
    hub.faults.clear();
    const journal = await journalFile(localDir);
    await writeFile(journal, damage(await readFile(journal)));
    const result = await clientOf(hub).downloadFile({ repo, path, localDir });
    expect(sha256(await readFile(result.localPath))).toBe(sha256(model));
    expect(await contentUnder(localDir)).toEqual([path]);
  });

  test('starts clean when the file has changed, or when told to', async () => {
    const hub = await startedHub();
    hub.faults.bytesPerSecond = 5_000_000;
    const localDir = await scratch();
    await cut(clientOf(hub), localDir, 4_000_000);
    hub.faults.clear();
    const other = weights(12, 2);
    await hub.commitFiles(repo, { [path]: other });
    const changed = await clientOf(hub).downloadFile({ repo, path, localDir });
    expect(sha256(await readFile(changed.localPath))).toBe(sha256(other));
    expect(changed.bytes.local).toBe(0);

    hub.faults.bytesPerSecond = 5_000_000;
    const again = await scratch();
    await cut(clientOf(hub), again, 4_000_000);
    hub.faults.clear();
    expect((await clientOf(hub).downloadFile({ repo, path, localDir: again, force: true })).bytes.local).toBe(0);
  });

  test('over plain HTTP goes on as well', async () => {
    const hub = await startedHub();
    hub.faults.bytesPerSecond = 5_000_000;
    const localDir = await scratch();
    await cut(clientOf(hub, { xet: false }), localDir, 4_000_000);
    hub.faults.clear();
    hub.resetRequests();
    const result = await clientOf(hub, { xet: false }).downloadFile({ repo, path, localDir });
    expect(sha256(await readFile(result.localPath))).toBe(sha256(model));
    expect(result.verified).toBe('sha256');
    expect(seen(hub, 'xorb')).toEqual([]);
  });
});

describe('where Xet cannot serve', () => {
  test.each<[what: string, kind: 'token' | 'reconstruction' | 'xorb', status: number, after: number]>([
    ['no token', 'token', 503, 0],
    ['no reconstruction', 'reconstruction', 500, 0],
    ['an unknown file', 'reconstruction', 404, 0],
    ['no data', 'xorb', 503, 0],
    ['no more data', 'xorb', 403, 2],
  ])('plain HTTP goes on: %s', async (_what, kind, status, after) => {
    const hub = await startedHub();
    hub.faults.add({ kind, action: 'status', status, times: 1e9, after });
    const warnings: string[] = [];
    // One at a time: what has failed is then known to be behind what was written.
    const client = clientOf(hub, { concurrency: 1, retry: { attempts: 2 }, onWarning: (text) => warnings.push(text) });
    const localDir = await scratch();
    const result = await client.downloadFile({ repo, path, localDir });
    expect(sha256(await readFile(result.localPath))).toBe(sha256(model));
    expect(result.verified).toBe('sha256');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/plain HTTP/);
    const asked = seen(hub, 'bridge').map(({ range }) => range ?? '');
    // Only the part that Xet did not give came this way.
    const all = [`bytes=0-${model.length - 1}`];
    if (after > 0) expect(asked).not.toEqual(all);
    else expect(asked).toEqual(all);

    const file = await client.open({ repo, path });
    expect(sha256(await file.arrayBuffer())).toBe(sha256(model));
    expect(sha256(await file.read(1_000_000, 3_000_000))).toBe(sha256(model.subarray(1_000_000, 3_000_000)));
    await expect(
      clientOf(hub, { retry: { attempts: 2 }, fallback: 'never' }).downloadFile({
        repo,
        path,
        localDir: await scratch(),
      }),
    ).rejects.toThrow(/answered|does not know/);
  });
});

test('two downloads of one file into one folder fetch it once', async () => {
  const hub = await startedHub();
  hub.faults.bytesPerSecond = 10_000_000;
  const cacheDir = await scratch();
  const both = await Promise.all([1, 2].map(() => clientOf(hub, { cacheDir }).downloadFile({ repo, path })));
  expect(both.map((result) => result.bytes.network > 0).sort()).toEqual([false, true]);
  expect(both[0]?.localPath).toBe(both[1]?.localPath);
  expect(sha256(await readFile(both[0]?.localPath ?? ''))).toBe(sha256(model));
  const blobs = await readdir(join(cacheDir, 'models--owner--model', 'blobs'));
  expect(blobs).toEqual([sha256(model)]);
});
