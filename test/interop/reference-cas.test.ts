import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { XetClient } from 'xetkit';
import { CasClient } from '../../src/cas/client.ts';
import { findRange, type Reconstruction } from '../../src/cas/reconstruction.ts';
import { ReconstructionsAhead } from '../../src/cas/reconstructions-ahead.ts';
import { DEFAULT_TIMEOUTS, Http } from '../../src/http/http.ts';
import { CasTokenSource } from '../../src/hub/token.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { type KnownFile, startHubBefore } from './hub-before-cas.ts';
import { native, startReferenceCas } from './tools.ts';

interface Uploaded {
  path: string;
  hash: string;
  size: number;
  sha256: string;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

// Stored, LZ4 and BG4 chunks; one xorb and several; files that share xorbs; files that are barely there.
const big = randomBytes(70_000_000, 1);
const model = weights(24, 2);
const samples: Record<string, Uint8Array> = {
  'random.bin': randomBytes(3_000_000, 3),
  'two-xorbs.bin': big,
  'text.txt': text(5_000_000, 4),
  'constant.bin': new Uint8Array(2_000_000).fill(59),
  'model.safetensors': model,
  'mixed.bin': Buffer.concat([text(900_000, 5), model.subarray(0, 3_000_000), randomBytes(900_000, 6)]),
  'shares-the-model.bin': Buffer.concat([text(100_000, 7), model, text(100_000, 8)]),
  'repeats.bin': Buffer.concat([
    big.subarray(0, 5_000_000),
    text(300_000, 9),
    big.subarray(2_000_000, 9_000_000),
    big.subarray(0, 5_000_000),
  ]),
  'tiny.bin': Uint8Array.of(0),
  'small.json': new TextEncoder().encode('{"a":1}'),
};

describe('files that the native client put into the reference CAS', () => {
  let folder: string;
  let cas: Awaited<ReturnType<typeof startReferenceCas>>;
  let hub: Awaited<ReturnType<typeof startHubBefore>>;
  const known = new Map<string, KnownFile>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'xetkit-interop-'));
    cas = await startReferenceCas(join(folder, 'cas'));
    await mkdir(join(folder, 'files'));
    for (const [name, bytes] of Object.entries(samples)) {
      const path = join(folder, 'files', name);
      await writeFile(path, bytes);
      const [done] = await native<Uploaded[]>(
        'upload',
        { endpoint: cas.url, paths: [path] },
        { HF_HOME: join(folder, 'home') },
      );
      if (!done) throw new Error(`${name} was not uploaded`);
      known.set(name, done);
    }
    hub = await startHubBefore(cas.url, known);
  });

  afterAll(async () => {
    await hub?.stop();
    await cas?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test.each(Object.keys(samples))('%s comes down byte for byte', async (name) => {
    await using client = new XetClient({ endpoint: hub.url, accessToken: '' });
    const result = await client.downloadFile({ repo: 'a/b', path: name, localDir: join(folder, 'down') });
    const expected = samples[name] ?? new Uint8Array();
    expect(sha256(await readFile(result.localPath))).toBe(sha256(expected));
    expect(result).toMatchObject({ verified: 'xet', size: expected.length, xetHash: known.get(name)?.hash });
  });

  test('ranges, also across terms and xorbs, are the same bytes', async () => {
    await using client = new XetClient({ endpoint: hub.url, accessToken: '', workers: 0 });
    for (const name of ['two-xorbs.bin', 'repeats.bin', 'mixed.bin']) {
      const expected = samples[name] ?? new Uint8Array();
      const file = await client.open({ repo: 'a/b', path: name });
      const size = expected.length;
      const cuts = [
        [0, 1],
        [0, 0],
        [size - 1, size],
        [1000, 200_000],
        [size >> 1, (size >> 1) + 1_500_000],
        [2_900_000, 4_100_000],
      ];
      for (const [start = 0, end = 0] of cuts) {
        const got = await file.read(start, Math.min(end, size));
        expect(sha256(got), `${name} ${start}–${end}`).toBe(sha256(expected.subarray(start, Math.min(end, size))));
      }
    }
  });

  test('asked for together, each file is built as it is when asked for alone', async () => {
    const http = new Http({ fetch, timeouts: DEFAULT_TIMEOUTS, retry: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1 } });
    const tokens = new CasTokenSource(http, `${hub.url}/api/models/a/b/xet-read-token/main`, async () => ({}));
    const files = [...known.values()];
    const ahead = new ReconstructionsAhead(
      http,
      tokens,
      files.map(({ hash }) => hash),
    );
    const { signal } = new AbortController();
    const placesIn = (found: Reconstruction) =>
      found.terms.map((term) => ({ term, range: findRange(found, term)?.range }));
    for (const { hash, size } of files) {
      const together = await ahead.take(hash, signal);
      const alone = await new CasClient(http, tokens, new Map()).reconstruction(hash, { start: 0, end: size }, signal);
      expect(together && placesIn(together)).toEqual(placesIn(alone));
    }
    expect(files).toHaveLength(Object.keys(samples).length);
  });

  test('a small memory budget changes nothing but the peak', async () => {
    await using client = new XetClient({ endpoint: hub.url, accessToken: '', memoryBudget: 16 * 1024 * 1024 });
    for (const name of ['two-xorbs.bin', 'repeats.bin', 'shares-the-model.bin']) {
      const file = await client.open({ repo: 'a/b', path: name });
      expect(sha256(new Uint8Array(await file.arrayBuffer())), name).toBe(sha256(samples[name] ?? new Uint8Array()));
    }
  });
});
