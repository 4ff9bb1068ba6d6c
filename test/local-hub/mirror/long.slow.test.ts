import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { bytesOf, call, noise, reconstruction, same } from '../helpers.ts';
import { mirrored } from './helpers.ts';

const REQUESTS = 20_000;
const model = noise(31, 6_000_000);

/** Numbers from 0 to below a limit, the same on each run. */
function drawer(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const descriptors = async () => (await readdir('/proc/self/fd')).length;

test('20,000 random requests leave memory and descriptors of a mirror flat', async () => {
  const { hub, mirror } = await mirrored({ maxSize: 4_000_000, nameSeconds: 1, accessSeconds: 1 });
  const files = ['a.bin', 'b.bin', 'c.txt'];
  const { commit } = await hub.commitFiles('me/m', {
    'a.bin': model,
    'b.bin': model.subarray(1_000_000, 3_000_000),
    'c.txt': noise(33, 5000).map((byte) => 97 + (byte % 26)),
  });
  const found = await reconstruction(mirror, 'me/m', 'a.bin');
  const [entry] = Object.values(found.xorbs).flat();
  const draw = drawer(5);
  const one = async () => {
    const path = files[draw(files.length)];
    const revision = draw(2) ? 'main' : commit;
    const start = draw(4000);
    const kinds = [
      () => call(mirror, `/me/m/resolve/${revision}/${path}`, { method: 'HEAD' }),
      () => call(mirror, `/api/models/me/m/tree/${revision}?recursive=true&n=${draw(50)}`),
      () => call(mirror, `/api/models/me/none-${draw(1000)}`),
      () => call(mirror, `/me/m/resolve/${revision}/missing-${draw(1000)}`),
      () => call(mirror, `/-xorbs/${'0'.repeat(64)}?asker=anonymous`),
      () => fetch(entry?.url ?? '', { headers: { range: `bytes=${start}-${start + draw(20_000)}` } }),
      () => call(mirror, '/metrics'),
      () =>
        fetch(`${mirror.url}/me/m/resolve/${revision}/${path}`, {
          headers: { range: `bytes=${start}-${start + draw(50_000)}` },
        }),
      async () => {
        // A client that goes away in the middle.
        const away = new AbortController();
        const answer = await fetch(`${mirror.url}/me/m/resolve/${revision}/a.bin`, { signal: away.signal });
        away.abort();
        return answer;
      },
    ];
    const answer = await kinds[draw(kinds.length)]?.().catch(() => undefined);
    await answer?.arrayBuffer().catch(() => undefined);
  };
  const many = async (count: number) => {
    for (let done = 0; done < count; done += 16) await Promise.all(Array.from({ length: 16 }, one));
  };
  await many(REQUESTS / 4);
  globalThis.gc?.();
  const before = { memory: process.memoryUsage().rss, descriptors: await descriptors() };
  await many((REQUESTS * 3) / 4);
  globalThis.gc?.();
  const after = { memory: process.memoryUsage().rss, descriptors: await descriptors() };
  // The test's own connections come and go, a few at a time.
  expect(after.descriptors - before.descriptors).toBeLessThan(40);
  expect(after.memory - before.memory).toBeLessThan(100_000_000);
  const whole = await bytesOf(await fetch(`${mirror.url}/me/m/resolve/main/a.bin`));
  expect(same(whole, model)).toBe(true);
}, 300_000);
