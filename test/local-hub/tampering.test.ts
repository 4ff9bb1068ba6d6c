import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from '../../src/local-hub/start.ts';
import { call, noise, post } from './helpers.ts';

/** The same sequence for every run: what fails can be tried again. */
function draws(seed: number) {
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return { next, pick: <T>(list: readonly T[]): T => list[next(list.length)] as T };
}

const as = (token: string) => ({ authorization: `Bearer ${token}` });
const TOKENS = { hf_owner: { name: 'owner', write: true }, hf_reader: { name: 'reader' } };

interface Facts {
  hash: string;
  oid: string;
  size: number;
  /** A token for the CAS of this repository. */
  read: string;
  write: string;
  /** A signed address of a xorb, with the range that it is for. */
  xorb: { url: string; range: string };
  bridge: string;
}

let hub: LocalHub;
let secret: Facts;
let open: Facts;
let grant: { url: string; headers: Record<string, string> };
let lfs: { upload: string; verify: string };

async function factsOf(repo: string): Promise<Facts> {
  const resolved = await call(hub, `/${repo}/resolve/main/w.bin`, { headers: as('hf_owner') });
  const token = async (kind: string) => {
    const response = await call(hub, `/api/models/${repo}/xet-${kind}-token/main`, { headers: as('hf_owner') });
    return ((await response.json()) as { accessToken: string }).accessToken;
  };
  const read = await token('read');
  const hash = resolved.headers.get('x-xet-hash') ?? '';
  const found = (await (await call(hub, `/cas/v2/reconstructions/${hash}`, { headers: as(read) })).json()) as {
    xorbs: Record<string, { url: string; ranges: { bytes: { start: number; end: number } }[] }[]>;
  };
  const [entry] = Object.values(found.xorbs)[0]!;
  const { start, end } = entry!.ranges[0]!.bytes;
  return {
    hash,
    oid: (resolved.headers.get('x-linked-etag') ?? '').replaceAll('"', ''),
    size: Number(resolved.headers.get('x-linked-size')),
    read,
    write: await token('write'),
    xorb: { url: entry!.url, range: `bytes=${start}-${end}` },
    bridge: resolved.headers.get('location') ?? '',
  };
}

beforeAll(async () => {
  hub = await startLocalHub({ tokens: TOKENS });
  await hub.commitFiles('owner/open', { 'w.bin': noise(61, 200_000) });
  await hub.commitFiles('owner/secret', { 'w.bin': noise(63, 220_000) });
  await hub.setRepo('owner/secret', { gated: 'manual', allowed: ['owner'] });
  secret = await factsOf('owner/secret');
  open = await factsOf('owner/open');
  const checksum = { algo: 'crc64nvme', value: '1' };
  const offered = await post(
    hub,
    `/cas/v1/xorb-grants/default/${'1'.repeat(64)}`,
    { length: 10, checksum },
    as(open.write),
  );
  grant = (await offered.json()) as typeof grant;
  const batch = await post(
    hub,
    '/owner/open.git/info/lfs/objects/batch',
    { operation: 'upload', objects: [{ oid: '2'.repeat(64), size: 10 }] },
    as('hf_owner'),
  );
  const { objects } = (await batch.json()) as {
    objects: { actions: { upload: { href: string }; verify: { href: string } } }[];
  };
  const { actions } = objects[0]!;
  lfs = { upload: actions.upload.href, verify: actions.verify.href };
});
afterAll(() => hub.close());

/** All that tells of the content. */
function tellsNothing(text: string): void {
  expect(text).not.toContain(secret.xorb.url.split('?')[0]);
  expect(text.length).toBeLessThan(500);
}

describe('a token for the CAS', () => {
  const parts = (token: string) => token.slice('xet_'.length).split('.') as [string, string];
  const claimsOf = (token: string) =>
    JSON.parse(Buffer.from(parts(token)[0], 'base64url').toString()) as { scope: string; exp: number; caller: string };
  const encode = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url');

  /** Ways to make another token of those that were given out. */
  const ways: Record<string, (draw: ReturnType<typeof draws>) => string> = {
    'a character changed': ({ next, pick }) => {
      const token = pick([open.read, open.write, secret.read]);
      const at = next(token.length);
      const other = token[at] === 'A' ? 'B' : 'A';
      return token.slice(0, at) + other + token.slice(at + 1);
    },
    'cut short': ({ next, pick }) => {
      const token = pick([open.read, secret.read]);
      return token.slice(0, next(token.length));
    },
    'claims of one, signature of another': () => `xet_${parts(secret.read)[0]}.${parts(open.read)[1]}`,
    'claims of reading, signature of writing': () => `xet_${parts(open.read)[0]}.${parts(open.write)[1]}`,
    'the repository changed': () =>
      `xet_${encode({ ...claimsOf(open.read), caller: claimsOf(secret.read).caller })}.${parts(open.read)[1]}`,
    'the scope changed': () => `xet_${encode({ ...claimsOf(open.read), scope: 'write' })}.${parts(open.read)[1]}`,
    'a longer life': () => `xet_${encode({ ...claimsOf(secret.read), exp: 9_999_999_999 })}.${parts(secret.read)[1]}`,
    'no signature': () => `xet_${parts(secret.read)[0]}.`,
    'a signature of its own claims': () => `xet_${parts(secret.read)[0]}.${parts(secret.read)[0]}`,
    'claims that are no JSON': () => `xet_${Buffer.from('nothing').toString('base64url')}.${parts(secret.read)[1]}`,
    'the token of the Hub': ({ pick }) => pick(['hf_owner', 'hf_reader', 'hf_local', 'anything']),
    'the signature of an address': () =>
      `xet_${parts(secret.read)[0]}.${new URL(secret.bridge).searchParams.get('Signature')}`,
  };

  test.each(Object.keys(ways))('is refused with %s', async (way) => {
    const draw = draws(22);
    for (let round = 0; round < 12; round++) {
      const token = ways[way]?.(draw) ?? '';
      if ([open.read, open.write, secret.read].includes(token)) continue;
      const path = draw.pick([
        `/cas/v1/reconstructions/${secret.hash}`,
        `/cas/v2/reconstructions/${secret.hash}`,
        `/cas/v1/reconstructions?file_id=${secret.hash}`,
        `/cas/v1/chunks/default/${secret.hash}`,
      ]);
      const response = await call(hub, path, { headers: as(token) });
      expect([way, token, response.status]).toEqual([way, token, 401]);
      tellsNothing(await response.text());
      const sent = await post(hub, `/cas/v1/xorbs/default/${'1'.repeat(64)}`, {}, as(token));
      expect(sent.status).toBe(401);
    }
  });

  test('is for its scope and its repository', async () => {
    for (const path of [
      `/cas/v1/xorbs/default/${'1'.repeat(64)}`,
      '/cas/v1/shards',
      '/cas/v2/shards',
      `/cas/v1/xorb-grants/default/${'1'.repeat(64)}`,
      `/cas/v1/xorb-commits/default/${'1'.repeat(64)}/grant/x`,
    ]) {
      expect([path, (await post(hub, path, {}, as(open.read))).status]).toEqual([path, 403]);
    }
    for (const token of [open.read, open.write]) {
      for (const version of [1, 2]) {
        const response = await call(hub, `/cas/v${version}/reconstructions/${secret.hash}`, { headers: as(token) });
        expect(response.status).toBe(404);
        tellsNothing(await response.text());
      }
    }
  });
});

describe('a signed address', () => {
  /** Other addresses made of one that was given out. */
  function tampered(address: string, draw: ReturnType<typeof draws>): string {
    const url = new URL(address);
    const { searchParams: query } = url;
    const fields = [...query.keys()];
    switch (draw.next(7)) {
      case 0:
        query.delete(draw.pick(fields));
        break;
      case 1: {
        const field = draw.pick(fields);
        const value = query.get(field) ?? '';
        const at = draw.next(value.length);
        query.set(field, `${value.slice(0, at)}${value[at] === '0' ? '1' : '0'}${value.slice(at + 1)}`);
        break;
      }
      case 2:
        query.set('Expires', '9999999999');
        break;
      case 3:
        query.append(draw.pick(fields), 'x');
        break;
      case 4:
        query.set('more', 'x');
        break;
      case 5: {
        const other = new URL(draw.pick([open.bridge, open.xorb.url, grant.url, lfs.upload, lfs.verify]));
        const signature = other.searchParams.get('Signature') ?? '';
        query.set('Signature', signature === query.get('Signature') ? '' : signature);
        break;
      }
      default:
        url.pathname = url.pathname.replace(/[^/]+$/, (last) =>
          last === open.hash ? secret.hash : `${last.slice(1)}0`,
        );
    }
    return url.href;
  }

  test('opens nothing once it was changed', async () => {
    const draw = draws(2222);
    for (let round = 0; round < 300; round++) {
      const [address, init] = draw.pick<[string, RequestInit]>([
        [secret.xorb.url, { headers: { range: secret.xorb.range } }],
        [secret.bridge, {}],
        [open.bridge, {}],
        [grant.url, { method: 'PUT', headers: grant.headers, body: '0123456789' }],
        [lfs.upload, { method: 'PUT', body: '0123456789' }],
        [lfs.verify, { method: 'POST', body: JSON.stringify({ oid: secret.oid, size: secret.size }) }],
      ]);
      const changed = tampered(address, draw);
      if (changed === new URL(address).href) continue;
      const response = await fetch(changed, { ...init, redirect: 'manual' });
      expect([changed, response.status]).toEqual([changed, expect.toBeOneOf([400, 403, 404])]);
      tellsNothing(await response.text());
    }
  });

  test('is for its ranges and its content', async () => {
    const status = async (url: string, range: string) => (await fetch(url, { headers: { range } })).status;
    expect(await status(secret.xorb.url, secret.xorb.range)).toBe(206);
    const swapped = secret.xorb.url.split('?')[0] + new URL(open.xorb.url).search;
    expect(await status(swapped, secret.xorb.range)).toBe(403);
    expect(await status(secret.xorb.url, 'bytes=0-99999999')).toBe(403);
    // One that was made to write a digest says nothing of other digests.
    const verify = { method: 'POST', body: JSON.stringify({ oid: secret.oid, size: secret.size }) };
    expect((await fetch(lfs.verify, verify)).status).toBe(404);
  });
});

test('no token of the Hub that is only nearly one opens anything', async () => {
  const draw = draws(7);
  for (let round = 0; round < 60; round++) {
    const at = draw.next('hf_owner'.length);
    const token = draw.pick([
      `hf_owner${draw.pick(['.', 'x', '%00', "'"])}`,
      'hf_owner'.slice(0, at),
      'HF_OWNER',
      `${'hf_owner'.slice(0, at)}_${'hf_owner'.slice(at)}`,
      draw.pick(['__proto__', 'constructor', 'toString', 'hasOwnProperty']),
      secret.read,
    ]);
    const path = draw.pick([
      '/owner/secret/resolve/main/w.bin',
      '/api/whoami-v2',
      '/api/models/owner/secret/xet-read-token/main',
    ]);
    const scheme = draw.pick(['Bearer', 'bearer', 'Basic', 'Token', '']);
    const response = await call(hub, path, { headers: { authorization: `${scheme} ${token}`.trim() } });
    expect([path, token, scheme, response.status]).toEqual([path, token, scheme, 401]);
  }
});
