import { createHash } from 'node:crypto';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import type { XetClient } from '../../src/client/xet-client.ts';
import { randomBytes } from '../support/samples.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const bytes = randomBytes(12_000_000, 1);
const target = { repo: 'owner/model', path: 'model.bin' };
const digest = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');
/** What an attempt that broke off had on its way is sent a second time. */
const MOST = 1.05;

async function hubAndClient(options: XetClientOptions = {}) {
  const hub = await sourceHub();
  await hub.commitFiles('owner/model', { 'model.bin': bytes }, { xet: 'always', chunksPerXorb: 16 });
  const client = sourceClient(hub, { concurrency: 1, retry: { attempts: 3 }, ...options });
  const sent = (kind: string) =>
    hub.requests.filter((one) => one.kind === kind).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  return { hub, client, sent };
}

async function streamed(client: XetClient): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of (await client.open(target)).stream()) parts.push(part.slice());
  return Buffer.concat(parts);
}

const ways: Record<string, (client: XetClient) => Promise<Uint8Array>> = {
  'a stream': streamed,
  'a read into memory': async (client) => new Uint8Array(await (await client.open(target)).arrayBuffer()),
  'a range': async (client) => {
    const file = await client.open(target);
    const [head, tail] = [await file.read(0, 100), await file.read(100, bytes.length)];
    return Buffer.concat([head, tail]);
  },
  'a download': async (client) => {
    const localDir = await mkdtemp(join(tmpdir(), 'xetkit-outage-'));
    const { verified } = await client.downloadFile({ ...target, localDir });
    expect(verified).toMatch(/xet|sha256/);
    return readFile(join(localDir, 'model.bin'));
  },
};

describe.each(Object.entries(ways))('%s', (_name, run) => {
  test('that loses the network goes back to Xet when it is there again, and fetches nothing twice', async () => {
    const { hub, client, sent } = await hubAndClient();
    // As many as there are attempts; then a server answers again.
    hub.faults.add({ kind: 'xorb', action: 'refuse', after: 4, times: 3 });
    expect(digest(await run(client))).toBe(digest(bytes));
    expect(sent('bridge')).toBe(0);
    expect(sent('xorb')).toBeLessThan(bytes.length * MOST);
  });

  test('fails as the network does where no host answers, and asks nobody for all of it again', async () => {
    const { hub, client, sent } = await hubAndClient();
    hub.faults.add({ kind: 'any', action: 'refuse', after: 9, times: 1e9 });
    await expect(run(client)).rejects.toMatchObject({ code: 'NETWORK' });
    expect(sent('bridge')).toBe(0);
  });

  test('takes from plain HTTP only what Xet did not give', async () => {
    const warnings: string[] = [];
    const { hub, client, sent } = await hubAndClient({ onWarning: (text) => warnings.push(text) });
    hub.faults.add({ kind: 'xorb', action: 'refuse', after: 6, times: 1e9 });
    expect(digest(await run(client))).toBe(digest(bytes));
    expect(sent('bridge')).toBeGreaterThan(0);
    expect(sent('bridge') + sent('xorb')).toBeLessThan(bytes.length * MOST);
    expect(warnings).toEqual([expect.stringMatching(/^'model\.bin' is not available over Xet \(.*[^.]\); fetching/)]);
  });
});
