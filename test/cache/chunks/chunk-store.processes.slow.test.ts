import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openFolderChunkStore } from '../../../src/cache/chunks/chunk-store.node.ts';
import { randomNumbers, SampleXorbs, sampleHash } from '../../support/chunk-samples.ts';
import { TOLERANCE } from '../../support/chunk-store-contract.ts';
import { bytesIn } from '../../support/folder.ts';

const MB = 1_000_000;
const xorbs = new SampleXorbs(4 * 1024, 60 * 1024);
const XORBS = 6;

let tools = '';
beforeAll(async () => {
  tools = await mkdtemp(join(tmpdir(), 'xetkit-hammer-'));
  await build({
    entryPoints: [fileURLToPath(new URL('../../support/hammer.ts', import.meta.url))],
    outfile: join(tools, 'hammer.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'silent',
  });
});
afterAll(() => rm(tools, { recursive: true, force: true }));

interface Hammer {
  process: ChildProcess;
  /** Resolves with the first words, which come before the first put. */
  begun: Promise<void>;
  ended: Promise<void>;
  /** All that it had to say. */
  output(): string;
}

function startHammer(folder: string, maxBytes: number, seed: number): Hammer {
  const child = spawn(process.execPath, [join(tools, 'hammer.mjs'), folder, String(maxBytes), String(seed)], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  const begun = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        output += text;
        resolve();
      });
    }
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return { process: child, begun, ended, output: () => output };
}

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-chunks-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Reads all there is; chunks that are right. Anything wrong fails the test. */
async function readEverything(folder: string): Promise<number> {
  const store = openFolderChunkStore(folder, { maxBytes: 0, hash: sampleHash });
  let chunks = 0;
  for (let xorb = 0; xorb < XORBS; xorb++) {
    for (const { start, end } of await store.find(xorbs.name(xorb), { start: 0, end: 100 })) {
      for (let at = start; at < end; ) {
        const run = await store.read(xorbs.name(xorb), { start: at, end });
        // Nobody else is there: what was found is there, whole and right.
        expect(run, `chunk ${at} of xorb ${xorb}`).toBeDefined();
        expect(xorbs.wrongIn(xorb, run!)).toBeUndefined();
        chunks += run!.chunks.end - run!.chunks.start;
        at = run!.chunks.end;
      }
    }
  }
  await store.close();
  return chunks;
}

test('processes that are killed at any moment leave nothing wrong, and never more than the limit', async () => {
  const random = randomNumbers(4711);
  const folder = await scratch();
  const maxBytes = 5 * MB;
  let read = 0;
  for (let round = 0; round < 25; round++) {
    const hammers = [1, 2].map((one) => startHammer(folder, maxBytes, round * 2 + one));
    await Promise.all(hammers.map(({ begun }) => begun));
    for (const { process: child, ended } of hammers) {
      await pause(random() * 80);
      child.kill('SIGKILL');
      await ended;
    }
    for (const { output } of hammers) expect(output()).toBe('begun\n');
    expect(await bytesIn(folder)).toBeLessThanOrEqual(maxBytes * TOLERANCE);
    read += await readEverything(folder);
  }
  expect(read).toBeGreaterThan(500);
});

test('three processes at once keep to the limit at any moment', async () => {
  const folder = await scratch();
  const maxBytes = 6 * MB;
  const hammers = [1, 2, 3].map((seed) => startHammer(folder, maxBytes, seed));
  await Promise.all(hammers.map(({ begun }) => begun));
  const measured: number[] = [];
  for (let moment = 0; moment < 40; moment++) {
    await pause(50);
    // A count takes a while: all stand still meanwhile, wherever they happen to be.
    for (const { process: child } of hammers) child.kill('SIGSTOP');
    measured.push(await bytesIn(folder));
    for (const { process: child } of hammers) child.kill('SIGCONT');
  }
  for (const { process: child } of hammers) child.kill('SIGKILL');
  await Promise.all(hammers.map(({ ended }) => ended));
  for (const { output } of hammers) expect(output()).toBe('begun\n');
  expect(Math.max(...measured)).toBeLessThanOrEqual(maxBytes * TOLERANCE);
  expect(Math.max(...measured)).toBeGreaterThan(maxBytes * 0.9);
  await readEverything(folder);
});
