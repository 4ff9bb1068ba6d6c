import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { compare, judged, type OriginalPackage, type Run, totals } from '../../src/cli/compare.ts';
import { countingFetch } from '../../src/cli/counting-fetch.ts';
import { Output } from '../../src/cli/output.ts';
import { hubFor, scratch, sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const files = { 'a.txt': text(500, 1), 'big.bin': randomBytes(1_500_000, 2), 'sub/b.bin': randomBytes(70_000, 3) };

async function xetkit(args: string[], endpoint: string) {
  const home = await scratch();
  const env = { PATH: process.env.PATH, HOME: home, HF_HOME: join(home, 'hf'), NO_COLOR: '1', HF_ENDPOINT: endpoint };
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [command, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

const run = (sha: string | undefined, error?: string): Run => ({
  sha256: sha,
  size: 10,
  seconds: 1.23456,
  network: { bytes: 20, requests: 2 },
  error,
});

describe('the command', () => {
  test('says of each file what both took', async () => {
    const hub = await hubFor();
    await hub.commitFiles('owner/model', files);
    const { code, stdout } = await xetkit(['compare', 'owner/model', '--json'], hub.url);
    expect(code).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ file }) => file)).toEqual(['sub/b.bin', 'a.txt', 'big.bin', undefined].sort());
    const took = { seconds: expect.any(Number), network: { bytes: expect.any(Number), requests: expect.any(Number) } };
    for (const [file, bytes] of Object.entries(files)) {
      const both = { ...took, sha256: sha256(bytes) };
      expect(lines.find((line) => line.file === file)).toEqual({
        file,
        size: bytes.length,
        same: true,
        xetkit: both,
        original: both,
      });
    }
    const { xetkit: own, original } = lines.at(-1) as Record<string, { bytes: number }>;
    expect(lines.at(-1)).toMatchObject({ summary: true, installed: true, files: 3, same: 3, different: 0 });
    for (const { bytes } of [own!, original!]) expect(bytes).toBeGreaterThan(1_500_000);
  });

  test('shows a table, of the files that were named', async () => {
    const hub = await hubFor();
    await hub.commitFiles('datasets/owner/data', files);
    const { code, stdout, stderr } = await xetkit(['compare', 'datasets/owner/data', 'sub/b.bin'], hub.url);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^FILE +SIZE +SAME +XETKIT +FETCHED +@HUGGINGFACE\/HUB +FETCHED\nsub\/b\.bin +70\.0 kB +yes .* s .* kB .* s .* kB\n$/,
    );
    expect(stderr).toMatch(/^1 of 1 file the same; xetkit .* fetched; @huggingface\/hub .* fetched\n$/);
  });

  test('fails where xetkit does', async () => {
    const hub = await hubFor();
    await hub.commitFiles('owner/model', files);
    const { code, stdout, stderr } = await xetkit(['compare', 'owner/model', 'nope.bin'], hub.url);
    expect(code).toBe(1);
    expect(stdout).toMatch(/nope\.bin .* failed .* failed/);
    expect(stderr).toMatch(/xetkit: .*404.*\n.*@huggingface\/hub: there is no such file\n/);
  });
});

/** What the command would print with `--json`. */
async function recorded(original: OriginalPackage | undefined) {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', files);
  const records: unknown[] = [];
  const notes: string[] = [];
  const output = Object.assign(new Output({ json: true }), {
    record: (object: unknown) => void records.push(object),
    note: (line: string) => void notes.push(line),
  });
  const target = { repo: { type: 'model' as const, name: 'owner/model' }, revision: undefined, path: undefined };
  const options = { endpoint: hub.url, accessToken: '', workers: 0 };
  const wanted = {
    target,
    files: ['a.txt'],
    endpoint: hub.url,
    accessToken: undefined,
    clientOptions: options,
    original,
  };
  const ended = compare(wanted, output, new AbortController().signal).then(
    () => 'done',
    (error: unknown) => error,
  );
  return { ended: await ended, records, notes };
}

test('where there is nothing to compare with, that is said', async () => {
  const { ended, records, notes } = await recorded(undefined);
  expect(ended).toBe('done');
  expect(records).toMatchObject([
    { file: 'a.txt', same: null, original: null },
    { summary: true, installed: false },
  ]);
  expect(notes).toEqual([expect.stringMatching(/not installed/)]);
});

test('content that differs is an error', async () => {
  const { ended, records } = await recorded({ downloadFile: async () => new Blob(['something else']) });
  expect(ended).toMatchObject({ code: 'INTEGRITY' });
  expect(records).toMatchObject([{ same: false }, { different: 1, same: 0 }]);
});

test('a failure of the other one is none of the command', async () => {
  const { ended, records } = await recorded({ downloadFile: () => Promise.reject('a text') });
  expect(ended).toBe('done');
  expect(records).toMatchObject([
    { same: null, original: { sha256: null, error: 'a text' } },
    { failed: { xetkit: 0, original: 1 } },
  ]);
});

test('only files that both have are added up', () => {
  const compared = [
    judged('a', run('1'), run('1')),
    judged('b', run('1'), run('2')),
    judged('c', run('1'), run(undefined, 'no')),
  ];
  expect(totals(compared)).toEqual({
    files: 3,
    same: 1,
    different: 1,
    failed: { xetkit: 0, original: 1 },
    xetkit: { seconds: 2.469, bytes: 40, requests: 4 },
    original: { seconds: 2.469, bytes: 40, requests: 4 },
  });
});

test('what is fetched is counted as it is read, and looks as it was', async () => {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', files);
  const { fetch, counts } = countingFetch();
  const asked = `${hub.url}/owner/model/resolve/main/a.txt`;
  const response = await fetch(asked);
  expect([response.status, response.redirected, counts]).toEqual([200, true, { bytes: 0, requests: 1 }]);
  expect(response.url).toMatch(/resolve-cache/);
  expect((await response.arrayBuffer()).byteLength).toBe(500);
  expect(counts).toEqual({ bytes: 500, requests: 1 });
  expect((await fetch(asked, { method: 'HEAD' })).body).toBeNull();
});
