import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jsonLines, startNode, until } from '../faults/children.ts';
import { hubWith, repo, sent } from '../support/engines.ts';
import { scratch, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

const MB = 1_000_000;

test('a download by transfer workers costs at most a tenth more traffic if its process is killed', async () => {
  const bytes = randomBytes(64 * MB, 7);
  const hub = await hubWith({ a: bytes }, {}, 128);
  hub.faults.bytesPerSecond = 4 * MB;
  for (const share of [0.2, 0.5, 0.9]) {
    hub.resetRequests();
    const localDir = await scratch();
    const client = { endpoint: hub.url, accessToken: '', transferWorkers: 2, chunkCache: false, recipes: false };
    const job = JSON.stringify({ repo: repo.name, path: 'a', localDir, client, closes: true });
    const start = () => startNode([join(import.meta.dirname, '../faults/one-download.mjs'), job], {});
    const child = await start();
    await until(() => sent(hub, 'xorb') > share * bytes.length, child);
    child.process.kill('SIGKILL');
    await child.ended;
    const { stdout, stderr } = await (await start()).ended;
    expect(jsonLines(stdout).at(-1), stderr).toMatchObject({ done: true, verified: 'xet' });
    expect(sha256(await readFile(join(localDir, 'a')))).toBe(sha256(bytes));
    expect(sent(hub, 'xorb')).toBeLessThanOrEqual(1.1 * bytes.length);
  }
}, 120_000);
