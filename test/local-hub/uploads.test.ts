import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { CompressionChoice } from '../../src/codec/codec.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import type { ShardFile } from '../../src/codec/shard.ts';
import { HASH_BYTES, hashToHex } from '../../src/core/hash.ts';
import type { LocalHub, LocalHubOptions } from '../../src/local-hub/start.ts';
import {
  asBody,
  assemble,
  bytesOf,
  call,
  casToken,
  commit,
  noise,
  post,
  reconstruction,
  same,
  testHub,
} from './helpers.ts';

const data = noise(12, 1_200_000);
const codec = await loadCodec();

/** A file in one xorb, as a client would have prepared it. */
function prepare(content: Uint8Array = data, compression: CompressionChoice = 'auto') {
  const chunker = codec.chunker();
  const chunks = chunker.push(content, true);
  chunker.free();
  const xorb = codec.serializeXorb(content, chunks, undefined, compression);
  const count = chunks.length / 36;
  const hashes = Buffer.concat(
    Array.from({ length: count }, (_, at) => chunks.subarray(at * 36, at * 36 + HASH_BYTES)),
  );
  const hash = hashToHex(xorb.hash);
  const file: ShardFile = {
    hash: hashToHex(codec.fileHash(chunks)),
    terms: [{ xorb: hash, unpackedLength: content.length, chunks: { start: 0, end: count } }],
    verification: [hashToHex(codec.verificationHash(hashes))],
    sha256: createHash('sha256').update(content).digest('hex'),
  };
  return { hash, body: xorb.body, chunks, count, file };
}

function shardOf({ hash, chunks }: ReturnType<typeof prepare>, file: ShardFile, withFooter = false): Uint8Array {
  const writer = codec.shardWriter();
  writer.addXorb({ hash, chunks });
  writer.addFile(file);
  const bytes = withFooter ? writer.toStore() : writer.toUpload();
  writer.free();
  return bytes;
}

async function hubWithToken(options: LocalHubOptions = {}) {
  const hub = await testHub(options);
  await hub.createRepo('me/model');
  return { hub, headers: await casToken(hub, 'me/model', 'write') };
}

type Headers = Record<string, string>;

function sendXorb(hub: LocalHub, headers: Headers, hash: string, body: Uint8Array): Promise<Response> {
  return call(hub, `/cas/v1/xorbs/default/${hash}`, { method: 'POST', headers, body: asBody(body) });
}

function sendShard(hub: LocalHub, headers: Headers, shard: Uint8Array, version = 1): Promise<Response> {
  return call(hub, `/cas/v${version}/shards`, { method: 'POST', headers, body: asBody(shard) });
}

test('xorb, shard and commit make a file', async () => {
  const { hub, headers } = await hubWithToken({ checkSha256: true });
  const made = prepare();
  expect(await (await sendXorb(hub, headers, made.hash, made.body)).json()).toEqual({ was_inserted: true });
  expect(await (await sendXorb(hub, headers, made.hash, made.body)).json()).toEqual({ was_inserted: false });
  expect(await (await sendShard(hub, headers, shardOf(made, made.file))).json()).toEqual({ result: 1 });
  expect(await (await sendShard(hub, headers, shardOf(made, made.file, true))).json()).toEqual({ result: 0 });
  const value = { path: 'w.bin', algo: 'sha256', oid: made.file.sha256, size: data.length };
  expect((await commit(hub, 'me/model', [{ key: 'lfsFile', value }])).status).toBe(200);
  expect(same(await assemble(await reconstruction(hub, 'me/model', 'w.bin')), data)).toBe(true);
  const probe = await call(hub, `/cas/v1/files/${made.file.hash}`, { method: 'HEAD', headers });
  expect(probe.headers.get('content-length')).toBe(String(data.length));
  expect((await call(hub, `/cas/v1/xorbs/default/${made.hash}`, { method: 'HEAD', headers })).status).toBe(200);
});

test('one xorb from several senders at once is stored once, body and index alike', async () => {
  const { hub, headers } = await hubWithToken();
  const bodies = (['none', 'lz4', 'bg4-lz4', 'none'] as const).map((compression) => prepare(data, compression));
  const answers = await Promise.all(bodies.map(({ hash, body }) => sendXorb(hub, headers, hash, body)));
  const inserted = (await Promise.all(answers.map((answer) => answer.json()))) as { was_inserted: boolean }[];
  expect(inserted.filter(({ was_inserted }) => was_inserted)).toHaveLength(1);
  await sendShard(hub, headers, shardOf(bodies[0]!, bodies[0]!.file));
  const value = { path: 'w.bin', algo: 'sha256', oid: bodies[0]!.file.sha256, size: data.length };
  await commit(hub, 'me/model', [{ key: 'lfsFile', value }]);
  expect(same(await assemble(await reconstruction(hub, 'me/model', 'w.bin')), data)).toBe(true);
});

test('a footer is dropped', async () => {
  const { hub, headers } = await hubWithToken();
  const made = prepare();
  const footer = Buffer.concat([Buffer.from('XETBLOB'), Buffer.alloc(200, 1)]);
  expect((await sendXorb(hub, headers, made.hash, Buffer.concat([made.body, footer]))).status).toBe(200);
  const probe = await call(hub, `/cas/v1/xorbs/default/${made.hash}`, { method: 'HEAD', headers });
  expect(probe.headers.get('content-length')).toBe(String(made.body.length));
});

test.each<[string, (body: Uint8Array) => Uint8Array]>([
  ['a flipped byte', (body) => body.with(body.length >> 1, (body[body.length >> 1] ?? 0) ^ 1)],
  ['a body cut short', (body) => body.subarray(0, body.length - 3)],
  [
    'a frame too few',
    (body) => body.subarray(0, 8 + ((body[1] ?? 0) | ((body[2] ?? 0) << 8) | ((body[3] ?? 0) << 16))),
  ],
  ['an unknown version', (body) => body.with(0, 7)],
  ['an unknown scheme', (body) => body.with(4, 9)],
  ['nothing', () => new Uint8Array()],
  ['bytes behind the frames', (body) => Buffer.concat([body, Buffer.alloc(20, 1)])],
])('a xorb with %s is refused', async (_, spoil) => {
  const { hub, headers } = await hubWithToken();
  const made = prepare();
  expect((await sendXorb(hub, headers, made.hash, spoil(made.body))).status).toBe(400);
  expect((await call(hub, `/cas/v1/xorbs/default/${made.hash}`, { method: 'HEAD', headers })).status).toBe(404);
});

test('a xorb under another name is refused', async () => {
  const { hub, headers } = await hubWithToken();
  expect((await sendXorb(hub, headers, '1'.repeat(64), prepare().body)).status).toBe(400);
  expect((await sendXorb(hub, headers, '..%2F..%2Fx', prepare().body)).status).toBe(400);
});

type Spoil = (file: ShardFile, count: number) => ShardFile;
const term =
  (change: object): Spoil =>
  (file) => ({ ...file, terms: [{ ...file.terms[0]!, ...change }] });

test.each<[string, Spoil]>([
  ['a wrong file hash', (file) => ({ ...file, hash: '1'.repeat(64) })],
  ['a wrong verification', (file) => ({ ...file, verification: ['2'.repeat(64)] })],
  ['no verification', (file) => ({ ...file, verification: [] })],
  ['a wrong length', term({ unpackedLength: data.length - 1 })],
  ['a term out of range', (file, count) => term({ chunks: { start: 0, end: count + 1 } })(file, count)],
  ['an empty term', term({ chunks: { start: 1, end: 1 } })],
  ['an unknown xorb', term({ xorb: '3'.repeat(64) })],
  ['a wrong sha256', (file) => ({ ...file, sha256: '4'.repeat(64) })],
])('a shard with %s is refused, in both versions', async (_, spoil) => {
  const { hub, headers } = await hubWithToken({ checkSha256: true });
  const made = prepare();
  await sendXorb(hub, headers, made.hash, made.body);
  const shard = shardOf(made, spoil(made.file, made.count));
  expect((await sendShard(hub, headers, shard)).status).toBe(400);
  const streamed = await sendShard(hub, headers, shard, 2);
  const last = (await streamed.text()).trim().split('\n').at(-1) ?? '{}';
  if (streamed.status === 200) expect(JSON.parse(last)).toMatchObject({ type: 'error', retryable: false });
  else expect(streamed.status).toBe(400);
});

test('a shard must not list what is not stored, or garbage', async () => {
  const { hub, headers } = await hubWithToken();
  const made = prepare();
  expect((await sendShard(hub, headers, shardOf(made, made.file))).status).toBe(400);
  expect((await sendShard(hub, headers, noise(1, 500))).status).toBe(400);
  expect((await sendShard(hub, headers, new Uint8Array())).status).toBe(400);
});

test('a streamed registration ends with its result', async () => {
  const { hub, headers } = await hubWithToken();
  const made = prepare();
  await sendXorb(hub, headers, made.hash, made.body);
  const response = await sendShard(hub, headers, shardOf(made, made.file), 2);
  const lines = (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(lines[0]).toEqual({ type: 'validating', verified: 0, total: 1 });
  expect(lines.at(-1)).toEqual({ type: 'result' });
});

test('a version that is not offered is not found', async () => {
  const { hub, headers } = await hubWithToken({ shardVersions: [1], grants: false });
  expect((await sendShard(hub, headers, new Uint8Array(), 2)).status).toBe(404);
  expect((await post(hub, `/cas/v1/xorb-grants/default/${'1'.repeat(64)}`, {}, headers)).status).toBe(404);
});

test('a xorb can go through a grant', async () => {
  const { hub, headers } = await hubWithToken();
  const made = prepare();
  const request = {
    length: made.body.length,
    checksum: { algo: 'crc64nvme', value: codec.crc64(made.body).toString() },
  };
  const ask = () => post(hub, `/cas/v1/xorb-grants/default/${made.hash}`, request, headers);
  const granted = await ask();
  expect(granted.status).toBe(201);
  const grant = (await granted.json()) as { id: string; method: string; url: string; headers: Headers };
  const done = `/cas/v1/xorb-commits/default/${made.hash}/grant/${grant.id}`;
  const put = async (body: Uint8Array, given: Headers = grant.headers, url = grant.url) =>
    (await fetch(url, { method: grant.method, headers: given, body: asBody(body) })).status;
  expect((await post(hub, done, {}, headers)).status).toBe(404);
  expect(await put(made.body, {})).toBe(403);
  expect(await put(made.body, grant.headers, grant.url.replace(/.$/, '_'))).toBe(403);
  expect(await put(made.body, { ...grant.headers, ...headers })).toBe(400);
  expect(await put(made.body.subarray(1))).toBe(400);
  expect(await put(made.body.with(9, (made.body[9] ?? 0) ^ 1))).toBe(400);
  expect(await put(made.body)).toBe(200);
  expect(await put(made.body)).toBe(412);
  expect((await post(hub, done, {}, headers)).status).toBe(200);
  expect((await post(hub, done, {}, headers)).status).toBe(404);
  expect((await ask()).status).toBe(200);
});

test('a chunk leads to the xorbs of its shard, with hashes that only its owner can read', async () => {
  const { hub, headers } = await hubWithToken();
  const made = prepare();
  await sendXorb(hub, headers, made.hash, made.body);
  const first = hashToHex(made.chunks);
  const ask = (hash: string, prefix = 'default') => call(hub, `/cas/v1/chunks/${prefix}/${hash}`, { headers });
  expect((await ask(first)).status).toBe(404);
  await sendShard(hub, headers, shardOf(made, made.file));
  expect((await ask('1'.repeat(64))).status).toBe(404);
  for (const prefix of ['default', 'default-merkledb']) {
    const shard = codec.readShard(await bytesOf(await ask(first, prefix)));
    expect(shard.files).toEqual([]);
    expect(shard.key).toBeDefined();
    expect(shard.keyExpirySeconds).toBeGreaterThan(Date.now() / 1000);
    expect(shard.xorbs.map(({ hash }) => hash)).toEqual([made.hash]);
    const keyed = codec.keyedHashes(made.chunks.subarray(0, HASH_BYTES), shard.key!);
    expect(hashToHex(shard.xorbs[0]!.chunks)).toBe(hashToHex(keyed));
    expect(hashToHex(shard.xorbs[0]!.chunks)).not.toBe(first);
  }
});

test('LFS objects come in one piece and are kept as chunks', async () => {
  const hub = await testHub();
  await hub.createRepo('me/model');
  const oid = createHash('sha256').update(data).digest('hex');
  const ask = async (transfers: string[]) =>
    (await (
      await post(hub, '/me/model.git/info/lfs/objects/batch', {
        operation: 'upload',
        transfers,
        objects: [{ oid, size: data.length }],
      })
    ).json()) as { transfer: string; objects: { actions?: Record<string, { href: string; header: Headers }> }[] };
  const viaXet = await ask(['basic', 'xet']);
  expect(viaXet.transfer).toBe('xet');
  expect(viaXet.objects[0]?.actions?.upload?.header['X-Xet-Cas-Url']).toBe(`${hub.url}/cas`);
  const basic = await ask(['basic']);
  const { upload, verify } = basic.objects[0]!.actions!;
  expect((await fetch(upload!.href, { method: 'PUT', body: asBody(data.subarray(1)) })).status).toBe(400);
  expect((await fetch(verify!.href, { method: 'POST', body: JSON.stringify({ oid, size: data.length }) })).status).toBe(
    404,
  );
  expect((await fetch(upload!.href, { method: 'PUT', body: asBody(data) })).status).toBe(200);
  expect((await fetch(verify!.href, { method: 'POST', body: JSON.stringify({ oid, size: data.length }) })).status).toBe(
    200,
  );
  expect((await ask(['basic'])).objects[0]?.actions).toBeUndefined();
  const value = { path: 'w.bin', algo: 'sha256', oid, size: data.length };
  await commit(hub, 'me/model', [{ key: 'lfsFile', value }]);
  expect(same(await assemble(await reconstruction(hub, 'me/model', 'w.bin')), data)).toBe(true);
});
