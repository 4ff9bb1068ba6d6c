import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { XetClient, XetError, type XetErrorCode } from 'xetkit';
import { clientOf, contentUnder, hubFor, scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

const repo = 'owner/model';

async function failure(work: Promise<unknown>): Promise<XetError> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(XetError);
  return error as XetError;
}

describe('names that lead nowhere', () => {
  test.each<[what: string, target: object, code: XetErrorCode, says: RegExp]>([
    ['a repository', { repo: 'owner/unknown', path: 'a' }, 'REPOSITORY_NOT_FOUND', /token|repository/i],
    ['a revision', { repo, path: 'a.bin', revision: 'unknown' }, 'REVISION_NOT_FOUND', /branch|commit/i],
    ['a file', { repo, path: 'unknown.bin' }, 'ENTRY_NOT_FOUND', /list the repository/i],
    ['a gated repository', { repo: 'owner/gated', path: 'a.bin' }, 'GATED', /conditions/i],
    ['a private repository', { repo: 'owner/private', path: 'a.bin' }, 'REPOSITORY_NOT_FOUND', /token/i],
    ['no repository name', { repo: 'a/b/c/d', path: 'a' }, 'INVALID_ARGUMENT', /owner\/name/],
    ['a path upwards', { repo, path: '../../etc/passwd' }, 'INVALID_ARGUMENT', /path/],
    ['an absolute path, which is one in the repository', { repo, path: '/etc/passwd' }, 'ENTRY_NOT_FOUND', /list/i],
    ['a path with a backslash', { repo, path: 'a\\..\\b' }, 'INVALID_ARGUMENT', /path/],
    ['an empty path', { repo, path: '' }, 'INVALID_ARGUMENT', /path/],
  ])('%s', async (_what, target, code, says) => {
    const hub = await hubFor({ tokens: { hf_good: { name: 'me', write: true } } });
    for (const name of [repo, 'owner/gated', 'owner/private'])
      await hub.commitFiles(name, { 'a.bin': randomBytes(100_000, 1) }, { xet: 'always' });
    await hub.setRepo('owner/gated', { gated: 'auto' });
    await hub.setRepo('owner/private', { private: true });
    const localDir = await scratch();
    const client = clientOf(hub);
    const error = await failure(client.downloadFile({ localDir, ...(target as { repo: string; path: string }) }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(says);
    expect(await contentUnder(localDir)).toEqual([]);
  });
});

test('a wrong token is said to be wrong, and not shown', async () => {
  const hub = await hubFor({ tokens: { hf_good: { name: 'me', write: true } } });
  await hub.commitFiles(repo, { 'a.bin': randomBytes(100_000, 1) }, { xet: 'always' });
  const error = await failure(clientOf(hub, { accessToken: 'hf_secretsecret' }).fileInfo({ repo, path: 'a.bin' }));
  expect(error.code).toBe('UNAUTHORIZED');
  expect(error.message).toMatch(/HF_TOKEN/);
  expect(JSON.stringify({ ...error, message: error.message, stack: error.stack })).not.toContain('secretsecret');
});

test('a file that is in place of a folder, and a folder that cannot be written', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, { 'a.bin': randomBytes(100_000, 1) }, { xet: 'always' });
  const client = clientOf(hub);
  const error = await failure(client.downloadFile({ repo, path: 'a.bin', localDir: '/dev/null/folder' }));
  expect(error.code).toBe('CACHE');
  expect(error.message).toContain('(/dev/null)');
});

// A server that says what it likes: a reconstruction is checked before anything of it is believed.
const hash = 'ab'.repeat(32);
const xorb = 'cd'.repeat(32);
const good = {
  offset_into_first_range: 0,
  terms: [{ hash: xorb, unpacked_length: 1000, range: { start: 0, end: 1 } }],
  xorbs: {
    [xorb]: [{ url: 'http://127.0.0.1:1/x', ranges: [{ chunks: { start: 0, end: 1 }, bytes: { start: 0, end: 99 } }] }],
  },
};
const range = { chunks: { start: 0, end: 1 }, bytes: { start: 0, end: 99 } };
const lies: [what: string, body: unknown][] = [
  ['no JSON', '<html>'],
  ['nothing', {}],
  ['a list', []],
  ['terms that are too long', { ...good, terms: [{ ...good.terms[0], unpacked_length: 200_000 }] }],
  ['terms that are too short for the file', { ...good, terms: [{ ...good.terms[0], unpacked_length: 999 }] }],
  ['more terms than the file has bytes', { ...good, terms: [...good.terms, ...good.terms] }],
  ['a negative length', { ...good, terms: [{ ...good.terms[0], unpacked_length: -1 }] }],
  ['a term outside of all ranges', { ...good, terms: [{ ...good.terms[0], range: { start: 1, end: 2 } }] }],
  ['a reversed chunk range', { ...good, terms: [{ ...good.terms[0], range: { start: 1, end: 1 } }] }],
  ['a hash that is none', { ...good, terms: [{ ...good.terms[0], hash: '../../x' }] }],
  ['an address that is none', { ...good, xorbs: { [xorb]: [{ url: 'file:///etc/passwd', ranges: [range] }] } }],
  ['no xorbs', { ...good, xorbs: {} }],
  ['an offset past the first term', { ...good, offset_into_first_range: 1001 }],
  [
    'a byte range of 5 GB',
    {
      ...good,
      xorbs: { [xorb]: [{ url: 'http://127.0.0.1:1/x', ranges: [{ ...range, bytes: { start: 0, end: 5e9 } }] }] },
    },
  ],
  [
    'ranges that overlap in bytes but not in chunks',
    {
      ...good,
      xorbs: {
        [xorb]: [
          {
            url: 'http://127.0.0.1:1/x',
            ranges: [range, { chunks: { start: 1, end: 2 }, bytes: { start: 50, end: 120 } }],
          },
        ],
      },
    },
  ],
];

describe('a CAS that answers with', () => {
  test.each(lies)('%s', async (_what, body) => {
    const server = createServer((request, response: ServerResponse) => {
      const path = request.url ?? '';
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const json = (value: unknown) => response.end(typeof value === 'string' ? value : JSON.stringify(value));
      if (path.includes('/resolve/')) {
        response.writeHead(200, {
          'content-type': 'application/vnd.xet-fileinfo+json',
          'x-repo-commit': 'c'.repeat(40),
        });
        json({ hash, refreshUrl: `${base}/api/token`, etag: 'e'.repeat(64), size: 1000 });
      } else if (path === '/api/token')
        json({ accessToken: 't', casUrl: `${base}/cas`, exp: Date.now() / 1000 + 3600 });
      else json(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close().closeAllConnections());
    const client = new XetClient({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      accessToken: '',
      retry: { attempts: 2, baseDelayMs: 1 },
      fallback: 'never',
    });
    onTestFinished(() => client.close());
    const localDir = await scratch();
    const error = await failure(client.downloadFile({ repo, path: 'a.bin', localDir }));
    expect(error.code).toBe('PROTOCOL');
    expect(await contentUnder(localDir)).toEqual([]);
  });
});
