import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { XetClient } from '../../src/client/xet-client.ts';
import { downloadFile } from '../../src/entries/compat.ts';
import { createXetCache } from '../../src/entries/fetch.ts';
import { saveFile } from '../../src/read/save-file.ts';
import { clientOptions, fetchFor, hubFor, seen } from '../support/fetch.ts';
import { randomBytes } from '../support/samples.ts';

const large = randomBytes(8_000_000, 1);

async function hubWithLarge() {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', { 'large.bin': large });
  const client = new XetClient(clientOptions(hub));
  onTestFinished(() => client.close());
  return { hub, client, url: `${hub.url}/owner/model/resolve/main/large.bin` };
}
type Given = Awaited<ReturnType<typeof hubWithLarge>>;

const target = { repo: 'owner/model', path: 'large.bin' };

/** Every way to a body: what begins to read it, and what ends that. */
const bodies: Record<string, (given: Given) => Promise<ReadableStream<Uint8Array>>> = {
  'fetch, whole': async ({ hub, url }) => (await fetchFor(hub)(url)).body!,
  'fetch, a range': async ({ hub, url }) => (await fetchFor(hub)(url, { headers: { range: 'bytes=1000-' } })).body!,
  'a clone of an answer': async ({ hub, url }) => {
    const answer = await fetchFor(hub)(url);
    const { body } = answer.clone();
    // Ends when the other half does.
    answer.body?.cancel().catch(() => undefined);
    return body!;
  },
  'a cache': async ({ hub, url }) => {
    const cache = createXetCache({ client: clientOptions(hub) });
    onTestFinished(() => cache.close());
    return (await cache.match(url))!.body!;
  },
  'an opened file': async ({ client }) => (await client.open(target)).stream(),
  'a slice of an opened file': async ({ client }) => (await client.open(target)).slice(100, 5_000_000).stream(),
  'a short slice of an opened file': async ({ client }) => (await client.open(target)).slice(100, 200).stream(),
  'the blob of another client': async ({ hub }) => (await downloadFile({ ...target, hubUrl: hub.url }))!.stream(),
};

describe('a body that is cancelled before its first byte makes no more requests', () => {
  test.each(Object.entries(bodies))('body of %s', async (_name, bodyOf) => {
    const given = await hubWithLarge();
    const { hub } = given;
    const stalled = hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 0, times: 1e9 });
    const body = await bodyOf(given);
    const reader = body.getReader();
    const reading = reader.read();
    await vi.waitFor(() => expect(stalled.hits).toBeGreaterThan(0));
    void reader.cancel('enough').catch(() => undefined);
    expect(await reading).toEqual({ done: true, value: undefined });
    await pause(50);
    const asked = hub.requests.length;
    stalled.remove();
    await pause(300);
    expect(hub.requests.length).toBe(asked);
    expect(seen(hub, 'bridge')).toEqual([]);
    expect(hub.requests.filter(({ kind }) => kind === 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0)).toBe(
      0,
    );
  });
});

test('a target that fails before the first byte ends saveFile', async () => {
  const { hub, client } = await hubWithLarge();
  const stalled = hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 0, times: 1e9 });
  let controller: WritableStreamDefaultController | undefined;
  const stream = new WritableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
  });
  const saving = saveFile(await client.open(target), stream).catch((error: unknown) => error);
  await vi.waitFor(() => expect(stalled.hits).toBeGreaterThan(0));
  controller?.error('the disk is gone');
  expect(await saving).toBe('the disk is gone');
  const asked = hub.requests.length;
  stalled.remove();
  await pause(300);
  expect([hub.requests.length, seen(hub, 'bridge')]).toEqual([asked, []]);
});
