import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { scratch } from '../support/hub.ts';
import { FAULTS, faultAction, timeoutsFor } from './catalogue.ts';
import { jsonLines, startCli, startNode } from './children.ts';
import { expectation } from './expectations.ts';
import { privateHub, QUICK_RETRIES } from './harness.ts';
import { watchHygiene } from './hygiene.ts';
import { CHUNKS_PER_XORB, FILES, REPO, SCENARIOS } from './scenarios.ts';

watchHygiene();

const SCRIPT = fileURLToPath(new URL('one-download.mjs', import.meta.url));

let hub: LocalHub;
beforeAll(async () => {
  hub = await privateHub(REPO, FILES, { chunksPerXorb: CHUNKS_PER_XORB });
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.faults.clear();
  hub.resetRequests();
});

/** Children exit by themselves or the test runs into its time limit: nothing here ends them. */
describe('a process with a fault that never goes away ends by itself', () => {
  const xorb = SCENARIOS.find(({ kind }) => kind === 'xorb')!;

  test.each(FAULTS)('%s', async (fault) => {
    hub.faults.add({ kind: 'xorb', times: 1e9, ...faultAction(fault, xorb.body, 'always') });
    const localDir = await scratch();
    const client = { fallback: 'never', retry: QUICK_RETRIES, timeouts: timeoutsFor(fault) };
    const settings = JSON.stringify({ repo: REPO, path: xorb.path, localDir, client, closes: true });
    const { code, stdout, stderr } = await (await startNode([SCRIPT, settings], { HF_ENDPOINT: hub.url })).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const said = jsonLines(stdout);
    expect(said.filter((line) => 'unhandled' in line)).toEqual([]);
    const last = said.at(-1);
    const verdict = last?.done ? 'ok' : last?.code;
    expect([expectation('xorb', fault).always].flat()).toContain(verdict);
  });
});

describe('the command ends by itself, with the right code', () => {
  test.each(FAULTS.filter((fault) => fault !== 'no answer' && fault !== 'stall mid-body'))(
    '%s, once',
    async (fault) => {
      const xorb = SCENARIOS.find(({ kind }) => kind === 'xorb')!;
      hub.faults.add({ kind: 'xorb', ...faultAction(fault, xorb.body, 'once') });
      const localDir = await scratch();
      const { code, stderr } = await (await startCli(hub, ['download', REPO, xorb.path, '--local-dir', localDir]))
        .ended;
      expect(code, stderr).toBe(0);
    },
  );

  test.each(['401', '403 expired', '404'] as const)('%s of the Hub', async (fault) => {
    const resolve = SCENARIOS[0];
    hub.faults.add({ kind: 'resolve', times: 1e9, ...faultAction(fault, resolve.body, 'always') });
    const args = ['download', REPO, resolve.path, '--local-dir', await scratch()];
    const { code, stdout, stderr } = await (await startCli(hub, args)).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    // One line for people, not a stack.
    expect(stderr).toMatch(/^xetkit: .+\n$/);
  });

  test('interrupted in the middle, it keeps what it has', async () => {
    hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 200_000, times: 1e9, after: 1 });
    const localDir = await scratch();
    const child = await startCli(hub, ['download', REPO, 'weights.bin', '--local-dir', localDir]);
    while (!hub.requests.some(({ kind, bytesSent }) => kind === 'xorb' && bytesSent >= 200_000))
      await new Promise((resolve) => setTimeout(resolve, 5));
    child.process.kill('SIGINT');
    const { code, stderr } = await child.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(/run the same command/i);
  });
});
