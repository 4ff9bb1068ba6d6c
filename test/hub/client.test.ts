import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { HubClient, isContentId } from '../../src/hub/client.ts';
import { listEntries } from '../../src/hub/listing.ts';
import { parseRepo } from '../../src/hub/repo.ts';
import type { ListEntry } from '../../src/hub/types.ts';
import { inTurn, json, makeHttp, serve, status } from '../http/server.ts';
import { xorbHash } from '../support/cas-wire.ts';
import { rejectionOf } from '../support/property.ts';

const repo = parseRepo('datasets/owner/name');
const commit = 'c'.repeat(40);
const sha256 = 'a'.repeat(64);
const XET_TYPE = 'application/vnd.xet-fileinfo+json';

async function clientOf(handler: ReturnType<typeof inTurn>): Promise<{ hub: HubClient; url: string }> {
  const url = await serve(handler);
  return { hub: new HubClient(makeHttp(), { endpoint: `${url}/`, accessToken: async () => 'hf_secret' }), url };
}

const xetFile = (info: Record<string, unknown>, headers: Record<string, string> = {}) =>
  status(200, { 'content-type': XET_TYPE, 'x-repo-commit': commit, ...headers }, JSON.stringify(info));

describe('HubClient.resolve', () => {
  const info = { hash: xorbHash(1), size: 5, etag: `"${sha256}"` };

  test('reads what the Hub says of a file in a CAS', async () => {
    const handler = inTurn(xetFile({ ...info, refreshUrl: '/api/datasets/owner/name/xet-read-token/abc?x=1' }));
    const { hub, url } = await clientOf(handler);
    expect(await hub.resolve(repo, 'refs/pr/1', 'a/b.txt')).toEqual({
      repo,
      path: 'a/b.txt',
      size: 5,
      etag: sha256,
      commit,
      xetHash: xorbHash(1),
      url: `${url}/datasets/owner/name/resolve/refs%2Fpr%2F1/a/b.txt`,
      tokenUrl: `${url}/api/datasets/owner/name/xet-read-token/abc?x=1`,
    });
    expect(handler.requests[0]?.headers).toMatchObject({ authorization: 'Bearer hf_secret', range: 'bytes=0-0' });
  });

  describe('with the beginning of a file that is not in a CAS', () => {
    const known = { 'x-repo-commit': commit, etag: `"${'b'.repeat(40)}"` };
    const partial = (text: string, total: number, first = 0) =>
      status(206, { ...known, 'content-range': `bytes ${first}-${first + text.length - 1}/${total}` }, text);

    test.each<[string, ReturnType<typeof status>, string | undefined]>([
      ['all of it', partial('content', 7), 'content'],
      ['a part of it', partial('content', 1000), 'content'],
      ['all of it in place of a part', status(200, { ...known, 'content-length': '7' }, 'content'), undefined],
      [
        'more than it says',
        (_: unknown, response: ServerResponse) => {
          response.writeHead(206, { ...known, 'content-range': 'bytes 0-6/7' }).write('too ');
          response.end('much');
        },
        undefined,
      ],
      ['another part', partial('content', 1000, 5), undefined],
      ['more than was asked for', status(200, { ...known, 'content-length': '70000' }, 'x'.repeat(70_000)), undefined],
      ['nothing', status(416, { ...known, 'content-range': 'bytes */0' }), undefined],
      ['what is said elsewhere', xetFile(info), undefined],
    ])('%s', async (_, answer, expected) => {
      const handler = inTurn(answer);
      const { hub } = await clientOf(handler);
      const { beginning } = await hub.resolve(repo, 'main', 'f', { beginning: true });
      expect(beginning && Buffer.from(beginning).toString()).toBe(expected);
      expect(handler.requests.map(({ headers }) => headers.range)).toEqual(['bytes=0-65535']);
    });

    test('asks again where it breaks off', async () => {
      const broken = (_: unknown, response: ServerResponse) => {
        response.writeHead(206, { ...known, 'content-range': 'bytes 0-6/7', 'content-length': 7 }).write('con');
        setTimeout(() => response.destroy(), 20);
      };
      const { hub } = await clientOf(inTurn(broken, partial('content', 7)));
      const { beginning } = await hub.resolve(repo, 'main', 'f', { beginning: true });
      expect(Buffer.from(beginning ?? []).toString()).toBe('content');
    });
  });

  test('takes the headers for what the body lacks', async () => {
    const headers = { 'x-xet-hash': xorbHash(2), 'x-linked-size': '7', 'x-linked-etag': `W/"${sha256}"` };
    const { hub, url } = await clientOf(inTurn(xetFile({}, headers)));
    expect(await hub.resolve(repo, 'main', 'f')).toMatchObject({
      xetHash: xorbHash(2),
      size: 7,
      etag: sha256,
      tokenUrl: `${url}/api/datasets/owner/name/xet-read-token/${commit}`,
    });
  });

  // The Hub token is sent to the token route.
  test.each([
    [
      'https://huggingface.co/api/datasets/owner/name/xet-read-token/abc',
      '/api/datasets/owner/name/xet-read-token/abc',
    ],
    ['https://evil.test/steal', `/api/datasets/owner/name/xet-read-token/${commit}`],
    ['//evil.test/api/models/x', '/api/models/x'],
    ['//evil.test/api/x', `/api/datasets/owner/name/xet-read-token/${commit}`],
  ])('a token route at %s is asked for at the endpoint', async (refreshUrl, path) => {
    const { hub, url } = await clientOf(inTurn(xetFile({ ...info, refreshUrl })));
    expect((await hub.resolve(repo, 'main', 'f')).tokenUrl).toBe(`${url}${path}`);
  });

  test('a token route that is no address is no reason to fall over', async () => {
    const { hub } = await clientOf(inTurn(xetFile({ ...info, refreshUrl: 'https://[' })));
    const result = await hub.resolve(repo, 'main', 'f').catch((error: unknown) => error);
    expect(result).not.toBeInstanceOf(TypeError);
  });

  test.each([
    [{ ...info, hash: 'nonsense' }],
    [{ ...info, hash: undefined }],
    [{ ...info, size: -1 }],
    [{ ...info, size: 'five' }],
    [{ ...info, etag: 7 }],
    [[]],
    [null],
  ])('%j is PROTOCOL where nobody else knows better', async (body) => {
    const { hub } = await clientOf(inTurn(xetFile(body as Record<string, unknown>)));
    expect(await rejectionOf(hub.resolve(repo, 'main', 'f'))).toMatchObject({ code: 'PROTOCOL' });
  });

  test.each(['', 'main', 'C'.repeat(40), `${commit}0`])(
    'the commit %j is PROTOCOL where nobody else knows better',
    async (odd) => {
      const { hub } = await clientOf(inTurn(xetFile(info, { 'x-repo-commit': odd })));
      expect(await rejectionOf(hub.resolve(repo, 'main', 'f'))).toMatchObject({ code: 'PROTOCOL' });
    },
  );

  test('reads a plain file from its headers', async () => {
    const headers = { 'x-repo-commit': commit, etag: `"${'b'.repeat(40)}"`, 'content-range': 'bytes 0-0/123' };
    const { hub } = await clientOf(inTurn(status(206, headers, 'x')));
    expect(await hub.resolve(repo, 'main', 'f')).toMatchObject({
      size: 123,
      etag: 'b'.repeat(40),
      commit,
      xetHash: undefined,
    });
  });

  test('an empty file answers 416, and is a file', async () => {
    const headers = { 'x-repo-commit': commit, etag: `"${'b'.repeat(40)}"`, 'content-range': 'bytes */0' };
    const { hub } = await clientOf(inTurn(status(416, headers)));
    expect(await hub.resolve(repo, 'main', 'f')).toMatchObject({ size: 0 });
  });

  test('takes the linked tag of a large file for its sha256', async () => {
    const headers = { 'x-repo-commit': commit, 'x-linked-etag': `"${sha256}"`, etag: '"of-a-cdn"' };
    const { hub } = await clientOf(inTurn(status(206, { ...headers, 'content-range': 'bytes 0-0/123' }, 'x')));
    expect(await hub.resolve(repo, 'main', 'f')).toMatchObject({ size: 123, etag: sha256 });
  });

  // shardline tags small files with their BLAKE3, which no content could be checked against.
  test('asks for the entry where the tag may be of any hash', async () => {
    const headers = { 'x-repo-commit': commit, etag: `"${'b'.repeat(64)}"`, 'content-range': 'bytes 0-0/9' };
    const handler = inTurn(
      status(206, headers, 'x'),
      json([{ path: 'f', type: 'file', size: 9, oid: 'b'.repeat(40) }]),
    );
    const { hub } = await clientOf(handler);
    expect(await hub.resolve(repo, 'main', 'f')).toMatchObject({ size: 9, etag: 'b'.repeat(40), commit });
    expect(handler.requests.map(({ method }) => method)).toEqual(['GET', 'POST']);
  });

  test('asks for the entry where the headers stayed behind a redirect', async () => {
    const handler = inTurn(
      status(206, { 'content-range': 'bytes 0-0/123' }, 'x'),
      // These two come in either order.
      (request, response) =>
        (request.method === 'POST'
          ? json([{ path: 'f', type: 'file', size: 9, oid: 'b'.repeat(40), lfs: { oid: sha256, size: 123 } }])
          : json({ sha: commit }))(request, response),
    );
    const { hub } = await clientOf(handler);
    expect(await hub.resolve(repo, 'main', 'f')).toMatchObject({ size: 123, etag: sha256, commit });
  });

  describe('believes nothing that a storage says of a file', () => {
    const wrong = { 'x-repo-commit': 'd'.repeat(40), 'x-linked-size': '7', 'x-linked-etag': `"${'e'.repeat(64)}"` };
    const entry = { path: 'f', type: 'file', size: 9, oid: 'b'.repeat(40), lfs: { oid: sha256, size: 123 } };
    const lies: Record<string, ReturnType<typeof status>> = {
      'as headers': status(206, { ...wrong, 'content-range': 'bytes 0-0/7', etag: `"${'f'.repeat(40)}"` }, 'x'),
      'as Xet file information': xetFile({ hash: xorbHash(2), size: 7, etag: `"${'e'.repeat(64)}"` }, wrong),
      'as an empty file': status(416, { ...wrong, 'content-range': 'bytes */0' }),
    };

    test.each(Object.entries(lies))('%s', async (_name, lie) => {
      const storage = inTurn(lie);
      const location = await serve(storage);
      const handler = inTurn(
        status(302, { location: `${location}/f` }),
        ...[1, 2].map(
          () => (request: IncomingMessage, response: ServerResponse) =>
            (request.method === 'POST' ? json([entry]) : json({ sha: commit }))(request, response),
        ),
      );
      const { hub } = await clientOf(handler);
      const file = await hub.resolve(repo, 'main', 'f');
      expect(file).toMatchObject({ size: 123, etag: sha256, commit, xetHash: undefined });
      expect(storage.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    });

    test('but what the endpoint says after a redirect of its own, and what stands in for it', async () => {
      const moved = inTurn(status(307, { location: '/other/name/resolve/main/f' }), xetFile(info));
      const { hub } = await clientOf(moved);
      expect(await hub.resolve(repo, 'main', 'f')).toMatchObject({ xetHash: xorbHash(1), etag: sha256, commit });

      const mirror = await serve(inTurn(xetFile(info)));
      const rewriteUrl = (url: string) => url.replace('https://hub.example', mirror);
      const http = makeHttp({ rewriteUrl });
      const rewritten = new HubClient(http, { endpoint: 'https://hub.example', accessToken: async () => undefined });
      expect(await rewritten.resolve(repo, 'main', 'f')).toMatchObject({ xetHash: xorbHash(1), etag: sha256 });
    });
  });
});

describe('HubClient.list', () => {
  const entry = (path: string) => ({ path, type: 'file', size: 1, oid: 'b'.repeat(40) });
  const all = async (hub: HubClient, options = {}) => {
    const entries: ListEntry[] = [];
    for await (const one of listEntries(hub, repo, 'v/1', options)) entries.push(one);
    return entries.map(({ path }) => path);
  };

  test('goes through all pages, at the endpoint', async () => {
    const handler = inTurn(
      json([entry('a'), entry('b')], {
        link: '<https://huggingface.co/api/datasets/owner/name/tree/v?cursor=2>; rel="next"',
      }),
      json([], { link: '</api/datasets/owner/name/tree/v?cursor=3>; rel="next"' }),
      json([entry('c')]),
    );
    const { hub } = await clientOf(handler);
    expect(await all(hub, { path: 'x/y', recursive: true })).toEqual(['a', 'b', 'c']);
    expect(handler.requests.map((request) => request.url)).toEqual([
      '/api/datasets/owner/name/tree/v%2F1/x%2Fy?recursive=true&expand=false',
      '/api/datasets/owner/name/tree/v?cursor=2',
      '/api/datasets/owner/name/tree/v?cursor=3',
    ]);
    for (const request of handler.requests) expect(request.headers.authorization).toBe('Bearer hf_secret');
  });

  test('pages that go round in a circle are PROTOCOL', async () => {
    const { hub } = await clientOf(inTurn(json([entry('a')], { link: '</api/x?cursor=1>; rel="next"' })));
    expect(await rejectionOf(all(hub))).toMatchObject({ code: 'PROTOCOL' });
  });

  test.each([[{}], [[null]], [[{ ...entry('a'), path: 1 }]]])('%j is PROTOCOL', async (body) => {
    const { hub } = await clientOf(inTurn(json(body)));
    expect(await rejectionOf(all(hub))).toMatchObject({ code: 'PROTOCOL' });
  });

  test('sizes and hashes come from where they are', async () => {
    const entries = [
      { ...entry('small') },
      { ...entry('large'), size: 130, lfs: { oid: sha256, size: 5e9, pointerSize: 130 }, xetHash: xorbHash(3) },
      { ...entry('redacted'), lfs: { oid: sha256, size: 7 }, xetHash: 'redacted' },
      { path: 'folder', type: 'directory', oid: 'd'.repeat(40) },
    ];
    const { hub } = await clientOf(inTurn(json(entries)));
    const got: ListEntry[] = [];
    for await (const one of listEntries(hub, repo, 'main')) got.push(one);
    expect(got).toMatchObject([
      { size: 1, sha256: undefined, xetHash: undefined },
      { size: 5e9, sha256, xetHash: xorbHash(3) },
      { size: 7, sha256, xetHash: undefined },
      { type: 'directory', size: 0 },
    ]);
  });
});

describe('HubClient.commitOf', () => {
  test('a commit is one already', async () => {
    const handler = inTurn(status(500));
    const { hub } = await clientOf(handler);
    expect(await hub.commitOf(repo, commit)).toBe(commit);
    expect(handler.requests).toHaveLength(0);
  });

  test.each([[{}], [{ sha: 'main' }], [{ sha: 7 }], [[]], [null]])('%j is PROTOCOL', async (body) => {
    const { hub } = await clientOf(inTurn(json(body)));
    expect(await rejectionOf(hub.commitOf(repo, 'main'))).toMatchObject({ code: 'PROTOCOL' });
  });
});

test('one token source for all who name its route', async () => {
  const { hub } = await clientOf(inTurn(status(500)));
  expect(hub.tokens('https://hub.test/a')).toBe(hub.tokens('https://hub.test/a'));
  expect(hub.tokens('https://hub.test/a')).not.toBe(hub.tokens('https://hub.test/b'));
});

test('isContentId', () => {
  for (const good of ['a'.repeat(40), '0'.repeat(64)]) expect(isContentId(good)).toBe(true);
  for (const bad of ['', 'a'.repeat(41), 'A'.repeat(40), 'g'.repeat(64)]) expect(isContentId(bad)).toBe(false);
});
