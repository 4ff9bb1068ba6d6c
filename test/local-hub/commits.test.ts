import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { call, commit, file, noise, post, TOKEN, testHub } from './helpers.ts';

async function paths(hub: LocalHub, repo: string, revision = 'main'): Promise<string[]> {
  const response = await call(hub, `/api/models/${repo}/tree/${encodeURIComponent(revision)}?recursive=true`);
  const entries = (await response.json()) as { path: string; type: string }[];
  return entries.filter(({ type }) => type === 'file').map(({ path }) => path);
}

test('a commit adds, replaces and deletes', async () => {
  const hub = await testHub();
  const created = await post(hub, '/api/repos/create', { name: 'model', organization: 'me' });
  expect(await created.json()).toMatchObject({ url: `${hub.url}/me/model`, name: 'me/model' });
  expect((await post(hub, '/api/repos/create', { name: 'model', organization: 'me' })).status).toBe(409);
  const first = await commit(hub, 'me/model', [file('a.txt', 'a'), file('d/b.txt', 'b'), file('d/c.txt', 'c')]);
  const { commitOid, commitUrl, success } = (await first.json()) as Record<string, string>;
  expect([success, commitUrl]).toEqual([true, `${hub.url}/me/model/commit/${commitOid}`]);
  expect(await paths(hub, 'me/model')).toEqual(['.gitattributes', 'a.txt', 'd/b.txt', 'd/c.txt']);
  await commit(hub, 'me/model', [file('a.txt', 'new'), { key: 'deletedFile', value: { path: 'd/b.txt' } }]);
  expect(await paths(hub, 'me/model')).toEqual(['.gitattributes', 'a.txt', 'd/c.txt']);
  await commit(hub, 'me/model', [{ key: 'deletedFolder', value: { path: 'd/' } }]);
  expect(await paths(hub, 'me/model')).toEqual(['.gitattributes', 'a.txt']);
  expect(await paths(hub, 'me/model', commitOid)).toContain('d/b.txt');
  const log = await call(hub, '/api/models/me/model/commits/main');
  expect(log.headers.get('x-total-count')).toBe('4');
  expect(((await log.json()) as { title: string }[]).at(-1)?.title).toBe('initial commit');
  const deleted = await call(hub, '/api/repos/delete', {
    method: 'DELETE',
    body: JSON.stringify({ name: 'model', organization: 'me' }),
  });
  expect(deleted.status).toBe(200);
  expect((await call(hub, '/api/models/me/model', { headers: TOKEN })).status).toBe(404);
});

test('of several requests for one name, one makes the repository', async () => {
  const hub = await testHub();
  const names = ['model', 'Model', 'model', 'MODEL'];
  const answers = await Promise.all(names.map((name) => post(hub, '/api/repos/create', { name, organization: 'me' })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409]);
});

test('commits that come at once all arrive', async () => {
  const hub = await testHub();
  await hub.createRepo('me/model');
  const names = ['a', 'b', 'c', 'd', 'e'];
  await Promise.all(names.map((name) => commit(hub, 'me/model', [file(name, name)])));
  expect(await paths(hub, 'me/model', 'HEAD')).toEqual(['.gitattributes', ...names]);
});

test('a commit on a head that has moved is a conflict', async () => {
  const hub = await testHub();
  const { commit: head } = await hub.commitFiles('me/model', { a: '1' });
  expect((await commit(hub, 'me/model', [file('a', '2')], { header: { parentCommit: head } })).status).toBe(200);
  expect((await commit(hub, 'me/model', [file('a', '3')], { header: { parentCommit: head } })).status).toBe(412);
});

test('branches and tags are made, used and removed, whether their slashes are escaped or not', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { a: 'old' });
  const branch = '/api/models/me/model/branch/feature%2Fx';
  expect((await post(hub, branch, {})).status).toBe(200);
  expect((await post(hub, branch, {})).status).toBe(409);
  expect((await post(hub, '/api/models/me/model/tag/main', { tag: 'v1' })).status).toBe(200);
  await commit(hub, 'me/model', [file('a', 'new')], { revision: 'feature/x' });
  const text = async (rev: string) => (await fetch(`${hub.url}/me/model/resolve/${rev}/a`)).text();
  expect(await text('feature%2Fx')).toBe('new');
  expect(await text('feature/x')).toBe('new');
  expect(await text('refs%2Fheads%2Ffeature%2Fx')).toBe('new');
  expect(await text('v1')).toBe('old');
  expect((await commit(hub, 'me/model', [file('a', 'x')], { revision: 'v1' })).status).toBe(400);
  const refs = (await (await call(hub, '/api/models/me/model/refs')).json()) as Record<string, { name: string }[]>;
  expect(refs.branches?.map(({ name }) => name)).toEqual(['main', 'feature/x']);
  expect(refs.tags?.map(({ name }) => name)).toEqual(['v1']);
  expect((await call(hub, branch, { method: 'DELETE' })).status).toBe(200);
  expect((await call(hub, branch, { method: 'DELETE' })).status).toBe(404);
  expect((await call(hub, '/me/model/resolve/feature%2Fx/a', { method: 'HEAD' })).status).toBe(404);
});

test('a pull request is a ref of its own', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { a: '1' });
  const made = (await (await commit(hub, 'me/model', [file('b', '2')], { query: '?create_pr=1' })).json()) as {
    pullRequestUrl: string;
  };
  expect(made.pullRequestUrl).toBe(`${hub.url}/me/model/discussions/1`);
  expect(await paths(hub, 'me/model', 'refs/pr/1')).toEqual(['a', 'b']);
  expect(await paths(hub, 'me/model')).toEqual(['a']);
  const opened = await post(hub, '/api/models/me/model/discussions', { title: 'T', pullRequest: true });
  expect(await opened.json()).toMatchObject({ num: 2 });
  const refs = (await (await call(hub, '/api/models/me/model/refs?include_prs=1')).json()) as Record<string, unknown[]>;
  expect(refs.pullRequests).toHaveLength(2);
});

test('a large file must have been uploaded before it is committed', async () => {
  const hub = await testHub();
  const data = noise(5, 200_000);
  await hub.commitFiles('me/model', { 'w.bin': data }, { xet: 'always' });
  const sha256 = createHash('sha256').update(data).digest('hex');
  const lfs = (oid: string, size: number) => [{ key: 'lfsFile', value: { path: 'x', algo: 'sha256', oid, size } }];
  expect((await commit(hub, 'me/model', lfs(sha256, data.length))).status).toBe(200);
  expect((await commit(hub, 'me/model', lfs(sha256, 1))).status).toBe(400);
  expect((await commit(hub, 'me/model', lfs('0'.repeat(64), 1))).status).toBe(400);
});

test.each(['../x', '/x', 'a//b', 'a/../b', 'a/./b', '.git/config', 'a/.GIT/x', '', 'a\0b'])(
  'a commit to the path %j is refused',
  async (path) => {
    const hub = await testHub();
    await hub.commitFiles('me/model', { a: '1' });
    expect((await commit(hub, 'me/model', [file(path, 'x')])).status).toBe(400);
  },
);

test('a file cannot be a folder too', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { a: '1' });
  expect((await commit(hub, 'me/model', [file('a/b', 'x')])).status).toBe(400);
});

test.each(['../../x', '..', 'a/../b', 'a/b/c', '.', 'a--b/c', 'x/y.git', 'a\\b'])(
  'the name %j is refused',
  async (name) => {
    const hub = await testHub();
    expect((await post(hub, '/api/repos/create', { name, organization: '' })).status).toBe(400);
  },
);

test('preupload tells large files from small ones, and what is there', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', {
    'a.txt': 'a',
    '.gitattributes': '*.bin filter=lfs -text',
    '.gitignore': 'tmp/\n*.log',
  });
  const sample = (text: string) => Buffer.from(text).toString('base64');
  const files = [
    { path: 'a.txt', size: 1, sample: sample('a') },
    { path: 'd/x.bin', size: 4, sample: sample('text') },
    { path: 'n.dat', size: 4, sample: sample('\0') },
    { path: 'big.txt', size: 5e6, sample: sample('text') },
    { path: 'empty.bin', size: 0, sample: '' },
    { path: 'tmp/x', size: 1, sample: sample('x') },
    { path: 'd/y.log', size: 1, sample: sample('x') },
  ];
  const response = await post(hub, '/api/models/me/model/preupload/main', { files });
  const answer = (await response.json()) as { files: { uploadMode: string; shouldIgnore: boolean; oid?: string }[] };
  expect(answer.files.map(({ uploadMode }) => uploadMode).join(' ')).toBe(
    'regular lfs lfs lfs regular regular regular',
  );
  expect(answer.files.map(({ shouldIgnore }) => shouldIgnore)).toEqual([false, false, false, false, false, true, true]);
  expect(answer.files[0]?.oid).toBe(createHash('sha1').update('blob 1\0a').digest('hex'));
});
