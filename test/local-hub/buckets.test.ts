import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ZERO_HASH } from '../../src/core/hash.ts';
import { type LocalHub, startLocalHub } from '../../src/local-hub/start.ts';
import { bytesOf, call, noise, post, same, TOKEN, temporaryFolder, testHub } from './helpers.ts';

const BUCKET = '/api/buckets/ann/data';
const as = (token: string) => ({ authorization: `Bearer ${token}` });

interface Row {
  type: string;
  path: string;
  size?: number;
  xetHash?: string;
  mtime?: string;
  uploadedAt?: string;
}

function send(hub: LocalHub, operations: object[], bucket = BUCKET, headers = as('hf_local')): Promise<Response> {
  const body = operations.map((operation) => JSON.stringify(operation)).join('\n');
  return call(hub, `${bucket}/batch`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/x-ndjson' },
    body,
  });
}

async function rows(hub: LocalHub, tail = '', bucket = BUCKET): Promise<Row[]> {
  const found: Row[] = [];
  for (let url: string | undefined = `${hub.url}${bucket}/tree${tail}`; url; ) {
    const answer: Response = await fetch(url, { headers: TOKEN });
    expect(answer.status).toBe(200);
    found.push(...((await answer.json()) as Row[]));
    url = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  return found;
}

const pathsOf = async (hub: LocalHub, tail = '') => (await rows(hub, tail)).map(({ path }) => path);

async function hubWith(files: Record<string, string | Uint8Array>, bucket = 'buckets/ann/data'): Promise<LocalHub> {
  const hub = await testHub();
  await hub.putFiles(bucket, files);
  return hub;
}

describe('a bucket', () => {
  test('is created once, described, listed with its owner, and deleted', async () => {
    const hub = await testHub();
    const created = await post(hub, '/api/buckets/me/data', { visibility: 'private' }, TOKEN);
    expect(await created.json()).toMatchObject({ url: `${hub.url}/buckets/local/data` });
    expect((await post(hub, '/api/buckets/local/data', {}, TOKEN)).status).toBe(409);
    expect((await post(hub, '/api/buckets/local/DATA', {}, TOKEN)).status).toBe(409);
    await post(hub, '/api/buckets/other/data', {}, TOKEN);
    await hub.putFiles('buckets/local/data', { a: 'one', b: 'four' });
    const info = await (await call(hub, '/api/buckets/local/data', { headers: TOKEN })).json();
    expect(info).toMatchObject({ id: 'local/data', private: true, size: 7, totalFiles: 2 });
    const names = async (tail: string) =>
      ((await (await call(hub, `/api/buckets/${tail}`, { headers: TOKEN })).json()) as { id: string }[]).map(
        ({ id }) => id,
      );
    expect(await names('me')).toEqual(['local/data']);
    expect(await names('other?search=AT')).toEqual(['other/data']);
    expect(await names('other?search=no')).toEqual([]);
    expect((await call(hub, '/api/buckets/local/data', { method: 'DELETE', headers: TOKEN })).status).toBe(200);
    const gone = await call(hub, '/api/buckets/local/data', { headers: TOKEN });
    expect([gone.status, gone.headers.get('x-error-code')]).toEqual([404, 'RepoNotFound']);
  });

  test.each(['visibility', 'name'])('is not created with a wrong %s', async (what) => {
    const hub = await testHub();
    const path = what === 'name' ? '/api/buckets/ann/..data' : '/api/buckets/ann/data';
    const answer = await post(hub, path, { visibility: what === 'visibility' ? 'secret' : 'public' }, TOKEN);
    expect(answer.status).toBe(400);
  });

  test('lists buckets page by page', async () => {
    const hub = await testHub();
    for (let index = 0; index < 7; index++) await hub.createRepo(`buckets/ann/b${index}`);
    const found: string[] = [];
    for (let url: string | undefined = `${hub.url}/api/buckets/ann?limit=3&search=b`; url; ) {
      const answer: Response = await fetch(url, { headers: TOKEN });
      const page = (await answer.json()) as { id: string }[];
      expect(page.length).toBeLessThanOrEqual(3);
      found.push(...page.map(({ id }) => id));
      url = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
    }
    expect(found).toEqual([0, 1, 2, 3, 4, 5, 6].map((index) => `ann/b${index}`));
  });

  test('that is private is there for tokens that the Hub knows only', async () => {
    const tokens = { hf_owner: { name: 'me', write: true }, hf_reader: { name: 'reader' } };
    const hub = await testHub({ tokens });
    await hub.putFiles('buckets/ann/data', { a: 'one' });
    const change = (body: object, token: string) =>
      call(hub, `${BUCKET}/settings`, { method: 'PUT', headers: as(token), body: JSON.stringify(body) });
    expect((await change({ private: true }, 'hf_reader')).status).toBe(403);
    expect(await (await change({ private: true }, 'hf_owner')).json()).toEqual({ private: true });
    for (const path of [BUCKET, `${BUCKET}/tree`, `${BUCKET}/xet-read-token`, '/buckets/ann/data/resolve/a']) {
      expect([path, (await call(hub, path)).status]).toEqual([path, 401]);
      expect([path, (await call(hub, path, { headers: as('hf_reader') })).status]).toEqual([
        path,
        path.includes('resolve') ? 302 : 200,
      ]);
    }
    expect((await call(hub, `${BUCKET}/xet-write-token`, { headers: as('hf_reader') })).status).toBe(403);
    expect((await send(hub, [{ type: 'deleteFile', path: 'a' }], BUCKET, as('hf_reader'))).status).toBe(403);
    expect(await pathsOf(await testHub({ tokens }), '').catch(() => 'refused')).toBe('refused');
    expect(await (await call(hub, '/')).text()).not.toContain('ann/data');
  });

  test('that was moved is found by its old name until another takes it', async () => {
    const hub = await hubWith({ a: 'one' });
    const move = (fromRepo: string, toRepo: string) =>
      post(hub, '/api/repos/move', { fromRepo, toRepo, type: 'bucket' }, TOKEN);
    await hub.createRepo('buckets/ann/taken');
    expect((await move('ann/data', 'ann/taken')).status).toBe(409);
    expect((await move('ann/none', 'ann/new')).status).toBe(404);
    expect((await move('ann/data', 'you/new')).status).toBe(200);
    const old = await call(hub, `${BUCKET}/tree`, { headers: TOKEN });
    expect([old.status, old.headers.get('location')]).toEqual([307, '/api/buckets/you/new/tree']);
    expect((await rows(hub, '', '/api/buckets/you/new')).map(({ path }) => path)).toEqual(['a']);
    await hub.createRepo('buckets/ann/data');
    expect(await pathsOf(hub)).toEqual([]);
  });

  test('is on the start page and has a page of its own', async () => {
    const hub = await hubWith({ 'a <b>': 'one' });
    expect(await (await call(hub, '/')).text()).toContain('<a href="/buckets/ann/data">buckets/ann/data</a>');
    const page = await (await call(hub, '/buckets/ann/data')).text();
    expect(page).toContain('<a href="/buckets/ann/data/resolve/a%20%3Cb%3E">a &#60;b&#62;</a><td>3 B');
  });
});

describe('the files of a bucket', () => {
  const names = ['logs', 'logs.json', 'logs/1', 'logs/2/a', 'logs/2/b', 'logs_old/1', 'x/y/z'];
  const files = Object.fromEntries(names.map((name) => [name, name]));

  test('are listed by a prefix that is matched as text', async () => {
    const hub = await hubWith(files);
    expect(await pathsOf(hub, '?recursive=true')).toEqual(names);
    expect(await pathsOf(hub)).toEqual(['logs', 'logs.json', 'logs', 'logs_old', 'x']);
    expect(await pathsOf(hub, '/logs?recursive=false')).toEqual(['logs', 'logs.json', 'logs/1', 'logs/2', 'logs_old']);
    expect(await pathsOf(hub, '/logs%2F?recursive=true')).toEqual(['logs/1', 'logs/2/a', 'logs/2/b']);
    expect(await pathsOf(hub, '/logs%2F2')).toEqual(['logs/2/a', 'logs/2/b']);
    expect(await pathsOf(hub, '/none')).toEqual([]);
    expect(await pathsOf(await hubWith({}))).toEqual([]);
  });

  test.each([1, 2, 3])('are the same in pages of %i', async (limit) => {
    const hub = await hubWith(files);
    for (const tail of ['', '/logs']) {
      for (const recursive of [true, false]) {
        const whole = await rows(hub, `${tail}?recursive=${recursive}`);
        expect(await rows(hub, `${tail}?recursive=${recursive}&limit=${limit}`)).toEqual(whole);
      }
    }
  });

  test('say when they were changed and sent', async () => {
    const hub = await testHub({ now: () => 1_700_000_000_000 });
    await hub.putFiles('buckets/ann/data', { 'd/a': 'one', empty: '' }, { mtimeMs: 1_600_000_000_123 });
    expect(await rows(hub, '?recursive=true')).toEqual([
      expect.objectContaining({
        type: 'file',
        path: 'd/a',
        size: 3,
        mtime: '2020-09-13T12:26:40.123Z',
        uploadedAt: '2023-11-14T22:13:20.000Z',
      }),
      expect.objectContaining({ path: 'empty', size: 0, xetHash: ZERO_HASH }),
    ]);
    expect(await rows(hub, '/d')).toMatchObject([{ path: 'd/a' }]);
    expect(await rows(hub)).toMatchObject([
      { type: 'directory', path: 'd', uploadedAt: '2023-11-14T22:13:20.000Z' },
      {},
    ]);
  });

  test('are described by path, without folders and unknown paths', async () => {
    const hub = await hubWith(files);
    const answer = await post(hub, `${BUCKET}/paths-info`, { paths: ['logs/2', 'x/y/z', 'none', 'logs'] }, TOKEN);
    expect(((await answer.json()) as Row[]).map(({ type, path }) => [type, path])).toEqual([
      ['file', 'x/y/z'],
      ['file', 'logs'],
    ]);
    for (const paths of [undefined, 'logs', [1], Array(1001).fill('a')]) {
      expect((await post(hub, `${BUCKET}/paths-info`, { paths }, TOKEN)).status).toBe(400);
    }
  });

  test('are resolved to their facts and content, whether slashes are escaped or not', async () => {
    const content = noise(5, 300_000);
    const hub = await hubWith({ 'd/a b.bin': content });
    for (const path of ['d/a%20b.bin', 'd%2Fa%20b.bin']) {
      const head = await call(hub, `/buckets/ann/data/resolve/${path}`, { method: 'HEAD', headers: TOKEN });
      expect(head.status).toBe(302);
      expect(head.headers.get('x-linked-size')).toBe('300000');
      expect(head.headers.get('link')).toContain(`<${hub.url}/api/buckets/ann/data/xet-read-token>; rel="xet-auth"`);
      expect(head.headers.get('x-repo-commit')).toBeNull();
      expect(head.headers.get('last-modified')).toMatch(/GMT$/);
      const got = await fetch(`${hub.url}/buckets/ann/data/resolve/${path}`);
      expect(got.headers.get('x-xet-hash')).toBe(head.headers.get('x-xet-hash'));
      expect(same(await bytesOf(got), content)).toBe(true);
    }
    const info = await call(hub, '/buckets/ann/data/resolve/d/a%20b.bin', {
      headers: { ...TOKEN, accept: 'application/vnd.xet-fileinfo+json, */*', range: 'bytes=0-0' },
    });
    expect(await info.json()).toMatchObject({ size: 300_000, refreshUrl: `${hub.url}${BUCKET}/xet-read-token` });
    const missing = await call(hub, '/buckets/ann/data/resolve/d', { headers: TOKEN });
    expect([missing.status, missing.headers.get('x-error-code')]).toEqual([404, 'EntryNotFound']);
  });

  test('that are empty are downloaded as such', async () => {
    const hub = await hubWith({ empty: '' });
    const whole = await fetch(`${hub.url}/buckets/ann/data/resolve/empty`);
    expect([whole.status, await whole.text()]).toEqual([200, '']);
    const probed = await fetch(`${hub.url}/buckets/ann/data/resolve/empty`, { headers: { range: 'bytes=0-0' } });
    expect([probed.status, probed.headers.get('content-range')]).toEqual([200, 'bytes */0']);
  });
});

describe('a batch', () => {
  async function hashOf(hub: LocalHub, path: string): Promise<string> {
    return (await rows(hub, '?recursive=true')).find((row) => row.path === path)?.xetHash ?? '';
  }

  test('adds and deletes files, and says what failed', async () => {
    const hub = await hubWith({ a: 'one', b: 'two' });
    const xetHash = await hashOf(hub, 'a');
    const answer = await send(hub, [
      { type: 'addFile', path: 'c/d', xetHash, mtime: 1_600_000_000_123, contentType: 'text/plain' },
      { type: 'addFile', path: 'unknown', xetHash: 'a'.repeat(64), mtime: 1 },
      { type: 'addFile', path: 'empty', xetHash: ZERO_HASH },
      { type: 'addFile', path: '../bad', xetHash },
      { type: 'deleteFile', path: 'a' },
      { type: 'deleteFile', path: 'none' },
    ]);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({
      success: false,
      processed: 6,
      succeeded: 4,
      failed: [
        { path: 'unknown', error: expect.stringContaining('No content with the hash') },
        { path: '../bad', error: expect.stringContaining("'..'") },
      ],
    });
    expect(await pathsOf(hub, '?recursive=true')).toEqual(['b', 'c/d', 'empty']);
    expect(await rows(hub, '/c')).toMatchObject([{ mtime: '2020-09-13T12:26:40.123Z', contentType: 'text/plain' }]);
  });

  test('applies its operations in order', async () => {
    const hub = await hubWith({ a: 'one' });
    const xetHash = await hashOf(hub, 'a');
    await send(hub, [
      { type: 'deleteFile', path: 'a' },
      { type: 'addFile', path: 'a', xetHash },
      { type: 'addFile', path: 'b', xetHash },
      { type: 'deleteFile', path: 'b' },
    ]);
    expect(await pathsOf(hub)).toEqual(['a']);
  });

  test('in which everything fails has the status 422 and changes nothing', async () => {
    const hub = await hubWith({ a: 'one' });
    const answer = await send(hub, [{ type: 'addFile', path: 'b/', xetHash: await hashOf(hub, 'a') }]);
    expect([answer.status, await answer.json()]).toEqual([
      422,
      { success: false, processed: 1, succeeded: 0, failed: [{ path: 'b/', error: expect.any(String) }] },
    ]);
    expect(await pathsOf(hub)).toEqual(['a']);
  });

  test.each(['', '/a', 'a/', 'a//b', './a', 'a/../b', 'a/..', 'a..', 'a\\b', 'a\0b', '\ud800'])(
    'refuses the name %j',
    async (path) => {
      const hub = await hubWith({ a: 'one' });
      expect((await send(hub, [{ type: 'addFile', path, xetHash: await hashOf(hub, 'a') }])).status).toBe(422);
    },
  );

  test.each([
    ['no JSON', '{'],
    ['no path', '{"type":"deleteFile"}'],
    ['no such operation', '{"type":"rename","path":"a"}'],
    ['no hash', '{"type":"addFile","path":"a","xetHash":"x"}'],
    ['a time that is none', `{"type":"addFile","path":"a","xetHash":"${ZERO_HASH}","mtime":"now"}`],
    ['a time that no date has', `{"type":"addFile","path":"a","xetHash":"${ZERO_HASH}","mtime":1e300}`],
    [
      'a header as its content type',
      `{"type":"addFile","path":"a","xetHash":"${ZERO_HASH}","contentType":"a/b\\r\\nc: d"}`,
    ],
    ['no source', `{"type":"copyFile","path":"a","xetHash":"${ZERO_HASH}"}`],
    ['a list', '[]'],
  ])('with %s in one line changes nothing', async (_, line) => {
    const hub = await hubWith({ a: 'one' });
    const answer = await call(hub, `${BUCKET}/batch`, {
      method: 'POST',
      headers: TOKEN,
      body: `{"type":"deleteFile","path":"a"}\n${line}\n`,
    });
    expect(answer.status).toBe(400);
    expect(await pathsOf(hub)).toEqual(['a']);
  });

  test('has at most a thousand operations', async () => {
    const hub = await hubWith({ a: 'one' });
    const many = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ type: 'deleteFile', path: `${index}` }));
    expect((await send(hub, many(1000))).status).toBe(200);
    expect((await send(hub, many(1001))).status).toBe(413);
  });

  test('takes no content that was sent to another bucket, or that only another holds', async () => {
    const hub = await hubWith({ a: 'one' });
    await hub.putFiles('buckets/ann/other', { secret: 'other' });
    const [{ xetHash } = {}] = await rows(hub, '', '/api/buckets/ann/other');
    expect((await send(hub, [{ type: 'addFile', path: 'b', xetHash }])).status).toBe(422);
  });

  test('copies what the sender may read at the source', async () => {
    const tokens = { hf_owner: { name: 'me', write: true } };
    const hub = await testHub({ tokens, openWrites: true });
    const content = noise(9, 100_000);
    await hub.createRepo('buckets/ann/data');
    await hub.commitFiles('datasets/ann/set', { 'w.bin': content });
    await hub.putFiles('buckets/ann/secret', { s: 'secret' });
    await hub.setRepo('buckets/ann/secret', { private: true });
    const head = await call(hub, '/datasets/ann/set/resolve/main/w.bin', { method: 'HEAD' });
    const xetHash = head.headers.get('x-xet-hash');
    const copy = { type: 'copyFile', path: 'copied', xetHash, sourceRepoType: 'dataset', sourceRepoId: 'ann/set' };
    expect((await send(hub, [copy], BUCKET, as('anybody'))).status).toBe(200);
    expect(same(await bytesOf(await fetch(`${hub.url}/buckets/ann/data/resolve/copied`)), content)).toBe(true);
    const list = await call(hub, '/api/buckets/ann/secret/tree', { headers: as('hf_owner') });
    const [secret] = (await list.json()) as Row[];
    const stolen = { ...copy, xetHash: secret?.xetHash, sourceRepoType: 'bucket', sourceRepoId: 'ann/secret' };
    expect((await send(hub, [stolen], BUCKET, as('anybody'))).status).toBe(422);
    expect((await send(hub, [stolen], BUCKET, as('hf_owner'))).status).toBe(200);
    expect((await send(hub, [{ ...copy, sourceRepoId: 'ann/none' }])).status).toBe(422);
  });
});

describe('the token of a bucket', () => {
  test('reads the content of its bucket, and of no other', async () => {
    const hub = await hubWith({ a: noise(3, 100_000) });
    await hub.putFiles('buckets/ann/other', { b: noise(4, 100_000) });
    const token = async (bucket: string) => {
      const answer = await call(hub, `/api/buckets/ann/${bucket}/xet-read-token`, { headers: TOKEN });
      return as(((await answer.json()) as { accessToken: string }).accessToken);
    };
    const [{ xetHash } = {}] = await rows(hub);
    const read = async (bucket: string) =>
      (await call(hub, `/cas/v2/reconstructions/${xetHash}`, { headers: await token(bucket) })).status;
    expect([await read('data'), await read('other')]).toEqual([200, 404]);
    const mine = await token('data');
    await call(hub, BUCKET, { method: 'DELETE', headers: TOKEN });
    expect((await call(hub, `/cas/v2/reconstructions/${xetHash}`, { headers: mine })).status).toBe(401);
  });

  test('does not read what was deleted from the bucket', async () => {
    const hub = await hubWith({ a: noise(3, 100_000) });
    const [{ xetHash } = {}] = await rows(hub);
    const answer = await call(hub, `${BUCKET}/xet-read-token`, { headers: TOKEN });
    const { accessToken } = (await answer.json()) as { accessToken: string };
    await send(hub, [{ type: 'deleteFile', path: 'a' }]);
    expect((await call(hub, `/cas/v2/reconstructions/${xetHash}`, { headers: as(accessToken) })).status).toBe(404);
  });
});

describe('a bucket on disk', () => {
  test('is as it was when the Hub starts again, whether its steps were joined or not', async () => {
    const dir = await temporaryFolder();
    const first = await startLocalHub({ dir });
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`d/${index}`, `${index % 7}`]));
    await first.putFiles('buckets/ann/data', many);
    const xetHash = (await rows(first, '?recursive=true'))[0]?.xetHash;
    for (let round = 0; round < 12; round++) {
      const operations = Array.from({ length: 100 }, (_, index) =>
        index % 3 === round % 3
          ? { type: 'deleteFile', path: `d/${index}` }
          : { type: 'addFile', path: `d/${index}`, xetHash, mtime: round },
      );
      await send(first, operations);
    }
    const before = await rows(first, '?recursive=true');
    const info = await (await call(first, BUCKET, { headers: TOKEN })).json();
    const steps = await readdir(join(dir, 'repos/buckets/ann/data/steps'));
    expect(steps.length).toBeLessThan(13);
    // As a process that is killed in the middle of joining leaves it.
    await writeFile(join(dir, 'repos/buckets/ann/data/steps/1.json'), '{"number":1,"at":0,"changes":[["old"]]}');
    await first.close();
    const second = await startLocalHub({ dir });
    try {
      expect(await rows(second, '?recursive=true')).toEqual(before);
      expect(await (await call(second, BUCKET, { headers: TOKEN })).json()).toEqual(info);
    } finally {
      await second.close();
    }
  });

  test('is made of a folder', async () => {
    const hub = await testHub();
    const folder = await temporaryFolder();
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(folder, 'buckets/ann/data/d'), { recursive: true });
    await writeFile(join(folder, 'buckets/ann/data/d/a.txt'), 'one');
    expect(await hub.seed(folder)).toEqual([{ type: 'bucket', name: 'ann/data', changed: true, files: 1 }]);
    expect(await rows(hub, '?recursive=true')).toMatchObject([{ path: 'd/a.txt', mtime: expect.any(String) }]);
    expect((await hub.seed(folder))[0]?.changed).toBe(false);
  });
});

test('calls that are for the other kind say so', async () => {
  const hub = await testHub();
  await expect(hub.commitFiles('buckets/ann/data', { a: '' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(hub.putFiles('me/model', { a: '' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(hub.putFiles('buckets/ann/data', { 'a/': '' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(hub.createRepo('buckets/ann/data', { gated: 'auto' })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});
