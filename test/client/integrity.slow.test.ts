import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isXetError, type XetErrorCode } from 'xetkit';
import type { FaultAction } from 'xetkit/local-hub';
import { clientOf, contentUnder, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes, text, weights } from '../support/samples.ts';

const repo = 'owner/model';
const contents = { stored: randomBytes(700_000, 1), lz4: text(1_500_000, 2), bg4: weights(2, 3) };

async function outcome(work: Promise<unknown>): Promise<XetErrorCode | 'success'> {
  return work.then(
    () => 'success' as const,
    (error: unknown) => {
      if (isXetError(error)) return error.code;
      throw error;
    },
  );
}

describe.each(Object.entries(contents))('a flipped byte in a xorb of %s chunks', (name, bytes) => {
  test('anywhere, for good: INTEGRITY, and no file', async () => {
    const hub = await hubFor();
    await hub.commitFiles(repo, { [name]: bytes }, { xet: 'always' });
    const client = clientOf(hub);
    await client.downloadFile({ repo, path: name, localDir: await scratch() });
    const length = seen(hub, 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    // Every byte of the first frame header, both ends, and places all over the body.
    const spread = Array.from({ length: 12 }, (_, index) => Math.floor(((index + 0.5) * length) / 12));
    for (const offset of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, ...spread, length - 5, length - 1]) {
      for (const mask of [0x01, 0x80]) {
        hub.faults.clear();
        hub.faults.add({ kind: 'xorb', action: 'corrupt', offset, mask, times: 1e9 });
        const localDir = await scratch();
        const code = await outcome(client.downloadFile({ repo, path: name, localDir }));
        // The end mark of an LZ4 frame, and bits that a decoder has no use for, do not change the content.
        if (code === 'success') expect(await downloadedHash(localDir, name), `offset ${offset}`).toBe(sha256(bytes));
        else {
          expect(code, `offset ${offset} mask ${mask}`).toBe('INTEGRITY');
          expect(await contentUnder(localDir)).toEqual([]);
        }
      }
    }
  });

  test('once: fetched again, and right', async () => {
    const hub = await hubFor();
    await hub.commitFiles(repo, { [name]: bytes }, { xet: 'always' });
    for (const offset of [0, 2, 4, 6, 9, 5000, 100_000]) {
      const fault = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset, mask: 0x04, times: 1 });
      const localDir = await scratch();
      await clientOf(hub).downloadFile({ repo, path: name, localDir });
      expect(fault.hits).toBe(1);
      expect(await downloadedHash(localDir, name), `offset ${offset}`).toBe(sha256(bytes));
      const file = await clientOf(hub).open({ repo, path: name });
      hub.faults.add({ kind: 'xorb', action: 'corrupt', offset, mask: 0x04, times: 1 });
      expect(sha256(await file.arrayBuffer()), `offset ${offset}`).toBe(sha256(bytes));
    }
  });
});

async function downloadedHash(folder: string, name: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  return sha256(await readFile(join(folder, name)));
}

test('a stream of corrupt data fails in place of its end', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, { stored: contents.stored }, { xet: 'always' });
  hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 300_000, times: 1e9 });
  const file = await clientOf(hub).open({ repo, path: 'stored' });
  let got = 0;
  const reading = (async () => {
    for await (const bytes of file.stream()) got += bytes.length;
  })();
  expect(await outcome(reading)).toBe('INTEGRITY');
  expect(got).toBeLessThanOrEqual(contents.stored.length);
});

describe('a file outside of the CAS whose content is not what its etag says', () => {
  // What comes with the answer about it, and what is asked for after that.
  test.each([
    [5000, 0],
    [200_000, 0],
    [200_000, 1],
  ])('is refused (%i bytes, answer %i)', async (size, after) => {
    const hub = await hubFor();
    await hub.commitFiles(repo, { 'a.txt': text(size, 1) }, { xet: 'never' });
    hub.faults.add({ kind: 'resolve-cache', action: 'corrupt', offset: 17, times: 1e9, after });
    const localDir = await scratch();
    expect(await outcome(clientOf(hub).downloadFile({ repo, path: 'a.txt', localDir }))).toBe('INTEGRITY');
    expect(await contentUnder(localDir)).toEqual([]);
  });

  test('is asked for again by whoever reads it again', async () => {
    const hub = await hubFor();
    const bytes = text(2_000_000, 1);
    await hub.commitFiles(repo, { 'a.txt': bytes }, { xet: 'never' });
    hub.faults.add({ kind: 'resolve-cache', action: 'corrupt', offset: 17, times: 1 });
    const file = await clientOf(hub).open({ repo, path: 'a.txt' });
    const streamed = () => new Response(file.stream()).arrayBuffer();
    expect(await outcome(streamed())).toBe('INTEGRITY');
    expect(sha256(await streamed())).toBe(sha256(bytes));
  });

  test('is fetched again where it is read as a whole, and right', async () => {
    const hub = await hubFor();
    const bytes = text(5000, 1);
    await hub.commitFiles(repo, { 'a.txt': bytes }, { xet: 'never' });
    const fault = hub.faults.add({ kind: 'resolve-cache', action: 'corrupt', offset: 17, times: 1 });
    const file = await clientOf(hub).open({ repo, path: 'a.txt' });
    expect(sha256(await file.arrayBuffer())).toBe(sha256(bytes));
    expect(fault.hits).toBe(1);
  });
});

// What a server may do to a range of a xorb for good, and what the user is told.
const spoiled: [what: string, fault: FaultAction, code: XetErrorCode][] = [
  ['cut short', { action: 'truncate', afterBytes: 5000 }, 'NETWORK'],
  ['shorter than asked for', { action: 'shorten', toBytes: 5000 }, 'PROTOCOL'],
  ['another range', { action: 'wrongRange', shiftBytes: 1 }, 'PROTOCOL'],
  ['everything in place of a range', { action: 'fullInsteadOfPartial' }, 'PROTOCOL'],
  ['denied', { action: 'status', status: 403 }, 'FORBIDDEN'],
  ['gone', { action: 'status', status: 404 }, 'ENTRY_NOT_FOUND'],
  ['a failing server', { action: 'status', status: 503 }, 'SERVER'],
  ['no answer at all', { action: 'refuse' }, 'NETWORK'],
];

test.each(spoiled)('a xorb range that is %s', async (_what, fault, code) => {
  const hub = await hubFor();
  await hub.commitFiles(repo, { stored: contents.stored }, { xet: 'always', chunksPerXorb: 4 });
  hub.faults.add({ kind: 'xorb', times: 1e9, ...fault });
  const localDir = await scratch();
  const client = clientOf(hub, { retry: { attempts: 3 }, fallback: 'never' });
  expect(await outcome(client.downloadFile({ repo, path: 'stored', localDir }))).toBe(code);
  expect(await contentUnder(localDir)).not.toContain('stored');

  hub.faults.clear();
  hub.faults.add({ kind: 'xorb', times: 1, ...fault });
  const once = await outcome(client.downloadFile({ repo, path: 'stored', localDir }));
  if (fault.action === 'status' && fault.status === 404) expect(once).toBe('ENTRY_NOT_FOUND');
  else expect(once).toBe('success');
});
