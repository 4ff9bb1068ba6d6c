import { expect, test } from 'vitest';
import { call, noise, testHub } from './helpers.ts';

interface Entry {
  type: string;
  path: string;
  size: number;
  oid: string;
  xetHash?: string;
  lfs?: { oid: string };
  lastCommit?: { title: string };
}

test('a long list comes in pages that lead to each other', async () => {
  const hub = await testHub();
  const files = Object.fromEntries(Array.from({ length: 2345 }, (_, index) => [`d${index % 3}/f${index}`, 'x']));
  await hub.commitFiles('me/model', files);
  const seen: string[] = [];
  const sizes: number[] = [];
  let url: string | undefined = `${hub.url}/api/models/me/model/tree/main?recursive=true&expand=false`;
  while (url) {
    const response: Response = await fetch(url);
    const page = (await response.json()) as Entry[];
    sizes.push(page.length);
    seen.push(...page.filter(({ type }) => type === 'file').map(({ path }) => path));
    url = /<(.+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
  }
  expect(sizes).toEqual([1000, 1000, 348]);
  expect(new Set(seen)).toEqual(new Set(Object.keys(files)));
  const limited = await call(hub, '/api/models/me/model/tree/main/d1?limit=10');
  expect((await limited.json()) as Entry[]).toHaveLength(10);
  expect(limited.headers.get('link')).toContain('limit=10');
  expect((await call(hub, '/api/models/me/model/tree/main?cursor=garbage')).status).toBe(400);
});

test('folders, large files and last commits are described', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'a.txt': 'a', 'd/e/w.bin': noise(8, 50_000) }, { message: 'first' });
  await hub.commitFiles('me/model', { 'a.txt': 'b' }, { message: 'second' });
  const list = async (path: string) =>
    (await (await call(hub, `/api/models/me/model/tree/main${path}`)).json()) as Entry[];
  expect((await list('')).map(({ type, path }) => `${type} ${path}`)).toEqual(['directory d', 'file a.txt']);
  expect((await list('/d%2Fe')).map(({ path }) => path)).toEqual(['d/e/w.bin']);
  const [folder, text] = await list('?expand=true');
  expect([folder?.lastCommit?.title, text?.lastCommit?.title]).toEqual(['first', 'second']);
  const [weights] = await list('/d/e');
  expect([weights?.size, weights?.xetHash?.length, weights?.lfs?.oid.length]).toEqual([50_000, 64, 64]);
  const info = (await (await call(hub, '/api/models/me/model?blobs=true')).json()) as {
    siblings: { rfilename: string }[];
  };
  expect(info.siblings).toMatchObject([
    { rfilename: 'a.txt', size: 1 },
    { rfilename: 'd/e/w.bin', lfs: { size: 50_000 } },
  ]);
});

test('paths can be asked for as a form', async () => {
  const hub = await testHub();
  await hub.commitFiles('datasets/me/data', { 'a b.txt': 'a', 'd/x': 'x' });
  const response = await call(hub, '/api/datasets/me/data/paths-info/main', {
    method: 'POST',
    body: new URLSearchParams([
      ['paths', 'a b.txt'],
      ['paths', 'd'],
      ['paths', 'nope'],
      ['expand', 'false'],
    ]),
  });
  const entries = (await response.json()) as Entry[];
  expect(entries.map(({ type, path }) => `${type} ${path}`)).toEqual(['file a b.txt', 'directory d']);
});

test('commits come in pages', async () => {
  const hub = await testHub();
  for (const text of ['1', '2', '3']) await hub.commitFiles('me/model', { a: text }, { message: text });
  const first = await call(hub, '/api/models/me/model/commits/main?limit=2');
  const link = /<(.+)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
  const titles = [
    ...((await first.json()) as { title: string }[]),
    ...((await (await fetch(link)).json()) as { title: string }[]),
  ];
  expect(titles.map(({ title }) => title)).toEqual(['3', '2', '1']);
});
