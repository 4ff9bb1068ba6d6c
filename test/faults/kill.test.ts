import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { contentUnder, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { jsonLines, startCli, until } from './children.ts';
import { Draw } from './draw.ts';
import { privateHub } from './harness.ts';
import { expectNoSecretsIn, watchHygiene } from './hygiene.ts';

watchHygiene();

const MB = 1_000_000;
const REPO = 'owner/model';
const KILLS = 50;
const KILLS_PER_DOWNLOAD = 1;
/** What may cross the network for a download that is killed once. */
const mostBytes = (size: number) => size * 1.1;

/** Random bytes do not compress, so what crosses the network is as long as the file. */
const content = randomBytes(128 * MB, 31);
/**
 * Slow enough that a kill meets several connections at work, and that the network is what all wait for: what a
 * faster server has sent ahead into the buffers of the system is lost as well, and says nothing about the client.
 */
const layouts: { name: string; chunksPerXorb?: number; bytesPerSecond: number }[] = [
  { name: 'two large xorbs', bytesPerSecond: 25 * MB },
  { name: 'xorbs of about 8 MB', chunksPerXorb: 128, bytesPerSecond: 4 * MB },
];

const hubs: LocalHub[] = [];
beforeAll(async () => {
  for (const { chunksPerXorb, bytesPerSecond } of layouts) {
    const hub = await privateHub(REPO, { 'weights.bin': content }, { chunksPerXorb });
    hub.faults.bytesPerSecond = bytesPerSecond;
    hubs.push(hub);
  }
});
afterAll(async () => {
  for (const hub of hubs) await hub.close();
});

const sent = (hub: LocalHub) =>
  [...seen(hub, 'xorb'), ...seen(hub, 'bridge')].reduce((sum, { bytesSent }) => sum + bytesSent, 0);

let kills = 0;

test.each(Array.from({ length: KILLS / KILLS_PER_DOWNLOAD }, (_, index) => index + 1))(
  'download %i goes on after each kill -9',
  async (seed) => {
    const draw = new Draw(seed);
    const hub = draw.pick(hubs);
    hub.resetRequests();
    const folder = await scratch();
    const toCache = draw.percent(50);
    const args = [
      'download',
      REPO,
      'weights.bin',
      '--json',
      '--quiet',
      toCache ? '--cache-dir' : '--local-dir',
      folder,
    ];
    /** Points of the whole download, in bytes sent, at which the process running then is killed. */
    const moments = Array.from({ length: KILLS_PER_DOWNLOAD }, () => draw.whole(0, content.length - 1)).sort(
      (a, b) => a - b,
    );
    let finished = false;
    for (const moment of moments) {
      const child = await startCli(hub, args);
      await until(() => sent(hub) > moment, child);
      child.process.kill('SIGKILL');
      const { code, signal, stderr } = await child.ended;
      finished = code === 0;
      if (signal === 'SIGKILL') kills++;
      else expect(code, stderr).toBe(0);
      // Whoever looks at the folder now finds the whole file or none.
      for (const path of (await contentUnder(folder)).filter((name) => name.endsWith('weights.bin')))
        expect(sha256(await readFile(join(folder, path)))).toBe(sha256(content));
      await expectNoSecretsIn(folder);
    }
    const last = await (await startCli(hub, args)).ended;
    expect(last.code, last.stderr).toBe(0);
    const [result = {}] = jsonLines(last.stdout);
    expect(sha256(await readFile(String(result.localPath)))).toBe(sha256(content));
    expect((await contentUnder(folder)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
    expect(sent(hub), `bytes sent, with kills at ${moments.join(', ')}`).toBeLessThanOrEqual(mostBytes(content.length));
    // After an early kill there may be nothing yet; later there is.
    const { local } = result.bytes as { local: number };
    if (!finished && moments[0]! > content.length / 4) expect(local, 'what was there is used').toBeGreaterThan(0);
  },
);

test('that were enough kills', () => {
  // A process may end before its moment comes; few do.
  expect(kills).toBeGreaterThanOrEqual(KILLS * 0.8);
});
