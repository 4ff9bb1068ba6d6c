import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { etagCheck, type MakeContentHash } from '../../src/core/content-hash.ts';

const make: MakeContentHash = (algorithm) => {
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), digest: async () => hash.digest('hex') };
};

test('a tag of 64 digits is the sha256 of the content', async () => {
  const check = etagCheck('9'.repeat(64), 3, make);
  expect(check?.verified).toBe('sha256');
  check?.hash.update(new TextEncoder().encode('abc'));
  expect(await check?.hash.digest()).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('a tag of 40 digits is what git hash-object says', async () => {
  const check = etagCheck('e'.repeat(40), 6, make);
  expect(check?.verified).toBe('git-sha1');
  check?.hash.update(new TextEncoder().encode('hello\n'));
  expect(await check?.hash.digest()).toBe('ce013625030ba8dba906f756967f9e9ca394464a');
});

test.each(['', 'abc', 'E'.repeat(40), 'g'.repeat(64), '0'.repeat(63), `"${'0'.repeat(40)}"`])(
  '%j is neither',
  (etag) => {
    expect(etagCheck(etag, 1, make)).toBeUndefined();
  },
);
