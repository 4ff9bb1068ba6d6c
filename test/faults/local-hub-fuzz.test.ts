import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { expect, test } from 'vitest';
import { hubFor, scratch } from '../support/hub.ts';
import { Draw } from './draw.ts';

const REQUESTS = 3000;
const AT_ONCE = 8;
/** Answers of a server that fails are bugs, except those that say so on purpose. */
const ON_PURPOSE = [501, 503, 507];

const HASH = 'ab'.repeat(32);
const PARTS = ['me', 'model', 'main', 'a.txt', 'w.bin', 'refs', 'pr', '1', 'default', 'grant', HASH, '0'.repeat(40)];
const ODD = [
  '..',
  '.',
  '',
  '%2e%2e',
  '%2f',
  '..%2f..%2fetc%2fpasswd',
  '%00',
  '%',
  '%zz',
  '%c0%ae',
  '\\',
  'a'.repeat(3000),
  '%E2%80%AE',
  '~',
  'con',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '-1',
  '1e9',
  '[',
  '*',
  '{}',
  'models--a--b',
  '.git',
  '%0d%0aX:1',
];
const ROUTES = [
  '/me/model/resolve/main/a.txt',
  '/me/model/resolve/main/w.bin',
  '/me/model/raw/main/w.bin',
  '/api/models',
  '/api/models/me/model',
  '/api/models/me/model/revision/main',
  '/api/models/me/model/tree/main/d',
  '/api/models/me/model/paths-info/main',
  '/api/models/me/model/refs',
  '/api/models/me/model/commits/main',
  '/api/models/me/model/xet-read-token/main',
  '/api/models/me/model/xet-write-token/main',
  '/api/models/me/model/preupload/main',
  '/api/models/me/model/commit/main',
  '/api/models/me/model/branch/b',
  '/api/models/me/model/tag/main',
  '/api/models/me/model/discussions',
  '/api/models/me/model/discussions/1',
  '/api/models/me/model/settings',
  '/api/models/me/model/lfs-files/duplicate',
  '/api/repos/create',
  '/api/repos/delete',
  '/api/repos/move',
  '/api/buckets/me',
  '/api/buckets/me/bucket',
  '/api/buckets/me/bucket/settings',
  '/api/buckets/me/bucket/tree/d',
  '/api/buckets/me/bucket/paths-info',
  '/api/buckets/me/bucket/xet-read-token',
  '/api/buckets/me/bucket/xet-write-token',
  '/api/buckets/me/bucket/batch',
  '/buckets/me/bucket',
  '/buckets/me/bucket/tree/d',
  '/buckets/me/bucket/resolve/a.txt',
  '/api/kernels/me/kernel',
  '/api/kernels/me/kernel/tree/main',
  '/kernels/me/kernel/resolve/main/a.txt',
  '/api/whoami-v2',
  '/api/validate-yaml',
  `/api/resolve-cache/models/me/model/${'0'.repeat(40)}/a.txt`,
  '/me/model.git/info/lfs/objects/batch',
  `/lfs/objects/${HASH}`,
  '/lfs/verify',
  `/xet-bridge/${HASH}`,
  `/xorbs/default/${HASH}`,
  '/xorb-uploads/x',
  `/cas/v1/reconstructions/${HASH}`,
  `/cas/v2/reconstructions/${HASH}`,
  '/cas/v1/reconstructions',
  `/cas/v1/chunks/default/${HASH}`,
  `/cas/v1/xorbs/default/${HASH}`,
  `/cas/v1/files/${HASH}`,
  `/cas/v1/xorb-grants/default/${HASH}`,
  `/cas/v1/xorb-commits/default/${HASH}/grant/x`,
  '/cas/v1/shards',
  '/cas/v2/shards',
  '/cas/v1/telemetry',
  '/v1/telemetry',
  '/',
];
const METHODS = ['GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'];
const VALUES: unknown[] = [
  null,
  true,
  -1,
  0,
  1e300,
  '',
  'x',
  HASH,
  '../../x',
  [],
  {},
  [null],
  { a: 1 },
  'a'.repeat(5000),
  '\ud800',
];
const BODIES: Record<string, unknown>[] = [
  { name: 'me/model', type: 'model', private: false, sdk: 'static' },
  { operation: 'upload', transfers: ['xet'], objects: [{ oid: HASH, size: 3 }] },
  { files: [{ path: 'a.txt', size: 3, sample: 'YWJj' }], gitAttributes: '*.bin filter=lfs', gitIgnore: '*.log' },
  { paths: ['a.txt', 'd'], expand: true },
  { length: 5, checksum: { algo: 'crc64nvme', value: '5' } },
  { startingPoint: 'main', overwrite: true, tag: 'v1', pullRequest: true, title: 't' },
  { oid: HASH, size: 3, private: true, gated: 'auto', visibility: 'public' },
  { fromRepo: 'me/other', toRepo: 'me/moved', type: 'model' },
];
const LINES: { key: string; value: unknown }[] = [
  { key: 'header', value: { summary: 's', description: 'd', parentCommit: '0'.repeat(40) } },
  { key: 'file', value: { path: 'x.txt', content: 'YQ==', encoding: 'base64' } },
  { key: 'lfsFile', value: { path: 'x.bin', algo: 'sha256', oid: HASH, size: 1 } },
  { key: 'deletedFile', value: { path: 'none' } },
  { key: 'deletedFolder', value: { path: 'd' } },
];
const OPERATIONS = [
  { type: 'addFile', path: 'x.bin', xetHash: HASH, mtime: 1_700_000_000_000, contentType: 'text/plain' },
  { type: 'addFile', path: 'empty', xetHash: '0'.repeat(64) },
  { type: 'copyFile', path: 'y.bin', xetHash: HASH, sourceRepoType: 'model', sourceRepoId: 'me/model' },
  { type: 'deleteFile', path: 'x.bin' },
];

/** Some value of it replaced by another one. */
function mutated(draw: Draw, value: unknown): unknown {
  if (draw.percent(25)) return draw.pick(VALUES);
  if (Array.isArray(value)) return value.map((one) => mutated(draw, one));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, draw.percent(30) ? mutated(draw, one) : one]),
  );
}

function pathFrom(draw: Draw): string {
  const parts = draw.pick(ROUTES).split('/').slice(1);
  for (let change = draw.whole(0, 2); change > 0; change--) {
    const at = draw.whole(0, parts.length - 1);
    if (draw.percent(60)) parts[at] = draw.pick(draw.percent(50) ? ODD : PARTS);
    else if (draw.percent(50)) parts.splice(at, 1);
    else parts.splice(at, 0, draw.pick(ODD));
  }
  const query = [
    'recursive=1',
    'expand=1',
    `limit=${draw.pick(['-1', '0', '1', '1e9', 'x'])}`,
    `cursor=${draw.pick(['', 'x', 'e30', 'eyJzdGFydCI6LTF9'])}`,
    'p=99999999',
    'create_pr=1',
    `file_id=${HASH}`,
    'file_id=x',
    'Signature=x&Expires=1',
    'search=%00',
    'blobs=1',
  ];
  return `/${parts.join('/')}${draw.percent(40) ? `?${draw.pick(query)}&${draw.pick(query)}` : ''}`;
}

function bodyFrom(draw: Draw): string {
  if (draw.percent(10))
    return draw.pick([
      '',
      '{',
      '[]',
      'null',
      '[['.repeat(5000),
      '{"a":'.repeat(500),
      '\0\xff',
      '\n'.repeat(10_000),
      'MDShardFile',
      '"',
    ]);
  if (draw.percent(40)) {
    const lines: readonly unknown[] = draw.percent(50) ? LINES : OPERATIONS;
    return Array.from({ length: draw.whole(0, 5) }, () => JSON.stringify(mutated(draw, draw.pick(lines)))).join('\n');
  }
  return JSON.stringify(mutated(draw, draw.pick(BODIES)));
}

interface Sent {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

function draft(draw: Draw, tokens: string[]): Sent {
  const headers: Record<string, string> = {};
  if (draw.percent(80)) headers.authorization = `Bearer ${draw.pick(tokens)}`;
  const add = (name: string, values: string[]) => {
    if (draw.percent(15)) headers[name] = draw.pick(values);
  };
  add('range', [
    'bytes=0-0',
    'bytes=-1',
    'bytes=5-',
    'bytes=9-1',
    'bytes=99999999999999999-',
    `bytes=${'0-1,'.repeat(300)}2-3`,
    'x',
    'bytes=',
  ]);
  add('content-type', ['application/json', 'application/x-ndjson', 'application/x-www-form-urlencoded', 'x', ';']);
  add('content-encoding', ['gzip', 'identity', 'x']);
  add('accept', ['application/vnd.xet-fileinfo+json', '*/*']);
  add('origin', ['null', 'http://evil.example', 'x']);
  add('host', ['evil.example', '[::1', 'localhost', '']);
  add('access-control-request-headers', ['a,b', ',,,']);
  add('x-checksum-crc64nvme', ['5', 'x']);
  add('expect', ['100-continue', 'x']);
  return { method: draw.pick(METHODS), path: pathFrom(draw), headers, body: bodyFrom(draw) };
}

/** The status of an answer, or 0 where the connection was closed before one came. */
function send(url: string, { method, path, headers, body }: Sent): Promise<number> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const hasBody = !['GET', 'HEAD', 'OPTIONS'].includes(method);
    const length = hasBody ? { 'content-length': String(Buffer.byteLength(body)) } : {};
    const call = request({ host: hostname, port, method, path, headers: { ...headers, ...length } }, (answer) => {
      answer.resume().on('close', () => resolve(answer.statusCode ?? 0));
    });
    call.on('error', () => resolve(0));
    call.end(hasBody ? body : undefined);
  });
}

const openDescriptors = () =>
  readdir('/proc/self/fd').then(
    (all) => all.length,
    () => 0,
  );

test.each([1, 2])('no request of a few thousand makes the local Hub fail (seed %i)', async (seed) => {
  const dir = await scratch();
  const hub = await hubFor({ dir });
  await hub.commitFiles('me/model', { 'a.txt': 'text', 'd/b.txt': 'b', 'w.bin': new Uint8Array(300_000).fill(7) });
  await hub.commitFiles('kernels/me/kernel', { 'a.txt': 'text' });
  const authorization = 'Bearer hf_local';
  await fetch(`${hub.url}/api/buckets/me/bucket`, { method: 'POST', headers: { authorization }, body: '{}' });
  const tokens = ['hf_local', 'other', 'xet_x.y'];
  for (const scope of ['read', 'write']) {
    const answer = await fetch(`${hub.url}/api/models/me/model/xet-${scope}-token/main`, {
      headers: { authorization },
    });
    tokens.push(((await answer.json()) as { accessToken: string }).accessToken);
  }
  const draw = new Draw(seed);
  const descriptors = await openDescriptors();
  const memory = process.memoryUsage().rss;
  const failed: string[] = [];
  const statuses = new Set<number>();
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    const drafts = Array.from({ length: AT_ONCE }, () => draft(draw, tokens));
    const answers = await Promise.all(drafts.map((one) => send(hub.url, one)));
    for (const [index, status] of answers.entries()) {
      statuses.add(status);
      if (status >= 500 && !ON_PURPOSE.includes(status)) failed.push(`${status} ${JSON.stringify(drafts[index])}`);
    }
  }
  expect(failed).toEqual([]);
  // The requests did reach the routes, and were of all kinds.
  expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404]));
  expect((await fetch(`${hub.url}/api/models`)).status).toBe(200);
  expect(await openDescriptors()).toBeLessThan(descriptors + 100);
  expect(process.memoryUsage().rss - memory).toBeLessThan(400 * 1024 * 1024);
  // Nothing that a request named was made beside what a Hub keeps.
  const allowed = /^(\.xetkit-(locks|staging)|blobs|files|objects|repos|shards|uploads|xorbs|xetkit-hub\.json)$/;
  expect((await readdir(dir)).filter((name) => !allowed.test(name))).toEqual([]);
});

const SPELLINGS = [
  '../../../../etc/passwd',
  '..%2f..%2f..%2fetc%2fpasswd',
  '%2e%2e/%2e%2e/etc/passwd',
  '..\\..\\etc\\passwd',
  '%2e%2e%5c%2e%2e%5cetc%5cpasswd',
  '/etc/passwd',
  '%2fetc%2fpasswd',
  '....//....//etc/passwd',
  '..%252f..%252fetc%252fpasswd',
  'a/../../../../xetkit-hub.json',
  '..%00/etc/passwd',
  '%c0%ae%c0%ae/etc/passwd',
];
const PLACES = [
  '/me/model/resolve/main/X',
  '/me/model/resolve/X/a.txt',
  '/X/resolve/main/a.txt',
  '/me/model/raw/main/X',
  '/me/model/raw/X/a.txt',
  '/api/models/X',
  '/api/models/me/model/tree/main/X',
  '/api/models/me/model/tree/X',
  '/api/models/me/model/revision/X',
  '/api/models/me/model/commits/X',
  '/api/resolve-cache/models/me/model/X/a.txt',
  `/api/resolve-cache/models/me/model/${'0'.repeat(40)}/X`,
  '/xet-bridge/X',
  '/xorbs/default/X',
  '/lfs/objects/X',
  '/cas/v1/reconstructions/X',
  '/cas/v1/chunks/default/X',
  '/cas/v1/files/X',
  '/api/models/me/model/discussions/X',
  '/api/buckets/X',
  '/api/buckets/me/X',
  '/api/buckets/me/bucket/tree/X',
  '/buckets/X',
  '/buckets/me/bucket/resolve/X',
  '/api/kernels/X',
  '/kernels/me/kernel/resolve/X/a.txt',
  '/X',
];

test('no spelling of a path in no route leads out of the folder', async () => {
  const hub = await hubFor();
  await hub.commitFiles('me/model', { 'a.txt': 'text' });
  const { hostname, port } = new URL(hub.url);
  let tried = 0;
  for (const place of PLACES) {
    for (const spelling of SPELLINGS) {
      const path = place.replace('X', () => spelling);
      const [status, text] = await new Promise<[number, string]>((resolve, reject) => {
        const call = request(
          { host: hostname, port, path, headers: { authorization: 'Bearer hf_local' } },
          (answer) => {
            let read = '';
            answer.on('data', (piece) => (read += piece)).on('end', () => resolve([answer.statusCode ?? 0, read]));
          },
        );
        call.on('error', reject).end();
      });
      expect(status, path).toBeGreaterThanOrEqual(300);
      expect(status, path).toBeLessThan(500);
      expect(text, path).not.toMatch(/root:|xetkit local Hub/);
      tried++;
    }
  }
  expect(tried).toBe(PLACES.length * SPELLINGS.length);
});
