import { afterEach, expect, test } from 'vitest';
import type { XetClientOptions } from 'xetkit';
import type { LocalHub, LocalHubOptions, RequestKind } from 'xetkit/local-hub';
import { scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { attempt, expectFile, privateHub, told } from './harness.ts';
import { watchHygiene } from './hygiene.ts';

watchHygiene();

const REPO = 'owner/model';
const PATH = 'weights.bin';
const content = randomBytes(6_000_000, 41);
const HOUR_MS = 3_600_000;

let hub: LocalHub | undefined;
afterEach(() => hub?.close());

/** A Hub whose clock jumps past every expiry when so many requests of a kind have come. */
async function expiringHub(
  at: { kind: RequestKind; requests: readonly number[] },
  options: LocalHubOptions = {},
): Promise<LocalHub> {
  let shift = 0;
  let count = 0;
  const started = await privateHub(
    REPO,
    { [PATH]: content },
    {
      chunksPerXorb: 8,
      tokenLifetimeSeconds: 600,
      urlLifetimeSeconds: 600,
      now: () => Date.now() + shift,
      ...options,
    },
  );
  hub = started;
  // A rule that never fits: it only looks at what comes by, before the request is served.
  started.faults.add({
    kind: at.kind,
    action: 'delay',
    ms: 0,
    match: () => {
      count++;
      if (at.requests.includes(count)) shift += HOUR_MS;
      return false;
    },
  });
  return started;
}

async function download(on: LocalHub, options: XetClientOptions = {}) {
  const localDir = await scratch();
  const outcome = await attempt(on, { fallback: 'never', ...options }, (client) =>
    client.downloadFile({ repo: REPO, path: PATH, localDir }),
  );
  expect(outcome.error, told(outcome)).toBeUndefined();
  await expectFile(localDir, PATH, content, outcome);
  return outcome;
}

test.each([
  ['subset', 1],
  ['subset', 8],
  ['exact', 1],
  ['exact', 8],
] as const)(
  'addresses and token run out in the middle of a file (%s ranges, %i at once)',
  async (rangeRule, concurrency) => {
    const on = await expiringHub({ kind: 'xorb', requests: [4] }, { rangeRule });
    await download(on, { concurrency });
    // One refresh for all jobs that met the expiry; one more token for it, as that had run out with them.
    expect(seen(on, 'reconstruction').filter(({ status }) => status === 200)).toHaveLength(2);
    expect(seen(on, 'token')).toHaveLength(2);
  },
);

test('they run out again and again', async () => {
  // So far apart that an address which was renewed is used before the next one runs out, as an hour is in life.
  const on = await expiringHub({ kind: 'xorb', requests: [2, 8, 14] });
  const outcome = await download(on, { concurrency: 2 });
  expect(seen(on, 'reconstruction').filter(({ status }) => status === 200)).toHaveLength(4);
  expect(outcome.warnings).toEqual([]);
});

test('only the addresses run out', async () => {
  const on = await expiringHub({ kind: 'xorb', requests: [3] }, { tokenLifetimeSeconds: 100_000 });
  await download(on);
  expect(seen(on, 'token')).toHaveLength(1);
});

test('only the token runs out: its next use brings a new one', async () => {
  const on = await expiringHub({ kind: 'xorb', requests: [1] }, { urlLifetimeSeconds: 100_000 });
  const outcome = await attempt(on, { fallback: 'never' }, async (client) => {
    const file = await client.open({ repo: REPO, path: PATH });
    const first = await file.read(0, 1_000_000);
    const second = await file.read(1_000_000, content.length);
    return sha256(Buffer.concat([first, second]));
  });
  expect(outcome.error, told(outcome)).toBeUndefined();
  expect(outcome.value).toBe(sha256(content));
  expect(seen(on, 'token')).toHaveLength(2);
});

test('a connection breaks, and by then its address has run out', async () => {
  for (const rangeRule of ['subset', 'exact'] as const) {
    const on = await expiringHub({ kind: 'xorb', requests: [3] }, { rangeRule });
    on.faults.add({ kind: 'xorb', action: 'reset', afterBytes: 300_000, after: 1, times: 2 });
    await download(on);
    await on.close();
  }
});

test('the address of plain HTTP runs out in the middle of the file', async () => {
  const on = await expiringHub({ kind: 'bridge', requests: [2] }, { reconstructionVersions: [] });
  on.faults.add({ kind: 'bridge', action: 'reset', afterBytes: 1_000_000, times: 3 });
  const outcome = await download(on, { fallback: 'http' });
  expect(outcome.value?.verified).toBe('sha256');
  const bytes = seen(on, 'bridge').reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  // A reset throws away what had left the server and was not yet read, at most a few socket buffers.
  expect(bytes, 'no byte twice, but for what the resets lost').toBeLessThan(content.length * 1.1 + 3 * 1_000_000);
});

test.each([
  ['ahead of', 30 * 24],
  ['behind', -30 * 24],
])('a clock far %s ours does no harm', async (_name, hours) => {
  let shift = hours * HOUR_MS;
  hub = await privateHub(REPO, { [PATH]: content }, { chunksPerXorb: 8, now: () => Date.now() + shift });
  await download(hub);
  expect(seen(hub, 'token')).toHaveLength(1);
  shift += 2 * HOUR_MS;
  await download(hub);
});

test('a slow reader outlives every expiry', async () => {
  const on = await expiringHub({ kind: 'xorb', requests: [2, 4, 6] }, { mergeRanges: false });
  const outcome = await attempt(on, { fallback: 'never', concurrency: 1 }, async (client) => {
    const file = await client.open({ repo: REPO, path: PATH });
    const pieces: Uint8Array[] = [];
    for await (const piece of file.stream() as unknown as AsyncIterable<Uint8Array>) {
      pieces.push(piece);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return sha256(Buffer.concat(pieces));
  });
  expect(outcome.error, told(outcome)).toBeUndefined();
  expect(outcome.value).toBe(sha256(content));
});

test('a Hub token that is replaced meanwhile is asked for anew each time', async () => {
  const on = await expiringHub({ kind: 'xorb', requests: [3] });
  let asked = 0;
  await download(on, {
    accessToken: () => {
      asked++;
      return 'hf_FaultSuiteSecret0123456789';
    },
  });
  expect(asked).toBeGreaterThan(1);
});

test('access that is withdrawn in the middle of a file is an error, and the file absent', async () => {
  const on = await expiringHub({ kind: 'xorb', requests: [4] });
  on.faults.add({ kind: 'token', action: 'status', status: 403, after: 1, times: 1e9 });
  const localDir = await scratch();
  const outcome = await attempt(on, { fallback: 'never' }, (client) =>
    client.downloadFile({ repo: REPO, path: PATH, localDir }),
  );
  expect(outcome.error).toMatchObject({ code: 'FORBIDDEN' });
  await expectFile(localDir, PATH, content, outcome);
});
