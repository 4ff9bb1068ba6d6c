import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contentUnder, scratch, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { jsonLines, startCli, until } from './children.ts';
import { Draw } from './draw.ts';
import { attempt, told } from './harness.ts';
import { watchHygiene } from './hygiene.ts';
import { FILES, filesOf, hashesOf, MIB, REPO, stateOf, uploadHub } from './upload-harness.ts';

watchHygiene();

describe('an abort', () => {
  const moments = Array.from({ length: 40 }, (_, index) => index + 1);
  test.each(moments)('at a random moment (%i) commits nothing or all, and frees everything', async (seed) => {
    const draw = new Draw(seed);
    const hub = await uploadHub({ grants: draw.percent(50), shardVersions: draw.percent(50) ? [1] : [1, 2] });
    const before = await stateOf(hub);
    const stop = new AbortController();
    const reason = new Error('enough');
    /** At which request, and whether before it is sent, while it is under way or when it is answered. */
    const at = draw.whole(1, 14);
    const when = draw.pick(['before', 'during', 'after'] as const);
    let requests = 0;
    const watching = async (url: string, init?: RequestInit) => {
      const mine = ++requests === at;
      if (mine && when === 'before') stop.abort(reason);
      const answer = fetch(url, init);
      if (mine && when === 'during') stop.abort(reason);
      const response = await answer;
      if (mine && when === 'after') stop.abort(reason);
      return response;
    };
    const contents = { ...FILES, 'more.bin': randomBytes(5_000_000, seed) };
    const options = { fetch: watching, memoryBudget: 16 * MIB };
    const outcome = await attempt(hub, options, async (client) => {
      try {
        return await client.upload({ repo: REPO, files: filesOf(contents), signal: stop.signal });
      } finally {
        expect(client.metrics().memory.usedNowBytes).toBe(0);
      }
    });
    if (outcome.error !== undefined) expect(outcome.error).toBe(reason);
    const after = await stateOf(hub);
    const all = { commits: before.commits + 1, files: hashesOf(contents) };
    expect([before, all], told(outcome)).toContainEqual(after);
    if (outcome.error === undefined) expect(after).toEqual(all);
    const again = await attempt(hub, {}, (client) => client.upload({ repo: REPO, files: filesOf(contents) }));
    expect(again.error, told(again)).toBeUndefined();
    expect((await stateOf(hub)).files).toEqual(all.files);
  });
});

describe('kill -9, then the same command', () => {
  test.each(Array.from({ length: 20 }, (_, index) => index + 1))('at a random moment (%i)', async (seed) => {
    const draw = new Draw(seed + 100);
    const hub = await uploadHub({ grants: draw.percent(50) });
    const folder = await scratch();
    const content = randomBytes(40_000_000, 300 + seed);
    await writeFile(join(folder, 'weights.bin'), content);
    const args = ['upload', REPO, folder, '--memory', '32MB', '--json', '--quiet'];
    const accepted = () =>
      hub.requests.filter(({ kind, status }) => kind === 'xorb-upload' && status === 200).map(({ path }) => path);
    const child = await startCli(hub, args);
    const moment = draw.whole(0, 8);
    await until(() => accepted().length >= moment, child);
    child.process.kill('SIGKILL');
    await child.ended;
    const stored = new Set(accepted().filter((path) => path.includes('/v1/xorbs/')));
    hub.resetRequests();
    const last = await (await startCli(hub, args)).ended;
    expect(last.code, last.stderr).toBe(0);
    expect((await stateOf(hub)).files).toEqual(hashesOf({ 'weights.bin': content }));
    expect(
      accepted().filter((path) => stored.has(path)),
      'nothing that is stored is sent again',
    ).toEqual([]);
    expect((await contentUnder(folder)).sort()).toEqual(['weights.bin']);
    const [file] = jsonLines(last.stdout);
    expect(file).toMatchObject({ path: 'weights.bin', sha256: sha256(content) });
  });
});
