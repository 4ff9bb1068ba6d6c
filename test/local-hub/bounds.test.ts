import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { reconstruct } from '../../src/local-hub/cas/reconstruct.ts';
import { guardConnections } from '../../src/local-hub/http/connections.ts';
import { parseJson } from '../../src/local-hub/http/json.ts';
import { folderIds, listFolder, sortedTree, type TreeFile } from '../../src/local-hub/repo/tree.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { StoredXorbIndex } from '../../src/local-hub/store/xorb-index.ts';
import { call, commit, file, noise, post, reconstruction, TOKEN, testHub } from './helpers.ts';

async function hubWith(files: Record<string, string>): Promise<LocalHub> {
  const hub = await testHub();
  await hub.commitFiles('me/model', files);
  return hub;
}

const ndjson = { ...TOKEN, 'content-type': 'application/x-ndjson' };
const HEADER = '{"key":"header","value":{"summary":"Change"}}\n';

function commitBody(hub: LocalHub, body: BodyInit, headers: Record<string, string> = ndjson): Promise<Response> {
  return call(hub, '/api/models/me/model/commit/main', {
    method: 'POST',
    headers,
    body,
    ...({ duplex: 'half' } as object),
  });
}

/** A body that is made while it is sent. */
function repeated(piece: string, times: number, start = ''): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(piece);
  let left = times;
  let first = start !== '';
  return new ReadableStream({
    pull(controller) {
      if (first) controller.enqueue(Buffer.from(start));
      else if (left-- > 0) controller.enqueue(bytes);
      else controller.close();
      first = false;
    },
  });
}

/** The status, or 0 where the connection was closed before one could be read. */
const statusOf = (answer: Promise<Response>) =>
  answer.then(
    ({ status }) => status,
    () => 0,
  );

describe('a commit', () => {
  test('of many lines is read line by line', async () => {
    const hub = await hubWith({ a: '1' });
    const before = process.memoryUsage().rss;
    const answer = await commitBody(hub, repeated('\n'.repeat(1024 * 1024), 100, HEADER));
    expect(answer.status).toBe(200);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
  });

  test('is refused that is too long as a whole, in a line, or in its number of operations', async () => {
    const hub = await hubWith({ a: '1' });
    const line = '{"key":"deletedFile","value":{"path":"none"}}\n';
    expect(await statusOf(commitBody(hub, repeated('\n'.repeat(1024 * 1024), 257, HEADER)))).toBeOneOf([413, 0]);
    expect(await statusOf(commitBody(hub, repeated('a'.repeat(1024 * 1024), 20, HEADER)))).toBeOneOf([413, 0]);
    expect(await statusOf(commitBody(hub, `${HEADER}${line.repeat(100_001)}`))).toBeOneOf([413, 0]);
    expect((await call(hub, '/api/models/me/model')).status).toBe(200);
  });

  test('may come in pieces of any length', async () => {
    const hub = await hubWith({ a: '1' });
    const text = `${HEADER}{"key":"file","value":{"path":"ä.txt","content":"w6Q="}}\r\n\n{"key":"file","value":{"path":"b","content":""}}`;
    const bytes = Buffer.from(text);
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at < bytes.length) controller.enqueue(bytes.subarray(at, at + 3));
        else controller.close();
        at += 3;
      },
    });
    expect((await commitBody(hub, body)).status).toBe(200);
    expect(await (await fetch(`${hub.url}/me/model/resolve/main/%C3%A4.txt`)).text()).toBe('ä');
  });

  test('has no path that is deep, and no summary that is long', async () => {
    const hub = await hubWith({ a: '1' });
    for (const path of ['a/'.repeat(2000), 'd/'.repeat(65)]) {
      expect((await commit(hub, 'me/model', [file(`${path}x`, '1')])).status).toBe(400);
    }
    expect((await commit(hub, 'me/model', [file('x', '1')], { header: { summary: 'a'.repeat(1001) } })).status).toBe(
      400,
    );
    expect(
      (await commit(hub, 'me/model', [file('x', '1')], { header: { description: 'a'.repeat(70_000) } })).status,
    ).toBe(400);
  });

  test('does not search for slashes over and over', async () => {
    const hub = await hubWith({ a: '1' });
    const path = `${'/'.repeat(4_000_000)}x`;
    expect((await commit(hub, 'me/model', [{ key: 'deletedFolder', value: { path } }])).status).toBe(404);
    expect((await call(hub, `/api/models/me/model/tree/main/${'/'.repeat(15_000)}x`)).status).toBe(404);
  });

  test('finds files and folders of one name, in either order', async () => {
    const hub = await hubWith({ 'd/a': '1', f: '1' });
    expect((await commit(hub, 'me/model', [file('d', '1')])).status).toBe(400);
    expect((await commit(hub, 'me/model', [file('f/a', '1')])).status).toBe(400);
    expect((await commit(hub, 'me/model', [file('x', '1'), file('x/y', '1')])).status).toBe(400);
    const both = [{ key: 'deletedFolder', value: { path: 'd' } }, file('d', '1')];
    expect((await commit(hub, 'me/model', both)).status).toBe(200);
  });
});

describe('the JSON of a request', () => {
  test.each([
    ['deep lists', `${'['.repeat(200_000)}${']'.repeat(200_000)}`],
    ['deep objects', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`],
    ['many values', `[${'{},'.repeat(200_000)}{}]`],
    ['many names', `{${'"a":1,'.repeat(60_000)}"b":1}`],
  ])('may not be %s', async (_, text) => {
    expect(() => parseJson(text)).toThrow(/deeper|values/);
    const hub = await hubWith({ a: '1' });
    for (const path of ['/api/repos/create', '/api/models/me/model/paths-info/main', '/api/validate-yaml']) {
      const answer = await call(hub, path, {
        method: 'POST',
        headers: { ...TOKEN, 'content-type': 'application/json' },
        body: text,
      });
      expect(answer.status, path).toBeOneOf([400, 413]);
    }
  });

  test('is read as it is where brackets are in strings', () => {
    const value = { a: '['.repeat(1000), b: '"\\[{'.repeat(1000), c: '\\', d: ['\\\\"', '{'] };
    expect(parseJson(JSON.stringify(value))).toEqual(value);
    expect(() => parseJson('{"a')).toThrow('not JSON');
  });

  test('is not unpacked', async () => {
    const hub = await hubWith({ a: '1' });
    const answer = await call(hub, '/api/repos/create', {
      method: 'POST',
      headers: { ...TOKEN, 'content-encoding': 'gzip' },
      body: 'x',
    });
    expect([answer.status, await answer.json()]).toEqual([415, { error: expect.stringContaining('Content-Encoding') }]);
  });
});

test('batches of objects and of paths have an end', async () => {
  const hub = await hubWith({ a: '1' });
  const objects = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ oid: index.toString(16).padStart(64, '0'), size: 1 }));
  const batch = (count: number, operation: string) =>
    post(
      hub,
      '/me/model.git/info/lfs/objects/batch',
      { operation, transfers: ['xet'], objects: objects(count) },
      TOKEN,
    );
  for (const operation of ['upload', 'download']) {
    expect((await batch(1000, operation)).status).toBe(200);
    expect((await batch(1001, operation)).status).toBe(400);
  }
  const paths = (count: number) =>
    post(hub, '/api/models/me/model/paths-info/main', { paths: Array.from({ length: count }, (_, i) => `none/${i}`) });
  expect(await (await paths(5000)).json()).toEqual([]);
  expect((await paths(5001)).status).toBe(400);
});

test('folders of a large tree are found and told apart at once', () => {
  const entry = (oid: string): TreeFile => ({ size: 1, oid });
  const paths = Array.from({ length: 60_000 }, (_, index) => `top/f${index % 20_000}/g/h${index}`);
  const tree = sortedTree(paths.map((path) => [path, entry(path)]));
  expect(folderIds(tree).size).toBe(1 + 2 * 20_000);
  expect(listFolder(tree, 'top', false)).toHaveLength(20_000);
  expect(listFolder(tree, 'top/f1', true)?.map(({ path }) => path)).toEqual([
    'top/f1/g',
    'top/f1/g/h1',
    'top/f1/g/h20001',
    'top/f1/g/h40001',
  ]);
  expect([listFolder(tree, 'to', false), listFolder(tree, 'top/f1/g/h1', false)]).toEqual([undefined, undefined]);
  const changed = sortedTree([...tree, ['top/f7/g/new', entry('x')]]);
  const differing = [...folderIds(tree)].filter(([folder, id]) => folderIds(changed).get(folder) !== id);
  expect(differing.map(([folder]) => folder).sort()).toEqual(['top', 'top/f7', 'top/f7/g']);
});

test('ranges of a xorb do not overlap and are at most 256', async () => {
  const hub = await testHub();
  await hub.commitFiles('me/model', { 'w.bin': noise(3, 400_000) });
  const { xorbs } = await reconstruction(hub, 'me/model', 'w.bin');
  const [{ url = '' } = {}] = Object.values(xorbs)[0] ?? [];
  const ask = async (ranges: string[]) =>
    (await fetch(url, { headers: { range: `bytes=${ranges.join(',')}` } })).status;
  const apart = (count: number) => Array.from({ length: count }, (_, index) => `${index * 10}-${index * 10 + 4}`);
  expect(await ask(apart(256))).toBe(206);
  expect(await ask(apart(257))).toBe(416);
  expect(await ask(Array.from({ length: 200 }, () => '0-100000'))).toBe(416);
  expect(await ask(['0-10', '10-20'])).toBe(416);
  expect(await ask(['11-20', '0-10'])).toBe(206);
});

test('a file of very many terms is grouped in one pass', () => {
  const records = new Uint8Array(36 * 100);
  const index = new StoredXorbIndex(
    'a'.repeat(64),
    records,
    Uint32Array.from({ length: 100 }, (_, i) => (i + 1) * 10),
  );
  const terms = Array.from({ length: 300_000 }, (_, i) => ({
    xorb: index.hash,
    chunks: { start: i % 100, end: (i % 100) + 1 },
    unpackedLength: 0,
    verification: '',
  }));
  for (const term of terms) term.unpackedLength = 1;
  const file = { hash: '', size: terms.length, terms };
  const found = reconstruct(file, new Map([[index.hash, index]]), { start: 0, end: file.size }, true);
  expect(found.terms).toHaveLength(300_000);
  expect(found.fetches.get(index.hash)).toEqual([{ chunks: { start: 0, end: 100 }, bytes: { start: 0, end: 1000 } }]);
});

describe('connections', () => {
  async function guarded(options: { silentMs?: number; most?: number }) {
    const server = createServer((request, response) => {
      if (request.url === '/slow') return;
      request.resume().on('end', () => response.end('ok'));
    });
    server.on('clientError', (_, socket) => socket.destroy());
    guardConnections(server, options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as { port: number };
    const open = (text = ''): Promise<Socket> =>
      new Promise((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(text, () => resolve(socket)));
        socket.on('error', () => undefined);
      });
    return { port, open };
  }

  test('that are silent are closed, and one that waits for its answer is not', async () => {
    const { open } = await guarded({ silentMs: 200 });
    const waiting = await open('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    const silent = [
      await open(),
      await open('GET / HT'),
      await open('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab'),
    ];
    await Promise.all(silent.map((socket) => once(socket, 'close')));
    expect(waiting.destroyed).toBe(false);
    waiting.destroy();
  });

  test('beyond the limit make those go that do nothing, so that everybody is served', async () => {
    const { port, open } = await guarded({ most: 20 });
    const idle: Socket[] = [];
    for (let index = 0; index < 100; index++)
      idle.push(await open(index % 2 ? '' : 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n'));
    for (let index = 0; index < 5; index++) {
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      expect(await answer.text()).toBe('ok');
    }
    for (const socket of idle) socket.destroy();
  });
});
