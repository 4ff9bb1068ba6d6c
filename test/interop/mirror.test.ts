import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { downloadFile } from '@huggingface/hub';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { XetClient } from 'xetkit';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { CHROMIUM_FLAGS, chromium as installed } from '../browser/browsers.ts';
import { sha256 } from '../support/hub.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { hfCommand, native, run, xetkitCommand } from './tools.ts';

const model = weights(18, 1);
const variant = Buffer.concat([model.subarray(0, 12_000_000), weights(3, 9)]);
const TOKEN = 'hf_member';

const repos: Record<string, Record<string, Uint8Array>> = {
  'owner/model': {
    'README.md': new TextEncoder().encode('# A model\n'),
    'config.json': new TextEncoder().encode('{"a": 1}\n'),
    'model.safetensors': model,
  },
  'owner/variant': { 'config.json': new TextEncoder().encode('{"a": 2}\n'), 'model.safetensors': variant },
  'datasets/owner/small': Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [
      `part/${index}.${index % 2 ? 'bin' : 'txt'}`,
      index % 2 ? randomBytes(60_000 + index, 100 + index) : text(3000 + index, index),
    ]),
  ),
  'owner/private': { 'secret.bin': randomBytes(5_000_000, 5), 'notes.txt': text(900, 6) },
};
const bucket = { 'data/a.bin': randomBytes(4_000_000, 7), 'b.txt': text(2000, 8) };

let folder: string;
let hub: LocalHub;
let mirror: LocalHub;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-mirror-'));
  hub = await startLocalHub({ tokens: { [TOKEN]: { name: 'member' } }, openWrites: false });
  for (const [repo, files] of Object.entries(repos)) await hub.commitFiles(repo, files);
  await hub.setRepo('owner/private', { private: true });
  await hub.putFiles('buckets/owner/data', bucket);
  mirror = await startLocalHub({ upstream: hub.url, dir: join(folder, 'mirror') });
});

afterAll(async () => {
  await mirror?.close();
  await hub?.close();
  await rm(folder, { recursive: true, force: true });
});

function user(name: string): NodeJS.ProcessEnv {
  return {
    HF_ENDPOINT: mirror.url,
    HF_HOME: join(folder, name),
    HF_TOKEN: TOKEN,
    HF_HUB_DISABLE_TELEMETRY: '1',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
  };
}

async function expectFiles(at: string, files: Record<string, Uint8Array>): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    expect(sha256(await readFile(join(at, path))), path).toBe(sha256(bytes));
  }
}

/** Bytes that the upstream was asked for more than once, over all xorbs. */
function askedTwice(): { ranges: number; twice: number } {
  const asked = new Map<string, [number, number][]>();
  for (const { kind, path, range, status } of hub.requests) {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    if (kind !== 'xorb' || status !== 206) continue;
    asked.set(path, [...(asked.get(path) ?? []), [Number(first), Number(last) + 1]]);
  }
  let twice = 0;
  for (const ranges of asked.values()) {
    let end = 0;
    for (const [start, stop] of ranges.sort((a, b) => a[0] - b[0])) {
      twice += Math.max(0, Math.min(end, stop) - start);
      end = Math.max(end, stop);
    }
  }
  return { ranges: [...asked.values()].flat().length, twice };
}

/** Serves the package and an empty page. */
async function startSite(): Promise<{ url: string; close(): void }> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const types: Record<string, string> = { '.js': 'text/javascript', '.wasm': 'application/wasm' };
  const server = createServer(async (request, response) => {
    const path = join(root, new URL(request.url ?? '/', 'http://site').pathname);
    const isFile = path.startsWith(root) && (await stat(path).catch(() => undefined))?.isFile() === true;
    const type = types[/\.\w+$/.exec(path)?.[0] ?? ''] ?? 'text/html';
    response.writeHead(200, { 'content-type': isFile ? type : 'text/html' });
    if (isFile) createReadStream(path).pipe(response);
    else response.end('<!doctype html><title>page</title>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

test('clients as they are get everything through a mirror, and the upstream is asked for each range once', async () => {
  // Several at once, and then the others.
  await Promise.all(
    Object.entries(repos).map(async ([repo, files]) => {
      const at = join(folder, 'hf', repo);
      const [type, name] = repo.startsWith('datasets/') ? ['dataset', repo.slice(9)] : ['model', repo];
      const args = ['download', name, '--repo-type', type, '--local-dir', at];
      const { code, stderr } = await run(hfCommand(), args, { env: user(`hf-${name}`) });
      expect(code, stderr).toBe(0);
      await expectFiles(at, files);
    }),
  );
  expect(mirror.requests.some(({ kind }) => kind === 'xorb')).toBe(true);
  for (const [repo, files] of Object.entries(repos)) {
    const [type, name] = repo.startsWith('datasets/') ? ['dataset', repo.slice(9)] : ['model', repo];
    const at = join(folder, 'snapshot', repo);
    await native('snapshot', { endpoint: mirror.url, repo: name, repo_type: type, folder: at }, user(`python-${name}`));
    await expectFiles(at, files);

    const own = join(folder, 'xetkit', repo);
    const args = [xetkitCommand, 'download', repo, '--local-dir', own];
    const { code, stderr } = await run(process.execPath, args, { env: user(`xetkit-${name}`) });
    expect(code, stderr).toBe(0);
    await expectFiles(own, files);

    for (const [path, bytes] of Object.entries(files)) {
      const blob = await downloadFile({ repo, path, hubUrl: mirror.url, accessToken: TOKEN });
      expect(sha256(await (blob as Blob).arrayBuffer()), path).toBe(sha256(bytes));
      const to = join(folder, 'curl', repo, path);
      await mkdir(dirname(to), { recursive: true });
      const url = `${mirror.url}/${repo}/resolve/main/${path}`;
      const curl = await run('curl', ['-sSfL', '-H', `authorization: Bearer ${TOKEN}`, '-o', to, url]);
      expect(curl.code, curl.stderr).toBe(0);
    }
    await expectFiles(join(folder, 'curl', repo), files);
  }
  await using client = new XetClient({ endpoint: mirror.url, accessToken: TOKEN });
  const local = join(folder, 'bucket');
  await client.snapshot({ repo: 'buckets/owner/data', localDir: local });
  await expectFiles(local, bucket);

  const { ranges, twice } = askedTwice();
  expect(ranges).toBeGreaterThan(3);
  expect(twice).toBe(0);
  // Nothing went past the chunks.
  expect(hub.requests.filter(({ kind }) => kind === 'bridge')).toEqual([]);
}, 600_000);

test('a page in Chromium gets a file through a mirror', async () => {
  const site = await startSite();
  const browser = await chromium.launch({ executablePath: installed.command as string, args: CHROMIUM_FLAGS });
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    // As text: a function would be changed by the test runner first.
    const found = await page.evaluate(`(async () => {
      const { XetClient } = await import('/dist/index.js');
      const client = new XetClient({ endpoint: ${JSON.stringify(mirror.url)} });
      const file = await client.open({ repo: 'owner/variant', path: 'model.safetensors' });
      const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
      await client.close();
      return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    })()`);
    expect(found).toBe(sha256(variant));
  } finally {
    await browser.close();
    site.close();
  }
  expect(askedTwice().twice).toBe(0);
});

test('a member reads a private repository through a mirror, and others do not', async () => {
  await using stranger = new XetClient({ endpoint: mirror.url, accessToken: 'hf_stranger' });
  await expect(stranger.open({ repo: 'owner/private', path: 'secret.bin' })).rejects.toMatchObject({
    code: expect.stringMatching(/UNAUTHORIZED|REPOSITORY_NOT_FOUND/),
  });
  const url = `${mirror.url}/owner/private/resolve/main/secret.bin`;
  const curl = await run('curl', ['-sSfL', '-o', '/dev/null', url]);
  expect(curl.code).not.toBe(0);
});
