import { expect, test } from 'vitest';
import { startLocalHub } from '../../src/local-hub/start.ts';
import { call, commit, file, post, TOKEN, temporaryFolder, testHub } from './helpers.ts';

test('making, changing, reading and deleting one repository at once never fails on the side of the Hub', async () => {
  const dir = await temporaryFolder();
  const hub = await testHub({ dir });
  const name = 'me/model';
  const steps = [
    () => post(hub, '/api/repos/create', { name }, TOKEN),
    () => post(hub, '/api/repos/create', { name: 'ME/Model' }, TOKEN),
    () => call(hub, '/api/repos/delete', { method: 'DELETE', headers: TOKEN, body: JSON.stringify({ name }) }),
    () => commit(hub, name, [file('a', String(Math.random()))]),
    () => commit(hub, name, [file('a', '2')], { query: '?create_pr=1' }),
    () => call(hub, '/api/models/me/model/tree/main', { headers: TOKEN }),
    () => call(hub, '/api/models/me/model/commits/main', { headers: TOKEN }),
    () => call(hub, '/api/models', { headers: TOKEN }),
    () => post(hub, '/api/models/me/model/branch/x', {}, TOKEN),
    () => call(hub, '/api/models/me/model/settings', { method: 'PUT', headers: TOKEN, body: '{"gated":"auto"}' }),
  ];
  const seen = new Set<number>();
  for (let round = 0; round < 12; round++) {
    const order = steps.flatMap((step, index) => [steps[(index * 7 + round) % steps.length] ?? step, step]);
    for (const { status } of await Promise.all(order.map((step) => step()))) seen.add(status);
  }
  expect([...seen].filter((status) => status >= 500)).toEqual([]);
  expect([...seen]).toEqual(expect.arrayContaining([200, 404, 409]));
  await hub.close();
  // What is on the disk is what the Hub said.
  const again = await startLocalHub({ dir });
  const exists = (await call(again, '/api/models/me/model', { headers: TOKEN })).ok;
  if (exists) expect((await call(again, '/api/models/me/model/tree/main', { headers: TOKEN })).status).toBe(200);
  await again.close();
});

test('of commits that are sent while a repository is made none is lost', async () => {
  const hub = await testHub();
  for (let round = 0; round < 10; round++) {
    const name = `me/model-${round}`;
    const made = post(hub, '/api/repos/create', { name }, TOKEN);
    const commits = Array.from({ length: 6 }, (_, index) => commit(hub, name, [file(`f${index}`, '1')]));
    expect((await made).status).toBe(200);
    const done = (await Promise.all(commits)).flatMap(({ status }, index) => (status === 200 ? [`f${index}`] : []));
    const tree = (await (await call(hub, `/api/models/${name}/tree/main`)).json()) as { path: string }[];
    expect(tree.map(({ path }) => path)).toEqual(['.gitattributes', ...done]);
  }
});
