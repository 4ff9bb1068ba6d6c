import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadFile, listCommits } from '@huggingface/hub';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { XetClient } from 'xetkit';
import { startLocalHub } from 'xetkit/local-hub';
import { sha256 } from '../support/hub.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { startHubBefore } from './hub-before-cas.ts';
import { native, realWeights, startReferenceCas } from './tools.ts';

const base = randomBytes(70_000_000, 21);
const model = weights(24, 22);
/** Random, compressible, float, tiny, longer than a xorb, and in parts like each other; the real model comes later. */
const samples: Record<string, Uint8Array> = {
  'random.bin': randomBytes(3_000_000, 23),
  'more-than-a-xorb.bin': base,
  'text.txt': text(5_000_000, 24),
  'constant.bin': new Uint8Array(2_000_000).fill(59),
  'model.safetensors': model,
  'shares-the-model.bin': Buffer.concat([text(100_000, 25), model, text(100_000, 26)]),
  'repeats.bin': Buffer.concat([base.subarray(0, 5_000_000), text(300_000, 27), base.subarray(2_000_000, 9_000_000)]),
  'tiny.bin': Uint8Array.of(0),
  'largest-chunk.bin': new Uint8Array(131_072),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-uploads-'));
  await mkdir(join(folder, 'files'));
  await realWeights(join(folder, 'files', 'real.safetensors'));
  samples['real.safetensors'] = await readFile(join(folder, 'files', 'real.safetensors'));
  for (const [name, bytes] of Object.entries(samples)) await writeFile(join(folder, 'files', name), bytes);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const tiers = () => ({ dir: join(folder, crypto.randomUUID()) });

describe("HF's own CAS server takes what xetkit uploads", () => {
  test('and the native client gets every byte of it back, under the hashes that it gives itself', async () => {
    const cas = await startReferenceCas(join(folder, 'cas'));
    const hub = await startHubBefore(cas.url, new Map());
    await using client = new XetClient({ endpoint: hub.url, accessToken: '', chunkCache: tiers() });
    const { files, bytes } = await client.upload({ repo: 'a/b', files: [join(folder, 'files')], title: 'All' });
    expect(files.map(({ path }) => path)).toEqual(Object.keys(samples).sort());
    const theirs = await native<{ path: string; hash: string; size: number }[]>('hashes', {
      paths: files.map(({ path }) => join(folder, 'files', path)),
    });
    expect(files.map(({ size, xetHash }) => ({ size, hash: xetHash }))).toEqual(
      theirs.map(({ size, hash }) => ({ size, hash })),
    );
    for (const { path, sha256: given } of files) expect(given, path).toBe(sha256(samples[path] ?? new Uint8Array()));
    // What files share is sent once.
    expect(bytes.deduplicated).toBeGreaterThan(model.length);
    const [commit = []] = hub.commits;
    expect(commit.slice(1).map(({ value }) => value.oid)).toEqual(files.map((file) => file.sha256));

    const down = join(folder, 'down');
    await mkdir(down);
    const wanted = files.map(({ path, size, xetHash }) => ({ hash: xetHash, size, path: join(down, path) }));
    await native('download', { endpoint: cas.url, files: wanted }, { HF_HOME: join(folder, 'home') });
    for (const [path, expected] of Object.entries(samples)) {
      expect(sha256(await readFile(join(down, path))), path).toBe(sha256(expected));
    }

    // A second time nothing is sent, also by somebody who remembers nothing.
    await using other = new XetClient({ endpoint: hub.url, accessToken: '', chunkCache: tiers() });
    const again = await other.upload({ repo: 'a/b', files: [join(folder, 'files')] });
    expect(again.bytes.sent).toBe(0);
    await hub.stop();
    await cas.stop();
  });

  test('what the native client stored is known there, and xetkit sends only the rest', async () => {
    const cas = await startReferenceCas(join(folder, 'cas-2'));
    const hub = await startHubBefore(cas.url, new Map());
    const path = join(folder, 'files', 'more-than-a-xorb.bin');
    await native('upload', { endpoint: cas.url, paths: [path] }, { HF_HOME: join(folder, 'home-2') });
    const variant = base.slice();
    variant.set(randomBytes(700_000, 28), 30_000_000);
    await using client = new XetClient({ endpoint: hub.url, accessToken: '', chunkCache: tiers() });
    const { bytes } = await client.upload({ repo: 'a/b', files: [{ path: 'variant.bin', content: variant }] });
    expect(bytes.sent).toBeLessThan(1_500_000);
    await hub.stop();
    await cas.stop();
  });
});

describe('on one branch', () => {
  test('commits of Python and of xetkit follow each other, and everybody reads them', async () => {
    const hub = await startLocalHub({ dir: join(folder, 'hub'), checkSha256: true });
    const repo = 'owner/shared';
    const user = {
      HF_ENDPOINT: hub.url,
      HF_HOME: join(folder, 'python'),
      HF_HUB_DISABLE_TELEMETRY: '1',
      HF_HUB_DISABLE_PROGRESS_BARS: '1',
    };
    await using client = new XetClient({ endpoint: hub.url, accessToken: 'hf_local', chunkCache: tiers() });
    await client.createRepo({ repo });
    const content: Record<string, Uint8Array> = {};
    const put = (path: string, bytes: Uint8Array) => {
      content[path] = bytes;
      return bytes;
    };
    for (let turn = 0; turn < 3; turn++) {
      const ours = put('ours.bin', Buffer.concat([samples['random.bin'] ?? new Uint8Array(), text(2000 + turn, turn)]));
      const small = put(`ours-${turn}.txt`, text(300, 30 + turn));
      await client.upload({
        repo,
        files: [
          { path: 'ours.bin', content: ours },
          { path: `ours-${turn}.txt`, content: small },
        ],
        title: `ours ${turn}`,
      });
      const source = join(folder, 'source.bin');
      // Python adds to what we uploaded, so each finds the other's chunks.
      await writeFile(source, put('theirs.bin', Buffer.concat([ours, randomBytes(400_000, 40 + turn)])));
      const message = `theirs ${turn}`;
      await native('commit_file', { endpoint: hub.url, repo, path: 'theirs.bin', source, message }, user);
    }
    const { files, commits } = await native<{
      files: Record<string, { size: number; sha256: string | null; xet: string | null }>;
      commits: string[];
    }>('tree', { endpoint: hub.url, repo }, user);
    expect(commits.slice(0, 6)).toEqual(['theirs 2', 'ours 2', 'theirs 1', 'ours 1', 'theirs 0', 'ours 0']);
    for (const [path, bytes] of Object.entries(content)) {
      expect(files[path], path).toMatchObject({ size: bytes.length });
      if (path.endsWith('.bin')) expect(files[path]).toMatchObject({ sha256: sha256(bytes), xet: expect.any(String) });
      const blob = await downloadFile({ repo, path, hubUrl: hub.url });
      expect(sha256(await (blob as Blob).arrayBuffer()), path).toBe(sha256(bytes));
    }
    const seen: string[] = [];
    for await (const { title } of listCommits({ repo, hubUrl: hub.url })) seen.push(title);
    expect(seen.slice(0, 6)).toEqual(commits.slice(0, 6));
    await hub.close();
  });
});
