import { describe, expect, test } from 'vitest';
import * as compat from '../../src/entries/compat.ts';
import { onEndpoint } from '../../src/hub/links.ts';
import { pagesOf } from '../../src/hub/pages.ts';
import type { ListEntry } from '../../src/hub/types.ts';
import { sha256 } from '../support/hub.ts';
import { type Mirror, type Passed, startMirror, type Told, told } from '../support/mirror.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';
import { scratchFolder } from '../support/scratch.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const FILES = {
  'a.txt': new TextEncoder().encode('some text'),
  'dir/big.bin': randomBytes(300_000, 1),
  'dir/small.txt': new TextEncoder().encode('other'),
};
const NAMES = Object.keys(FILES);

type Entry = Record<string, unknown>;

async function station(
  hooks: Parameters<typeof startMirror>[1] = {},
): Promise<{ mirror: Mirror; client: ReturnType<typeof sourceClient>; warnings: string[]; hubUrl: string }> {
  const hub = await sourceHub();
  await hub.commitFiles(repo, FILES);
  const mirror = await startMirror(hub.url, hooks);
  const warnings: string[] = [];
  const client = sourceClient(
    { ...hub, url: mirror.url },
    { cacheDir: await scratchFolder(), onWarning: (message) => warnings.push(message) },
  );
  return { mirror, client, warnings, hubUrl: mirror.url };
}

/** Changes the entries in every answer about some, those of paths included. */
const withEntries = (change: (entries: Entry[]) => unknown) => ({
  change: ({ path }: Passed, answer: Told): Told | undefined =>
    /\/(tree|paths-info)\//.test(path) && answer.status === 200
      ? { ...answer, body: JSON.stringify(change(JSON.parse(answer.body))) }
      : undefined,
});

async function listed(client: ReturnType<typeof sourceClient>): Promise<ListEntry[]> {
  const found: ListEntry[] = [];
  for await (const entry of client.listFiles({ repo, recursive: true })) found.push(entry);
  return found;
}
const filesOf = (entries: { type: string; path: string }[]) =>
  entries.filter(({ type }) => type === 'file').map(({ path }) => path);

const SUBMODULES = ['third_party/sub', 'third_party/\u001b]0;evil\u0007\n\u202e'].map((path) => ({
  type: 'unknown',
  oid: 'f'.repeat(40),
  path,
}));

describe('what is neither a file nor a folder', () => {
  test('is left out of listings and snapshots with one warning, and fails neither', async () => {
    const { client, warnings } = await station(withEntries((entries) => [...SUBMODULES, ...entries, null, 7, {}]));
    expect(filesOf(await listed(client))).toEqual(NAMES);
    expect(warnings).toEqual([expect.stringContaining("'third_party/sub' of owner/model is left out")]);
    const { files } = await client.snapshot({ repo });
    expect(files.map(({ path: file }) => file).sort()).toEqual(NAMES);
    expect(warnings).toHaveLength(2);
  });

  test('is shown without what would steer a terminal', async () => {
    const { client, warnings } = await station(withEntries((entries) => [...SUBMODULES.slice(1), ...entries]));
    await listed(client);
    expect(warnings[0]).not.toMatch(/[\p{C}\u2028]/u);
  });

  test('fails no repository that holds nothing else', async () => {
    const { client } = await station(withEntries(() => SUBMODULES));
    expect(await listed(client)).toEqual([]);
  });

  test('is handed on by the calls of @huggingface/hub, whose types have it', async () => {
    const { hubUrl } = await station(withEntries((entries) => [...SUBMODULES.slice(0, 1), ...entries, null, 7]));
    const found: { type: string; path: string; size: number }[] = [];
    for await (const entry of compat.listFiles({ repo, hubUrl, recursive: true })) found.push(entry);
    expect(filesOf(found)).toEqual(NAMES);
    expect(found.find(({ type }) => type === 'unknown')).toMatchObject({ path: 'third_party/sub', size: 0 });
    const infos = await compat.pathsInfo({ repo, hubUrl, paths: ['a.txt', 'third_party/sub'] });
    expect(infos.map(({ type }) => type)).toEqual(['unknown', 'file']);
  });

  test('is no file that could be downloaded', async () => {
    const sub = SUBMODULES.slice(0, 1);
    const { client } = await station({
      instead: ({ path }) =>
        path.includes('/resolve/') ? told(404, {}, { 'x-error-code': 'EntryNotFound' }) : undefined,
      ...withEntries(() => sub),
    });
    const error = await rejectionOf(client.downloadFile({ repo, path: 'third_party/sub' }));
    expect(error).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
  });

  test('makes no list of something else', async () => {
    for (const body of [{ error: 'no' }, [1, 2], 'text', null]) {
      const { client } = await station(withEntries(() => body));
      expect(await rejectionOf(listed(client))).toMatchObject({ code: 'PROTOCOL' });
    }
  });
});

describe('sizes in listings', () => {
  test.each<[string, (entry: Entry) => Entry]>([
    ['are text', (entry) => ({ ...entry, size: String(entry.size) })],
    ['are left out', ({ size: _, ...entry }) => entry],
    ['are null', (entry) => ({ ...entry, size: null })],
    ['make no sense', (entry) => ({ ...entry, size: -1 })],
    [
      'are null for large files, too',
      (entry) => ({ ...entry, size: null, ...(entry.lfs ? { lfs: { ...(entry.lfs as object), size: null } } : {}) }),
    ],
  ])('that %s are found out, and files come whole', async (_, change) => {
    const { client } = await station(withEntries((entries) => entries.map(change)));
    const entries = (await listed(client)).filter(({ type }) => type === 'file');
    for (const [path, bytes] of Object.entries(FILES)) {
      expect(entries.find((entry) => entry.path === path)?.size).toBe(bytes.length);
    }
    const { files } = await client.snapshot({ repo, files: ['dir/', 'a.txt'] });
    expect(files.map(({ path: file, size }) => [file, size]).sort()).toEqual(
      Object.entries(FILES).map(([path, { length }]) => [path, length]),
    );
  });
});

describe('a listing ends', () => {
  /** A tree whose pages say where the next one is. */
  const endless = (next: (page: number) => string, items: (page: number) => Entry[]) => {
    let page = 0;
    return {
      instead: ({ path }: Passed) => {
        if (!path.includes('/tree/') && !path.includes('/commits/')) return undefined;
        page++;
        return told(200, items(page), { link: `<${next(page)}>; rel="next"` });
      },
    };
  };
  const item = (page: number) => [{ type: 'file', path: `f${page}`, size: 1, oid: 'a'.repeat(40) }];
  const tree = `/api/models/${repo}/tree/main?cursor=`;

  test.each([1, 2, 3, 7, 40])('that leads back to itself after %i pages', async (length) => {
    const { client, mirror, hubUrl } = await station(endless((page) => `${tree}${page % length}`, item));
    expect(await rejectionOf(listed(client))).toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringContaining('circle'),
    });
    expect(mirror.passed.length).toBeLessThan(4 * length + 4);
    const all = async () => {
      for await (const _ of compat.listFiles({ repo, hubUrl }));
    };
    await expect(all()).rejects.toThrow('circle');
  });

  test('that has nothing to say', async () => {
    const { client, mirror } = await station(
      endless(
        (page) => `${tree}${page}`,
        () => [],
      ),
    );
    expect(await rejectionOf(listed(client))).toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringContaining('empty'),
    });
    expect(mirror.passed.length).toBeLessThan(30);
  });

  test('that goes on and on', async () => {
    let asked = 0;
    const all = async () => {
      const ask = async () => ({ items: [++asked], next: `https://hub.example/${asked}` });
      for await (const _ of pagesOf('https://hub.example/', ask, (what) => new Error(what)));
    };
    expect(await rejectionOf(all())).toMatchObject({ message: 'lists more than 10000 pages' });
    expect(asked).toBe(10_000);
  });

  test('after pages of which some are empty, with everything', async () => {
    let page = 0;
    const { client } = await station({
      instead: ({ path }) => {
        if (!path.includes('/tree/')) return undefined;
        const next = ++page < 40 ? { link: `<${tree}${page}>; rel="next"` } : {};
        return told(200, page % 15 === 1 ? item(page) : [], next);
      },
    });
    expect((await listed(client)).map(({ path }) => path)).toEqual(['f1', 'f16', 'f31']);
  });

  test('of commits, too', async () => {
    const commit = (page: number) => [{ id: String(page).padStart(40, '0'), title: 't', date: '2026-01-01' }];
    const { hubUrl } = await station(endless(() => `/api/models/${repo}/commits/main?cursor=1`, commit));
    const all = async () => {
      for await (const _ of compat.listCommits({ repo, hubUrl }));
    };
    await expect(all()).rejects.toThrow('circle');
  });
});

describe('an address that a Hub gives', () => {
  const artifactory = 'https://company.example/artifactory/api/huggingfaceml/hf-remote';
  const call = '/api/models/owner/name/tree/main?cursor=abc%3D%3D';

  test.each<[endpoint: string, given: string, expected: string | undefined]>([
    ['https://hub.example', `https://hub.example${call}`, `https://hub.example${call}`],
    ['https://hub.example', call, `https://hub.example${call}`],
    ['https://hub.example/hf', call, `https://hub.example/hf${call}`],
    ['https://hub.example/hf', `https://hub.example${call}`, `https://hub.example/hf${call}`],
    ['https://hub.example/hf', `https://hub.example/hf${call}`, `https://hub.example/hf${call}`],
    ['https://hub.example/hf', `https://hub.example/hfx${call}`, `https://hub.example/hf${call}`],
    ['https://hub.example', `https://huggingface.co${call}`, `https://hub.example${call}`],
    ['https://hub.example', `https://user:password@hub.example${call}`, `https://hub.example${call}`],
    ['https://hub.example', `//evil.example${call}`, `https://hub.example${call}`],
    ['https://hub.example', 'https://evil.example/steal', undefined],
    ['https://hub.example', 'https://evil.example/api/other', undefined],
    ['https://hub.example', 'http://hub.example:80/steal', undefined],
    ['https://hub.example', '', undefined],
    ['https://hub.example', 'https://[', undefined],
    [artifactory, call, `${artifactory}${call}`],
    [artifactory, `https://company.example${call}`, `${artifactory}${call}`],
    [artifactory, `https://huggingface.co${call}`, `${artifactory}${call}`],
    [artifactory, `https://company.example/artifactory/api/huggingfaceml/other${call}`, `${artifactory}${call}`],
    [artifactory, `${artifactory}${call}`, `${artifactory}${call}`],
  ])('at %s: %s', (endpoint, given, expected) => expect(onEndpoint(endpoint, given)).toBe(expected));

  test('may be no more than a query', () => {
    const asked = 'https://hub.example/hf/api/models/owner/name/tree/main?recursive=true';
    expect(onEndpoint('https://hub.example/hf', '?cursor=1', asked)).toBe(
      'https://hub.example/hf/api/models/owner/name/tree/main?cursor=1',
    );
  });

  test.each(['absolute', 'from the root'])('is followed below the path of the endpoint (%s)', async (form) => {
    let page = 0;
    const { client, mirror } = await station({
      below: '/hub',
      change: ({ path, headers }, answer) => {
        if (!path.includes('/tree/') || page++ > 0) return undefined;
        const next = `${form === 'absolute' ? `http://${headers.host}` : ''}/api/models/${repo}/tree/main?recursive=true&x=2`;
        return { ...answer, headers: { ...answer.headers, link: `<${next}>; rel="next"` } };
      },
    });
    expect(filesOf(await listed(client))).toEqual([...NAMES, ...NAMES]);
    expect(mirror.passed.every(({ path }) => path.startsWith('/hub/'))).toBe(true);
  });
});

describe('Xet file information of which a proxy left something out', () => {
  const XET_TYPE = 'application/vnd.xet-fileinfo+json';
  const isInfo = (answer: Told) => String(answer.headers['content-type']).startsWith(XET_TYPE);
  const without = (headers: Told['headers'], ...names: string[]) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)));
  const LINKED = ['x-linked-size', 'x-linked-etag', 'x-xet-hash', 'etag', 'link'];

  test.each<[string, (answer: Told) => Told]>([
    ['the commit', (answer) => ({ ...answer, headers: without(answer.headers, 'x-repo-commit') })],
    ['all headers', ({ status, body }) => ({ status, body, headers: { 'content-type': XET_TYPE } })],
    ['all of the body', (answer) => ({ ...answer, body: '{}' })],
    ['everything', ({ status }) => ({ status, body: '{}', headers: { 'content-type': XET_TYPE } })],
    [
      'the number of the size, which is text',
      (answer) => {
        const body = JSON.parse(answer.body) as { size: number };
        return {
          ...answer,
          body: JSON.stringify({ ...body, size: String(body.size) }),
          headers: without(answer.headers, ...LINKED),
        };
      },
    ],
    [
      'the size and the hash',
      (answer) => {
        const { refreshUrl } = JSON.parse(answer.body) as { refreshUrl: string };
        return {
          ...answer,
          body: JSON.stringify({ refreshUrl, size: null }),
          headers: without(answer.headers, ...LINKED),
        };
      },
    ],
  ])('comes from elsewhere: %s', async (_, change) => {
    const { client } = await station({ change: (_asked, answer) => (isInfo(answer) ? change(answer) : undefined) });
    const expected = FILES['dir/big.bin'];
    const info = await client.fileInfo({ repo, path: 'dir/big.bin' });
    expect(info).toMatchObject({ size: expected.length, etag: sha256(expected), xetHash: expect.any(String) });
    expect(info.commit).toMatch(/^[0-9a-f]{40}$/);
    const file = await client.open({ repo, path: 'dir/big.bin' });
    expect(sha256(await file.arrayBuffer())).toBe(sha256(expected));
  });
});
