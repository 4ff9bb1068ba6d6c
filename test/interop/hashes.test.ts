import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomBytes, text, weights } from '../support/samples.ts';
import { native, run, xetkitCommand } from './tools.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xetkit-hashes-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('xetkit hash agrees with hf_xet.hash_files', async () => {
  const made: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    'one-zero': Uint8Array.of(0),
    tiny: text(17, 1),
    'chunk-minimum': randomBytes(8192, 2),
    'chunk-maximum': new Uint8Array(131_072),
    'past-maximum': new Uint8Array(131_073),
    random: randomBytes(20_000_000, 3),
    constant: new Uint8Array(5_000_000).fill(59),
    text: text(4_000_000, 4),
    weights: weights(12, 5),
  };
  for (const [name, bytes] of Object.entries(made)) await writeFile(join(folder, name), bytes);
  // Real files of very different kinds: a program, a WebAssembly module, a lock file.
  const real = [
    process.execPath,
    ...['../../pkg/xetkit_codec_bg.wasm', '../../package-lock.json'].map((path) =>
      fileURLToPath(new URL(path, import.meta.url)),
    ),
  ];
  const paths = [...Object.keys(made).map((name) => join(folder, name)), ...real];

  const theirs = await native<{ path: string; hash: string; size: number }[]>('hashes', { paths });
  const { stdout, code, stderr } = await run(process.execPath, [xetkitCommand, 'hash', '--json', ...paths]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const ours = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { localPath: string; xetHash: string; size: number });
  expect(ours.map(({ localPath, xetHash, size }) => ({ path: localPath, hash: xetHash, size }))).toEqual(
    theirs.map(({ path, hash, size }) => ({ path, hash, size })),
  );
});
