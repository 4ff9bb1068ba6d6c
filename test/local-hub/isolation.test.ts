import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import type { ShardFile } from '../../src/codec/shard.ts';
import { HASH_BYTES, hashToHex } from '../../src/core/hash.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { asBody, call, commit, noise, post, testHub } from './helpers.ts';

const codec = await loadCodec();
const secret = noise(31, 300_000);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const TOKENS = {
  hf_owner: { name: 'owner', write: true },
  hf_mallory: { name: 'mallory' },
};
const as = (token?: string): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

/** A Hub with a public, a gated and a private repository; the owner may read all of them. */
async function guardedHub(options: object = {}): Promise<LocalHub> {
  const hub = await testHub({ tokens: TOKENS, ...options });
  await hub.commitFiles('owner/public', { 'p.bin': noise(33, 200_000) });
  await hub.commitFiles('owner/gated', { 'g.bin': secret, 'small.txt': 'a' });
  await hub.commitFiles('owner/private', { 'x.bin': noise(35, 250_000) });
  await hub.setRepo('owner/gated', { gated: 'manual', allowed: ['owner'] });
  await hub.setRepo('owner/private', { private: true });
  return hub;
}

async function tokenFor(hub: LocalHub, repo: string, token?: string, kind = 'read', query = ''): Promise<string> {
  const response = await call(hub, `/api/models/${repo}/xet-${kind}-token/main${query}`, { headers: as(token) });
  return `Bearer ${((await response.json()) as { accessToken: string }).accessToken}`;
}

/** The content's names, which somebody may have learned elsewhere. */
async function facts(hub: LocalHub, repo: string, path: string) {
  const response = await call(hub, `/owner/${repo}/resolve/main/${path}`, { method: 'HEAD', headers: as('hf_owner') });
  const hash = response.headers.get('x-xet-hash') ?? '';
  const oid = (response.headers.get('x-linked-etag') ?? '').replaceAll('"', '');
  const authorization = await tokenFor(hub, `owner/${repo}`, 'hf_owner');
  const found = await call(hub, `/cas/v2/reconstructions/${hash}`, { headers: { authorization } });
  const { terms } = (await found.json()) as { terms: { hash: string }[] };
  return { hash, oid, size: Number(response.headers.get('x-linked-size')), xorb: terms[0]?.hash ?? '' };
}

/** A file in one xorb, as a client would have prepared it. */
function prepare(content: Uint8Array) {
  const chunker = codec.chunker();
  const chunks = chunker.push(content, true);
  chunker.free();
  const xorb = codec.serializeXorb(content, chunks, undefined, 'auto');
  const count = chunks.length / 36;
  const at = (index: number) => chunks.subarray(index * 36, index * 36 + HASH_BYTES);
  const hashes = Buffer.concat(Array.from({ length: count }, (_, index) => at(index)));
  const hash = hashToHex(xorb.hash);
  const file: ShardFile = {
    hash: hashToHex(codec.fileHash(chunks)),
    terms: [{ xorb: hash, unpackedLength: content.length, chunks: { start: 0, end: count } }],
    verification: [hashToHex(codec.verificationHash(hashes))],
    sha256: sha256(content),
  };
  return { hash, body: xorb.body, chunks, file, first: hashToHex(at(0)) };
}

function shardOf(file: ShardFile, xorb?: { hash: string; chunks: Uint8Array }): Uint8Array {
  const writer = codec.shardWriter();
  if (xorb) writer.addXorb(xorb);
  writer.addFile(file);
  const bytes = writer.toUpload();
  writer.free();
  return bytes;
}

const sendShard = (hub: LocalHub, authorization: string, shard: Uint8Array) =>
  call(hub, '/cas/v1/shards', { method: 'POST', headers: { authorization }, body: asBody(shard) });
const sendXorb = (hub: LocalHub, authorization: string, { hash, body }: { hash: string; body: Uint8Array }) =>
  call(hub, `/cas/v1/xorbs/default/${hash}`, { method: 'POST', headers: { authorization }, body: asBody(body) });

/** What the CAS answers for a file, by every way there is to ask for it. */
async function askCas(hub: LocalHub, authorization: string, hash: string): Promise<unknown[]> {
  const headers = { authorization };
  const one = async (path: string, init: RequestInit = {}) => {
    const response = await call(hub, path, { headers, ...init });
    return [response.status, await response.text()];
  };
  return [
    await one(`/cas/v1/reconstructions/${hash}`),
    await one(`/cas/v2/reconstructions/${hash}`),
    await one(`/cas/v1/reconstructions?file_id=${hash}`),
    await one('/cas/v1/reconstructions', { method: 'POST', body: JSON.stringify([hash]) }),
    await one('/cas/v1/reconstructions', { method: 'POST', body: JSON.stringify([{ hash }]) }),
    await one(`/cas/v1/files/${hash}`, { method: 'HEAD' }),
  ];
}

const NOWHERE = '5'.repeat(64);

test.each([
  ['a visitor without a token', undefined],
  ['a reader', 'hf_mallory'],
])('for %s content of other repositories looks as if it was not stored', async (_, token) => {
  const hub = await guardedHub();
  const tokens = [await tokenFor(hub, 'owner/public', token)];
  if (token) {
    tokens.push(await tokenFor(hub, 'owner/public', token, 'write', '?create_pr=1'));
    tokens.push(await tokenFor(hub, 'owner/gated', token, 'write', '?create_pr=1'));
  }
  // What is private is there for every known user.
  const hidden: [string, string][] = [['gated', 'g.bin'], ...(token ? [] : [['private', 'x.bin'] as [string, string]])];
  for (const [repo, path] of hidden) {
    const { hash, oid, size, xorb } = await facts(hub, repo, path);
    for (const authorization of tokens) {
      expect(await askCas(hub, authorization, hash)).toEqual(await askCas(hub, authorization, NOWHERE));
      for (const [kind, name] of [
        ['files', hash],
        ['xorbs/default', xorb],
      ]) {
        const probe = await call(hub, `/cas/v1/${kind}/${name}`, { method: 'HEAD', headers: { authorization } });
        expect(probe.status).toBe(404);
      }
    }
    const batch = async (object: object, operation: string) =>
      (await post(hub, '/owner/public.git/info/lfs/objects/batch', { operation, objects: [object] }, as(token))).text();
    const plain = (text: string, name: string) =>
      text.replaceAll(name, '').replace(/Expires=\d+&(\w+=[^"&]*&)?Signature=[\w-]*/g, '');
    for (const operation of token ? ['download', 'upload'] : ['download']) {
      expect(plain(await batch({ oid, size }, operation), oid)).toBe(
        plain(await batch({ oid: NOWHERE, size }, operation), NOWHERE),
      );
    }
    if (token) {
      const value = { path: 'stolen.bin', algo: 'sha256', oid, size };
      const options = { query: '?create_pr=1', token };
      const stolen = await commit(hub, 'owner/public', [{ key: 'lfsFile', value }], options);
      const missing = await commit(
        hub,
        'owner/public',
        [{ key: 'lfsFile', value: { ...value, oid: NOWHERE } }],
        options,
      );
      expect([stolen.status, await stolen.text()]).toEqual([400, await missing.text()]);
      const copied = await post(
        hub,
        '/api/models/owner/public/lfs-files/duplicate',
        { files: [{ sha256: oid }] },
        as(token),
      );
      expect(await copied.json()).toEqual({ failed: [{ sha256: oid, error: 'Not found' }] });
    }
  }
});

test('the list of a gated repository does not show by which hashes its content is known', async () => {
  const hub = await guardedHub();
  const { hash, oid } = await facts(hub, 'gated', 'g.bin');
  const asked = async (token?: string) => {
    const one = async (response: Promise<Response>) => (await response).text();
    const headers = as(token);
    const api = '/api/models/owner/gated';
    return [
      await one(call(hub, `${api}/tree/main?recursive=1`, { headers })),
      await one(call(hub, `${api}/tree/main?expand=1`, { headers })),
      await one(post(hub, `${api}/paths-info/main`, { paths: ['g.bin'] }, headers)),
      await one(post(hub, `${api}/paths-info/main`, { paths: ['g.bin'], expand: true }, headers)),
      await one(call(hub, `${api}?blobs=1`, { headers })),
      await one(call(hub, `${api}/revision/main?blobs=1`, { headers })),
      await one(
        post(hub, `${api}/preupload/main?create_pr=1`, { files: [{ path: 'g.bin', size: 1, sample: '' }] }, headers),
      ),
    ].join('\n');
  };
  for (const token of [undefined, 'hf_mallory']) {
    const text = await asked(token);
    expect(text).toContain('g.bin');
    expect(text).not.toContain(hash);
    expect(text).not.toContain(oid);
  }
  const text = await asked('hf_owner');
  expect(text).toContain(hash);
  expect(text).toContain(oid);
});

test('a chunk leads only to xorbs of repositories that the caller may read', async () => {
  const hub = await guardedHub();
  const ask = async (authorization: string, chunk: string) =>
    (await call(hub, `/cas/v1/chunks/default/${chunk}`, { headers: { authorization } })).status;
  const { first } = prepare(secret);
  expect(await ask(await tokenFor(hub, 'owner/public'), first)).toBe(404);
  expect(await ask(await tokenFor(hub, 'owner/public', 'hf_mallory'), first)).toBe(404);
  expect(await ask(await tokenFor(hub, 'owner/public', 'hf_owner'), first)).toBe(200);
  expect(await ask(await tokenFor(hub, 'owner/public'), prepare(noise(33, 200_000)).first)).toBe(200);
  await hub.setRepo('owner/gated', { gated: false });
  expect(await ask(await tokenFor(hub, 'owner/public'), first)).toBe(200);
});

test('to know the name of a xorb is not enough to make a file of it, and nothing tells that it is stored', async () => {
  const hub = await guardedHub();
  const { xorb, hash } = await facts(hub, 'gated', 'g.bin');
  const { file } = prepare(secret);
  const authorization = await tokenFor(hub, 'owner/public', 'hf_mallory', 'write', '?create_pr=1');
  const guesses: ((name: string) => ShardFile)[] = [
    (name) => ({ ...file, hash, terms: [{ ...file.terms[0]!, xorb: name }], verification: [NOWHERE] }),
    (name) => ({
      ...file,
      hash,
      terms: [{ xorb: name, unpackedLength: 1, chunks: { start: 0, end: 1 } }],
      verification: [NOWHERE],
    }),
    (name) => ({
      ...file,
      hash,
      terms: [{ xorb: name, unpackedLength: 1, chunks: { start: 0, end: 8000 } }],
      verification: [NOWHERE],
    }),
  ];
  for (const guess of guesses) {
    const answers = [];
    for (const name of [xorb, NOWHERE]) {
      const response = await sendShard(hub, authorization, shardOf(guess(name)));
      answers.push([response.status, (await response.text()).replaceAll(name, '')]);
    }
    expect(answers[0]?.[0]).toBe(400);
    expect(answers[0]).toEqual(answers[1]);
  }
  const lists = async (name: string) => {
    const { chunks, file: own } = prepare(noise(37, 90_000));
    const response = await sendShard(hub, authorization, shardOf(own, { hash: name, chunks }));
    return [response.status, (await response.text()).replaceAll(name, '')];
  };
  expect(await lists(xorb)).toEqual(await lists(NOWHERE));
});

test('who has the content himself may register it, and reads it for his repository', async () => {
  const hub = await guardedHub();
  const authorization = await tokenFor(hub, 'owner/public', 'hf_mallory', 'write', '?create_pr=1');
  const made = prepare(secret);
  expect((await sendXorb(hub, authorization, made)).status).toBe(200);
  expect((await sendShard(hub, authorization, shardOf(made.file, made))).status).toBe(200);
  expect((await askCas(hub, authorization, made.file.hash)).map((answer) => (answer as number[])[0])).toEqual(
    Array(6).fill(200),
  );
  // Until it is committed that is nobody else's.
  const others = await tokenFor(hub, 'owner/public');
  expect(await askCas(hub, others, made.file.hash)).toEqual(await askCas(hub, others, NOWHERE));
  const value = { path: 'own.bin', algo: 'sha256', oid: made.file.sha256, size: secret.length };
  const pull = await commit(hub, 'owner/public', [{ key: 'lfsFile', value }], {
    query: '?create_pr=1',
    token: 'hf_mallory',
  });
  expect(pull.status).toBe(200);
  expect(
    (await call(hub, `/cas/v2/reconstructions/${made.file.hash}`, { headers: { authorization: others } })).status,
  ).toBe(200);
});

test('a grant tells nothing of what others stored, and is for who asked for it', async () => {
  const hub = await guardedHub();
  const made = prepare(secret);
  const { xorb } = await facts(hub, 'gated', 'g.bin');
  expect(xorb).toBe(made.hash);
  const request = {
    length: made.body.length,
    checksum: { algo: 'crc64nvme', value: String(codec.crc64(made.body, 0n)) },
  };
  const mallory = { authorization: await tokenFor(hub, 'owner/public', 'hf_mallory', 'write', '?create_pr=1') };
  const owner = { authorization: await tokenFor(hub, 'owner/public', 'hf_owner', 'write') };
  const offered = await post(hub, `/cas/v1/xorb-grants/default/${xorb}`, request, mallory);
  expect(offered.status).toBe(201);
  const { id, url, headers } = (await offered.json()) as { id: string; url: string; headers: Record<string, string> };
  expect((await fetch(url, { method: 'PUT', headers, body: asBody(made.body) })).status).toBe(200);
  const take = (as: Record<string, string>) => post(hub, `/cas/v1/xorb-commits/default/${xorb}/grant/${id}`, {}, as);
  expect((await take(owner)).status).toBe(404);
  expect((await take(mallory)).status).toBe(200);
  expect((await post(hub, `/cas/v1/xorb-grants/default/${xorb}`, request, mallory)).status).toBe(200);
});

test('a token ends with its repository, and follows who may read it', async () => {
  const hub = await guardedHub();
  const { hash } = await facts(hub, 'public', 'p.bin');
  const authorization = await tokenFor(hub, 'owner/public');
  const status = async () =>
    (await call(hub, `/cas/v2/reconstructions/${hash}`, { headers: { authorization } })).status;
  expect(await status()).toBe(200);
  await hub.setRepo('owner/public', { gated: 'auto' });
  expect(await status()).toBe(404);
  await hub.setRepo('owner/public', { gated: false, private: true });
  expect(await status()).toBe(404);
  await hub.setRepo('owner/public', { private: false, disabled: true });
  expect(await status()).toBe(404);
  await hub.setRepo('owner/public', { disabled: false });
  expect(await status()).toBe(200);
  const body = JSON.stringify({ name: 'owner/public' });
  await call(hub, '/api/repos/delete', { method: 'DELETE', headers: as('hf_owner'), body });
  expect(await status()).toBe(401);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await hub.createRepo('owner/public');
  expect(await status()).toBe(401);
});

test.each([true, false])('a digest cannot be led to other content, whoever comes first (%s)', async (goodFirst) => {
  const hub = await guardedHub();
  const good = prepare(noise(41, 150_000));
  const evil = prepare(noise(43, 150_000));
  const lie = { ...evil.file, sha256: good.file.sha256! };
  const mallory = await tokenFor(hub, 'owner/public', 'hf_mallory', 'write', '?create_pr=1');
  const owner = await tokenFor(hub, 'owner/public', 'hf_owner', 'write');
  await sendXorb(hub, mallory, evil);
  await sendXorb(hub, owner, good);
  const honest = async () => expect((await sendShard(hub, owner, shardOf(good.file, good))).status).toBe(200);
  if (goodFirst) await honest();
  for (const version of [1, 2]) {
    const response = await call(hub, `/cas/v${version}/shards`, {
      method: 'POST',
      headers: { authorization: mallory },
      body: asBody(shardOf(lie, evil)),
    });
    expect(await response.text()).toContain('has the sha256');
  }
  if (!goodFirst) await honest();
  const value = { path: 'good.bin', algo: 'sha256', oid: good.file.sha256, size: 150_000 };
  expect((await commit(hub, 'owner/public', [{ key: 'lfsFile', value }], { token: 'hf_owner' })).status).toBe(200);
  const bytes = new Uint8Array(await (await fetch(`${hub.url}/owner/public/resolve/main/good.bin`)).arrayBuffer());
  expect(sha256(bytes)).toBe(good.file.sha256);
});

test('what contradicts a known digest is checked, also where new ones are believed', async () => {
  const hub = await guardedHub({ checkSha256: false });
  const first = prepare(noise(45, 100_000));
  const second = prepare(noise(47, 100_000));
  const owner = await tokenFor(hub, 'owner/public', 'hf_owner', 'write');
  for (const made of [first, second]) await sendXorb(hub, owner, made);
  const claim = async (made: ReturnType<typeof prepare>, digest: string) =>
    (await sendShard(hub, owner, shardOf({ ...made.file, sha256: digest }, made))).status;
  // A lie that was believed gives way to the truth, and the truth to nothing.
  expect(await claim(first, second.file.sha256!)).toBe(200);
  expect(await claim(second, second.file.sha256!)).toBe(200);
  expect(await claim(first, second.file.sha256!)).toBe(400);
});

test('a read-only token is given no token for writing but to a pull request', async () => {
  const hub = await guardedHub();
  const status = async (path: string) => (await call(hub, path, { headers: as('hf_mallory') })).status;
  const token = '/api/models/owner/public/xet-write-token';
  expect(await status(`${token}/main`)).toBe(403);
  expect(await status(`${token}/refs%2Fpr%2F1`)).toBe(200);
  expect(await status(`${token}/main?create_pr=1`)).toBe(200);
  const read = await tokenFor(hub, 'owner/public', 'hf_mallory');
  expect((await sendXorb(hub, read, prepare(secret))).status).toBe(403);
});
