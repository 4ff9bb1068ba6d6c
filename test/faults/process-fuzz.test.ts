import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FaultRule, LocalHub } from 'xetkit/local-hub';
import { contentUnder, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { type Child, jsonLines, startCli, until } from './children.ts';
import { Draw } from './draw.ts';
import { privateHub } from './harness.ts';
import { watchHygiene } from './hygiene.ts';

watchHygiene();

const MB = 1_000_000;
const REPO = 'owner/model';
const RUNS = 24;
/** Runs one seed only: `FAULTS_SEED=7 npm run test:faults -- process-fuzz`. */
const ONLY = process.env.FAULTS_SEED === undefined ? undefined : Number(process.env.FAULTS_SEED);

const files: Record<string, Uint8Array> = {
  'large.bin': randomBytes(12 * MB, 61),
  'other.bin': randomBytes(3 * MB, 62),
  'small.txt': randomBytes(20_000, 63),
};
const size = Object.values(files).reduce((sum, { length }) => sum + length, 0);

let hub: LocalHub;
beforeAll(async () => {
  hub = await privateHub(REPO, files, { chunksPerXorb: 32 });
});
afterAll(() => hub.close());

const sent = () => [...seen(hub, 'xorb'), ...seen(hub, 'bridge')].reduce((sum, { bytesSent }) => sum + bytesSent, 0);

/** One that another attempt, or another process, gets past. */
function fault(draw: Draw): FaultRule {
  const rule = { kind: 'xorb', after: draw.whole(0, 12), times: draw.whole(1, 2) } as const;
  const afterBytes = draw.whole(0, 200_000);
  switch (draw.pick(['reset', 'truncate', 'corrupt', 'status', 'refuse'] as const)) {
    case 'reset':
      return { ...rule, action: 'reset', afterBytes };
    case 'truncate':
      return { ...rule, action: 'truncate', afterBytes };
    case 'corrupt':
      return { ...rule, action: 'corrupt', offset: afterBytes, times: 1 };
    case 'status':
      return { ...rule, action: 'status', status: draw.pick([500, 502, 503]) };
    case 'refuse':
      return { ...rule, action: 'refuse' };
  }
}

/** No file that has its final name may hold anything but its content, at any moment. */
async function expectNothingWrong(folder: string): Promise<void> {
  for (const path of await contentUnder(folder)) {
    const content = files[basename(path)];
    if (content) expect(sha256(await readFile(join(folder, path))), path).toBe(sha256(content));
  }
}

test.each(ONLY === undefined ? Array.from({ length: RUNS }, (_, index) => index + 1) : [ONLY])(
  'processes that share a folder, are killed or suspended and meet faults leave nothing wrong: seed %i',
  async (seed) => {
    const draw = new Draw(seed);
    hub.faults.clear();
    hub.resetRequests();
    hub.faults.bytesPerSecond = 8 * MB;
    const folder = await scratch();
    const args = ['download', REPO, '--json', '--quiet', draw.percent(50) ? '--cache-dir' : '--local-dir', folder];
    // Corrupt data is fetched once more, and no more than once.
    const rules = Array.from({ length: draw.whole(0, 3) }, () => fault(draw));
    const corrupting = rules.findIndex(({ action }) => action === 'corrupt');
    for (const [index, rule] of rules.entries()) {
      if (rule.action !== 'corrupt' || index === corrupting) hub.faults.add(rule);
    }

    const plans = Array.from({ length: draw.whole(1, 3) }, () => ({
      force: draw.percent(25),
      at: draw.whole(0, size),
      does: draw.pick(['kill', 'kill', 'suspend', 'nothing'] as const),
    }));
    const run = async ({ force, at, does }: (typeof plans)[number]): Promise<void> => {
      const child: Child = await startCli(hub, force ? [...args, '--force'] : args);
      if (does !== 'nothing') await until(() => sent() > at, child);
      if (does === 'kill') child.process.kill('SIGKILL');
      if (does === 'suspend') {
        child.process.kill('SIGSTOP');
        await expectNothingWrong(folder);
        child.process.kill('SIGCONT');
      }
      const { code, signal, stderr } = await child.ended;
      if (signal !== 'SIGKILL') expect(code, stderr).toBe(0);
      await expectNothingWrong(folder);
    };
    await Promise.all(plans.map(run));

    hub.faults.clear();
    const last = await (await startCli(hub, args)).ended;
    expect(last.code, last.stderr).toBe(0);
    for (const { path, localPath } of jsonLines(last.stdout)) {
      if (typeof path !== 'string') continue;
      expect(sha256(await readFile(String(localPath))), path).toBe(sha256(files[path] as Uint8Array));
    }
    await expectNothingWrong(folder);
    // What a killed process had begun may stay until another one needs it, or `xetkit cache prune` removes it.
    if (plans.some(({ does }) => does === 'kill')) return;
    expect((await contentUnder(folder)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  },
);
