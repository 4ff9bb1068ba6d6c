import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { hashFile, writeShard } from '../../src/codec/upload-operations.ts';
import { chunkCount } from '../../src/core/chunks.ts';
import { hashToHex } from '../../src/core/hash.ts';
import { CasTokenSource } from '../../src/hub/token.ts';
import { ShardUploader } from '../../src/upload/shard-upload.ts';
import { XorbUploader } from '../../src/upload/xorb-upload.ts';
import { inTurn, json, makeHttp, serve, status } from '../http/server.ts';
import { chunksOf } from '../support/engines.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';
import { partsFor, pathsOf, uploadHub } from '../support/stations.ts';

const codec = await loadCodec();
const signal = new AbortController().signal;
const content = randomBytes(500_000, 3);
const { records } = await chunksOf(content);
const packed = codec.serializeXorb(content, records);
const hash = hashToHex(packed.hash);
/** In pieces of whatever length. */
const body = () => [packed.body.slice(0, 1), packed.body.slice(1, 300_000), packed.body.slice(300_000)];

describe('XorbUploader', () => {
  test("a xorb is sent to its grant's URL with the grant's headers and no token, and is not sent twice", async () => {
    const hub = await uploadHub();
    const uploader = new XorbUploader(partsFor(hub));
    expect(await uploader.upload(hash, body(), signal)).toMatchObject({
      inserted: true,
      sentBytes: packed.body.length,
    });
    expect(await uploader.upload(hash, body(), signal)).toMatchObject({ inserted: false, sentBytes: 0 });
    expect(pathsOf(hub, 'xorb-upload')).toEqual([expect.stringContaining('/xorb-uploads/')]);
    expect(pathsOf(hub, 'grant')).toHaveLength(3);
  });

  test('a CAS without grants is asked for one once, and receives the xorbs itself', async () => {
    const hub = await uploadHub({ grants: false });
    const uploader = new XorbUploader(partsFor(hub));
    expect(await uploader.upload(hash, body(), signal)).toMatchObject({
      inserted: true,
      sentBytes: packed.body.length,
    });
    // A xorb that the CAS has is not sent.
    expect(await uploader.upload(hash, body(), signal)).toMatchObject({ inserted: false, sentBytes: 0 });
    expect(pathsOf(hub, 'grant')).toHaveLength(1);
    expect(pathsOf(hub, 'xorb-upload')).toHaveLength(1);
  });

  test('a CAS that cannot say whether it has a xorb is asked once, and receives the xorbs', async () => {
    const asked: string[] = [];
    const cas = await serve((request, response) => {
      asked.push(request.method ?? '');
      if (request.method === 'HEAD') return status(405)(request, response);
      if (request.url?.includes('xorb-grants')) return status(404)(request, response);
      request.resume();
      request.on('end', () => json({ was_inserted: true })(request, response));
    });
    const uploader = new XorbUploader(await partsOn(cas));
    for (let turn = 0; turn < 2; turn++) {
      expect(await uploader.upload(hash, body(), signal)).toMatchObject({
        inserted: true,
        sentBytes: packed.body.length,
      });
    }
    expect(asked.filter((method) => method === 'HEAD')).toHaveLength(1);
  });

  test.each([400, 404, 405, 501])('a xorb is sent to a CAS that answers a grant request with %i', async (code) => {
    const hub = await uploadHub();
    hub.faults.add({ kind: 'grant', action: 'status', status: code, times: 99 });
    const uploader = new XorbUploader(partsFor(hub));
    expect(await uploader.upload(hash, body(), signal)).toMatchObject({ inserted: true });
    expect(pathsOf(hub, 'grant')).toHaveLength(1);
  });

  test.each<[string, object]>([
    ['a token for whoever is there', { headers: { Authorization: 'Bearer x' } }],
    ['a cookie', { headers: { cookie: 'session=1' } }],
    ['a word for a proxy', { headers: { 'Proxy-Authorization': 'Basic x' } }],
    ['what a cloud asks of its own machines', { headers: { 'Metadata-Flavor': 'Google' } }],
    ['no encryption, where the CAS has it', { url: 'http://storage.example/x' }],
  ])('a xorb is not sent to a grant with %s', async (_, rest) => {
    const asked: string[] = [];
    const grant = { id: '1', method: 'PUT', url: 'https://storage.example/x', headers: {}, ...rest };
    const cas = await serve((request, response) => {
      asked.push(request.url ?? '');
      request.resume();
      request.on('end', () =>
        status(201, { 'content-type': 'application/json' }, JSON.stringify(grant))(request, response),
      );
    });
    const hosts: string[] = [];
    const parts = await partsOn(cas);
    const http = makeHttp({
      // The CAS has an encrypted address here, and is asked without TLS.
      fetch: async (url, init) => {
        hosts.push(new URL(url).host);
        const { status, ok, headers, body } = await fetch(url.replace('https://cas.example', cas), init);
        return { status, ok, headers, body, url };
      },
    });
    const tokens = new CasTokenSource(http, 'https://hub.example', async () => ({}));
    tokens.give({ casUrl: 'https://cas.example', accessToken: 'x', refreshAtMs: Number.POSITIVE_INFINITY });
    const error = await rejectionOf(new XorbUploader({ ...parts, http, tokens }).upload(hash, body(), signal));
    expect(String(error)).toContain('Nothing was sent');
    expect(error).toMatchObject({ code: 'PROTOCOL' });
    expect(hosts).toEqual(['cas.example']);
    expect(asked).toHaveLength(1);
  });

  test.each([400, 403, 409])('another grant is requested after %i', async (code) => {
    const hub = await uploadHub();
    hub.faults.add({ kind: 'xorb-upload', action: 'status', status: code, times: 2 });
    const uploader = new XorbUploader(partsFor(hub));
    expect(await uploader.upload(hash, body(), signal)).toMatchObject({ inserted: true });
    expect(pathsOf(hub, 'xorb-upload').every((path) => path.includes('/xorb-uploads/'))).toBe(true);
  });

  test.each([
    ['refuses all', { action: 'status', status: 403 }],
    ['cannot be reached', { action: 'refuse' }],
    ['fails', { action: 'status', status: 500 }],
  ] as const)('goes to the CAS where the address of grants %s', async (_, fault) => {
    const hub = await uploadHub();
    hub.faults.add({ kind: 'xorb-upload', ...fault, times: 99, match: (path) => path.includes('/xorb-uploads/') });
    const uploader = new XorbUploader(partsFor(hub));
    expect(await uploader.upload(hash, body(), signal)).toMatchObject({ inserted: true });
    expect(pathsOf(hub, 'xorb-upload').at(-1)).toBe(`/cas/v1/xorbs/default/${hash}`);
  });

  test('another grant is requested if the data of the first one was not found', async () => {
    const hub = await uploadHub();
    hub.faults.add({ kind: 'grant', action: 'status', status: 404, match: (path) => path.includes('xorb-commits') });
    expect(await new XorbUploader(partsFor(hub)).upload(hash, body(), signal)).toMatchObject({ inserted: true });
    expect(pathsOf(hub, 'xorb-upload')).toHaveLength(2);
  });

  test('a xorb is sent again after a failure, and with a new token after 401', async () => {
    const hub = await uploadHub({ grants: false });
    hub.faults.add({ kind: 'xorb-upload', action: 'status', status: 503 });
    hub.faults.add({ kind: 'xorb-upload', action: 'status', status: 401 });
    hub.faults.add({ kind: 'xorb-upload', action: 'garbageJson' });
    expect(await new XorbUploader(partsFor(hub)).upload(hash, body(), signal)).toMatchObject({ inserted: false });
    expect(pathsOf(hub, 'token')).toHaveLength(2);
  });

  test('a xorb that does not match its hash is rejected, and not retried', async () => {
    const hub = await uploadHub({ grants: false });
    const error = await rejectionOf(new XorbUploader(partsFor(hub)).upload('1'.repeat(64), body(), signal));
    expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL', status: 400 });
    expect(pathsOf(hub, 'xorb-upload')).toHaveLength(1);
  });

  test('a response without a result is an error, and an abort rejects at once', async () => {
    const cas = await serve((request, response) => {
      if (request.url?.includes('xorb-grants')) return status(404)(request, response);
      request.resume();
      request.on('end', () => json({ ok: true })(request, response));
    });
    const parts = await partsOn(cas);
    const error = await rejectionOf(new XorbUploader(parts).upload(hash, body(), signal));
    expect(error).toMatchObject({ code: 'PROTOCOL' });
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(new XorbUploader(parts).upload(hash, body(), aborted)).rejects.toThrow('enough');
  });

  test.each([
    ['no address', { id: 'a', method: 'PUT', headers: {} }],
    ['an address of another kind', { id: 'a', method: 'PUT', url: 'file:///etc/passwd', headers: {} }],
    ['another method', { id: 'a', method: 'DELETE', url: 'http://127.0.0.1:1/', headers: {} }],
    ['headers that are no text', { id: 'a', method: 'PUT', url: 'http://127.0.0.1:1/', headers: { a: 1 } }],
  ])('a xorb is not sent to a malformed grant with %s', async (_, grant) => {
    const cas = await serve(status(201, {}, JSON.stringify(grant)));
    const error = await rejectionOf(new XorbUploader(await partsOn(cas)).upload(hash, body(), signal));
    expect(error).toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining('grant') });
  });
});

/** An uploader's parts for a CAS of the test's own making. */
async function partsOn(cas: string) {
  const hub = await uploadHub();
  const { pool } = partsFor(hub);
  const token = await serve(json({ accessToken: 'secret', exp: Date.now() / 1000 + 3600, casUrl: cas }));
  const http = makeHttp();
  return { http, pool, tokens: new CasTokenSource(http, token, async () => ({})) };
}

function shardOf(terms = chunkCount(records)): Uint8Array {
  const sealed = hashFile.run(codec, records, Uint32Array.of(chunkCount(records)));
  const file = {
    hash: hashToHex(sealed.hash),
    terms: [{ xorb: hash, unpackedLength: content.length, chunks: { start: 0, end: terms } }],
    verification: [hashToHex(sealed.verification)],
    sha256: createHash('sha256').update(content).digest('hex'),
  };
  return writeShard.run(codec, records, [{ hash, count: chunkCount(records) }], [file]);
}

describe('ShardUploader', () => {
  test.each([[1], [2], [1, 2]] as (1 | 2)[][])(
    'is registered by the versions that are offered: %s %s',
    async (...versions) => {
      const hub = await uploadHub({ shardVersions: versions.filter((one) => one !== undefined) });
      const parts = partsFor(hub);
      await new XorbUploader(parts).upload(hash, body(), signal);
      const uploader = new ShardUploader(parts);
      await uploader.upload(shardOf(), signal);
      await uploader.upload(shardOf(), signal);
      const asked = pathsOf(hub, 'shard-upload').map((path) => path.slice(4, 7));
      expect(asked).toEqual(versions.includes(2) ? ['/v2', '/v2'] : ['/v2', '/v1', '/v1']);
    },
  );

  test.each([[1], [2]] as (1 | 2)[][])('that is wrong is refused by version %i, once', async (version) => {
    const hub = await uploadHub({ shardVersions: version ? [version] : [] });
    const parts = partsFor(hub);
    await new XorbUploader(parts).upload(hash, body(), signal);
    const error = await rejectionOf(new ShardUploader(parts).upload(shardOf(1), signal));
    expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL', retryable: false });
    expect(pathsOf(hub, 'shard-upload')).toHaveLength(version === 2 ? 1 : 2);
  });

  const line = (value: unknown) => `${JSON.stringify(value)}\n`;
  const said = (...lines: unknown[]) => status(200, {}, lines.map(line).join(''));

  test('a shard is sent again if the server says so or its response ends early', async () => {
    const handler = inTurn(
      said({ type: 'validating', verified: 0, total: 1 }),
      said({ type: 'error', message: 'busy', retryable: true }),
      said({ type: 'news' }, { type: 'committing', stage: 'syncing' }, { type: 'result', result: 1 }),
    );
    await new ShardUploader(await partsOn(await serve(handler))).upload(shardOf(), signal);
    expect(handler.requests).toHaveLength(3);
  });

  test.each([
    [
      'an error',
      said({ type: 'error', message: 'no' }),
      { code: 'PROTOCOL', message: expect.stringContaining('"no"') },
    ],
    ['nothing', said(), { code: 'NETWORK' }],
    ['no JSON', status(200, {}, 'yes\n'), { code: 'PROTOCOL' }],
    ['no end of a line', status(200, {}, 'x'.repeat(20_000)), { code: 'PROTOCOL' }],
    ['a line that is too long', said({ type: 'x'.repeat(20_000) }, { type: 'result' }), { code: 'PROTOCOL' }],
    [
      'too many events',
      said(...Array.from({ length: 10_001 }, () => ({ type: 'progress' })), { type: 'result' }),
      { code: 'PROTOCOL' },
    ],
    ['too many empty lines', status(200, {}, '\n'.repeat(20_000)), { code: 'PROTOCOL', retryable: false }],
    [
      'too many bytes',
      said(...Array.from({ length: 200 }, () => ({ type: 'x'.repeat(10_000) })), { type: 'result' }),
      { code: 'PROTOCOL' },
    ],
  ])('a response of %s to a shard is an error', async (_, answer, expected) => {
    const error = await rejectionOf(new ShardUploader(await partsOn(await serve(answer))).upload(shardOf(), signal));
    expect(error).toMatchObject(expected);
  });
});
