import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DecodedRun } from '../../src/codec/codec.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import type { Shard, ShardFile } from '../../src/codec/shard.ts';
import {
  CHUNK_RECORD_BYTES,
  chunkCount,
  chunkHashHex,
  chunkLength,
  chunkSlice,
  totalLength,
} from '../../src/core/chunks.ts';
import { isXetError } from '../../src/core/errors.ts';
import { hashFromHex, hashToHex } from '../../src/core/hash.ts';
import { naiveChunkEnds } from '../support/naive-codec.ts';
import { readVectors } from '../support/read-vectors.ts';
import { concat, endsOf, frame, recordsOf, sameBytes, splitMix64, triggerData } from '../support/vectors.ts';
import { chunkInPieces } from './local.ts';

const vectors = await readVectors();
const codec = await loadCodec();

/** The same cases in every run: a failure can be looked at again. */
function holds<T>(numRuns: number, arbitrary: fc.Arbitrary<T>, check: (value: T) => void): void {
  fc.assert(
    fc.property(arbitrary, (value) => {
      check(value);
    }),
    { seed: 20260101, numRuns },
  );
}

const seed = fc.integer({ min: 0, max: 0xffff_ffff });
const hashHex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => hashToHex(bytes));
const sha256 = hashHex; // any 64 lower-case digits do
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

/** Bytes by recipe, so that shrinking has three numbers to work on instead of 200,000. */
function bytes(maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.constantFrom('noise', 'constant', 'text', 'trigger'), fc.nat(maxLength), seed)
    .map(([kind, length, from]) => {
      if (kind === 'noise') return splitMix64(from, length);
      if (kind === 'constant') return new Uint8Array(length).fill(from & 0xff);
      if (kind === 'text') return Uint8Array.from({ length }, (_, index) => 97 + ((index * index + from) % 11));
      const unit = triggerData(vectors.chunking.trigger.pattern, from % 128);
      return Uint8Array.from({ length }, (_, index) => unit[index % unit.length] ?? 0);
    });
}

describe('chunker', () => {
  test('chunks equal those of the naive chunker, however the input is split', () => {
    const data = fc.array(bytes(90_000), { minLength: 1, maxLength: 4 }).map(concat);
    holds(120, fc.tuple(data, fc.array(fc.nat(1_000_000), { maxLength: 12 })), ([input, positions]) => {
      const splits = positions.map((position) => position % (input.length + 1)).sort((a, b) => a - b);
      const records = chunkInPieces(codec, input, splits);
      const ends = endsOf(records);
      expect(ends).toEqual(naiveChunkEnds(input, vectors));
      ends.forEach((end, index) => {
        expect(chunkHashHex(records, index)).toBe(
          hashToHex(codec.chunkHash(input.subarray(ends[index - 1] ?? 0, end))),
        );
      });
    });
  });

  test('input in pieces of any one size gives the same chunks', () => {
    const data = concat([splitMix64(9, 150_000), new Uint8Array(150_000), splitMix64(10, 50_000)]);
    const expected = chunkInPieces(codec, data, []);
    holds(60, fc.integer({ min: 16, max: 140_000 }), (step) => {
      const splits = Array.from({ length: Math.floor(data.length / step) }, (_, index) => (index + 1) * step);
      expect(chunkInPieces(codec, data, splits)).toEqual(expected);
    });
  });
});

const scheme = fc.constantFrom('auto', 'none', 'lz4', 'bg4-lz4');

function recordsFor(chunks: Uint8Array[]): Uint8Array {
  return recordsOf(chunks.map((chunk) => [hashToHex(codec.chunkHash(chunk)), chunk.length]));
}

describe('xorbs', () => {
  test('a packed xorb decodes to its chunks and records', () => {
    const chunks = fc.array(bytes(20_000), { minLength: 1, maxLength: 40 });
    holds(120, fc.tuple(chunks, fc.array(fc.nat(39), { maxLength: 5 }), scheme), ([parts, cuts, compression]) => {
      const starts = new Set([0, ...cuts.filter((cut) => cut < parts.length)]);
      const records = recordsFor(parts);
      const data = concat(parts);
      const fileStarts = Uint32Array.from(starts).sort();
      const { hash, body } = codec.serializeXorb(data, records, fileStarts, compression);
      expect(hash).toEqual(codec.xorbHash(records));
      const run = codec.decodeRun(body);
      expect(sameBytes(run.data, data)).toBe(true);
      expect(run.chunks).toEqual(records);
      expect(codec.recordsOf(body)).toEqual(records);
      // Never larger than the chunks and their headers.
      expect(body.length).toBeLessThanOrEqual(data.length + 8 * parts.length);
    });
  });

  test('packInPlace gives the same frames for any buffer size', () => {
    const chunks = fc.array(bytes(20_000), { minLength: 1, maxLength: 20 });
    holds(120, fc.tuple(chunks, fc.nat(400_000)), ([parts, spare]) => {
      const records = recordsFor(parts);
      const data = concat(parts);
      const expected = codec.serializeXorb(data, records).body;
      const room = new Uint8Array(data.length + spare);
      room.set(data);
      const packed = codec.packInPlace(room.subarray(0, data.length), records);
      expect(sameBytes(packed, expected)).toBe(true);
      // No memory is kept that is mostly empty.
      expect(packed.buffer.byteLength).toBeLessThanOrEqual(2 * packed.length);
      const fits = packed.length <= room.length && room.length <= 2 * packed.length;
      expect(packed.buffer === room.buffer).toBe(fits);
    });
  });

  test('frames can be decoded in separate runs', () => {
    const chunks = fc.array(bytes(3000), { minLength: 2, maxLength: 12 });
    holds(60, fc.tuple(chunks, scheme, fc.nat(11)), ([parts, compression, at]) => {
      const records = recordsFor(parts);
      const cut = 1 + (at % (parts.length - 1));
      const { body } = codec.serializeXorb(concat(parts), records, undefined, compression);
      let offset = 0;
      for (let index = 0; index < cut; index++) {
        offset += 8 + (body[offset + 1]! | (body[offset + 2]! << 8) | (body[offset + 3]! << 16));
      }
      const runs = [body.subarray(0, offset), body.subarray(offset)].map((frames) => codec.decodeRun(frames));
      expect(concat(runs.map((run) => run.data))).toEqual(concat(parts));
      expect(runs[0]!.chunks).toEqual(chunkSlice(records, 0, cut));
      expect(runs[1]!.chunks).toEqual(chunkSlice(records, cut, parts.length));
    });
  });
});

/** The result of damaged input: a run, or nothing if it was refused as it should be. Anything else is a bug. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (isXetError(error, 'PROTOCOL')) return undefined;
    throw error;
  }
}

/** Whatever was decoded, each record tells the truth about its bytes. */
function expectHonest(run: DecodedRun): void {
  expect(run.chunks.length % CHUNK_RECORD_BYTES).toBe(0);
  expect(totalLength(run.chunks)).toBe(run.data.length);
  let start = 0;
  for (let index = 0; index < chunkCount(run.chunks); index++) {
    const end = start + chunkLength(run.chunks, index);
    expect(chunkHashHex(run.chunks, index)).toBe(hashToHex(codec.chunkHash(run.data.subarray(start, end))));
    start = end;
  }
}

describe('damaged frames', () => {
  const text = new TextEncoder().encode('the same words, the same words, and the same words again. '.repeat(6));
  const parts = [splitMix64(11, 40), text, text.subarray(3)];
  const records = recordsFor(parts);
  const good = concat([
    codec.serializeXorb(parts[0]!, chunkSlice(records, 0, 1), undefined, 'none').body,
    codec.serializeXorb(parts[1]!, chunkSlice(records, 1, 2), undefined, 'lz4').body,
    codec.serializeXorb(parts[2]!, chunkSlice(records, 2, 3), undefined, 'bg4-lz4').body,
  ]);
  const expectStillWell = () => {
    const run = codec.decodeRun(good);
    expect(run.data).toEqual(concat(parts));
    expect(run.chunks).toEqual(records);
  };

  test('frames that are truncated at any byte are refused', () => {
    const whole: number[] = [];
    for (let length = 0; length < good.length; length++) {
      const run = attempt(() => codec.decodeRun(good.subarray(0, length)));
      expect(attempt(() => codec.recordsOf(good.subarray(0, length)))).toEqual(run?.chunks);
      if (run === undefined) continue;
      whole.push(length);
      expect(run.chunks).toEqual(chunkSlice(records, 0, whole.length - 1));
    }
    expect(whole).toHaveLength(3);
    expectStillWell();
  });

  test('frames with any flipped bit are refused or decode to other chunks', () => {
    let refused = 0;
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      const run = attempt(() => codec.decodeRun(bad));
      if (run === undefined) {
        refused++;
        continue;
      }
      expectHonest(run);
      // Wrong bytes are found by comparing records.
      if (sameBytes(run.chunks, records)) expect(sameBytes(run.data, concat(parts)), `bit ${bit}`).toBe(true);
    }
    expect(refused).toBeGreaterThan(0);
    expectStillWell();
  });

  test('frames with several changed bytes are refused or decode to other chunks', () => {
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    holds(2000, damage, (changes) => {
      const bad = good.slice();
      for (const [at, value] of changes) bad[at] = value;
      const run = attempt(() => codec.decodeRun(bad));
      if (run) expectHonest(run);
    });
    expectStillWell();
  });

  test('damaged frames of large chunks are refused or decode to other chunks', () => {
    const chunk = Uint8Array.from({ length: 131_072 }, (_, index) => 97 + ((index * (index >> 5)) % 23));
    const record = recordsFor([chunk]);
    const bodies = (['lz4', 'bg4-lz4'] as const).map(
      (kind) => codec.serializeXorb(chunk, record, undefined, kind).body,
    );
    holds(150, fc.tuple(fc.constantFrom(...bodies), fc.nat(), fc.nat(7)), ([body, at, bit]) => {
      const bad = body.slice();
      bad[at % bad.length]! ^= 1 << bit;
      const run = attempt(() => codec.decodeRun(bad));
      if (run && sameBytes(run.chunks, record)) expect(sameBytes(run.data, chunk)).toBe(true);
      if (run) expectHonest(run);
    });
    expectStillWell();
  });

  test('random bytes are refused as frames, and never trap', () => {
    holds(2000, fc.uint8Array({ maxLength: 300 }), (noise) => {
      const run = attempt(() => codec.decodeRun(noise));
      if (run) expectHonest(run);
    });
    expectStillWell();
  });

  test('random bytes after a valid frame header are refused, and never trap', () => {
    const payload = fc.uint8Array({ maxLength: 300 });
    holds(2000, fc.tuple(fc.nat(2), fc.nat(131_072), payload, fc.boolean()), ([kind, length, noise, magic]) => {
      const body = magic ? concat([Uint8Array.of(0x04, 0x22, 0x4d, 0x18), noise]) : noise;
      const run = attempt(() => codec.decodeRun(frame(kind, length, body)));
      if (run) expectHonest(run);
    });
    expectStillWell();
  });
});

const term = fc.record({
  xorb: hashHex,
  unpackedLength: uint32,
  chunks: fc.record({ start: uint32, end: uint32 }),
});

function shardFile(verified: boolean): fc.Arbitrary<ShardFile> {
  return fc
    .record({ hash: hashHex, terms: fc.array(term, { minLength: 1, maxLength: 5 }), digest: fc.option(sha256) })
    .chain(({ hash, terms, digest }) =>
      fc
        .array(hashHex, { minLength: verified ? terms.length : 0, maxLength: verified ? terms.length : 0 })
        .map((verification) => ({ hash, terms, verification, sha256: digest ?? undefined })),
    );
}

// One in 1024 hashes is offered to others; here it is every third or so.
const chunkHashText = fc
  .tuple(hashHex, fc.constantFrom('', '000', '400', 'c00', '200', '001'))
  .map(([hash, tail]) => hash.slice(0, 64 - tail.length) + tail);

const shardXorb = fc
  .record({
    hash: hashHex,
    list: fc.array(fc.tuple(chunkHashText, fc.nat(131_072)), { maxLength: 8 }),
    bytesOnDisk: uint32,
  })
  .map(({ hash, list, bytesOnDisk }) => ({ hash, chunks: recordsOf(list), bytesOnDisk }));

const shardContent = fc.boolean().chain((verified) =>
  fc.record({
    // Proofs are for all files of a shard or for none.
    files: fc.uniqueArray(shardFile(verified), { maxLength: 4, selector: ({ hash }) => hash }),
    xorbs: fc.uniqueArray(shardXorb, { maxLength: 4, selector: ({ hash }) => hash }),
  }),
);
type ShardContent = typeof shardContent extends fc.Arbitrary<infer T> ? T : never;

function writerOf({ files, xorbs }: ShardContent) {
  const writer = codec.shardWriter();
  for (const file of files) writer.addFile(file);
  for (const xorb of xorbs) writer.addXorb(xorb);
  return writer;
}

function inHashOrder<T extends { hash: string }>(items: T[]): T[] {
  return [...items].sort((a, b) => (a.hash < b.hash ? -1 : 1));
}

/** A chunk that a server offers to others; `hash % 1024` counts with the last eight bytes. */
function offered(hash: string): boolean {
  return BigInt(`0x${hash.slice(48)}`) % 1024n === 0n;
}

describe('shards', () => {
  test('upload and storage form contain everything written, in hash order', () => {
    holds(200, shardContent, (content) => {
      const writer = writerOf(content);
      const expected: Shard = {
        files: inHashOrder(content.files),
        xorbs: inHashOrder(content.xorbs).map((xorb) => ({
          ...xorb,
          globalDedup: Array.from({ length: chunkCount(xorb.chunks) }, () => false),
          unpackedBytes: totalLength(xorb.chunks),
        })),
        key: undefined,
        keyExpirySeconds: Number.POSITIVE_INFINITY,
      };
      expect(codec.readShard(writer.toUpload())).toEqual(expected);
      expect(codec.readShard(writer.toStore())).toEqual(expected);
      writer.free();
    });
  });

  test('keyed form contains the xorbs with keyed chunk hashes', () => {
    const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((raw) => raw.some((byte) => byte !== 0));
    const expiry = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
    holds(150, fc.tuple(shardContent, key, expiry), ([content, secret, seconds]) => {
      const writer = writerOf(content);
      const shard = codec.readShard(writer.toKeyed(secret, 0, seconds));
      writer.free();
      expect(shard.key).toEqual(secret);
      expect(shard.keyExpirySeconds).toBe(seconds);
      expect(shard.files).toEqual([]);
      expect(shard.xorbs.map(({ hash }) => hash)).toEqual(inHashOrder(content.xorbs).map(({ hash }) => hash));
      inHashOrder(content.xorbs).forEach((plain, at) => {
        const xorb = shard.xorbs[at]!;
        for (let index = 0; index < chunkCount(plain.chunks); index++) {
          const hash = chunkHashHex(plain.chunks, index);
          expect(hashFromHex(chunkHashHex(xorb.chunks, index))).toEqual(codec.keyedHashes(hashFromHex(hash), secret));
          expect(chunkLength(xorb.chunks, index)).toBe(chunkLength(plain.chunks, index));
          expect(xorb.globalDedup[index]).toBe(offered(hash));
        }
      });
    });
  });

  test('an upload does not depend on the order of the calls', () => {
    holds(100, shardContent, ({ files, xorbs }) => {
      const one = writerOf({ files, xorbs });
      const other = writerOf({ files: files.toReversed(), xorbs: xorbs.toReversed() });
      expect(one.toUpload()).toEqual(other.toUpload());
      one.free();
      other.free();
    });
  });
});

describe('damaged shards', () => {
  const sample = fc.sample(
    shardContent.filter(({ files, xorbs }) => files.length > 1 && xorbs.length > 1),
    {
      seed: 20260101,
      numRuns: 1,
    },
  )[0]!;
  const writer = writerOf(sample);
  const forms = {
    upload: writer.toUpload(),
    store: writer.toStore(),
    keyed: writer.toKeyed(splitMix64(12, 32), 1, 2),
  };

  test.each(Object.entries(forms))('a shard that is truncated at any byte is refused: %s', (_, good) => {
    const expected = codec.readShard(good);
    for (let length = 0; length < good.length; length++) {
      expect(
        attempt(() => codec.readShard(good.subarray(0, length))),
        `${length} bytes`,
      ).toBeUndefined();
    }
    expect(codec.readShard(good)).toEqual(expected);
  });

  test.each(Object.entries(forms))('a shard with a flipped bit is read or refused: %s', (_, good) => {
    const expected = codec.readShard(good);
    // Every seventh, which comes by each bit of a byte; the Rust tests flip them all.
    for (let bit = 0; bit < good.length * 8; bit += 7) {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      const shard = attempt(() => codec.readShard(bad));
      for (const file of shard?.files ?? []) {
        expect(file.verification.length === 0 || file.verification.length === file.terms.length).toBe(true);
      }
    }
    expect(codec.readShard(good)).toEqual(expected);
  });

  test('a shard with counts beyond its end is refused', () => {
    for (const count of [1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      const bad = forms.upload.slice();
      new DataView(bad.buffer).setUint32(48 + 36, count, true);
      expect(
        attempt(() => codec.readShard(bad)),
        `${count} terms`,
      ).toBeUndefined();
    }
  });

  test('random bytes are refused as shards, and never trap', () => {
    holds(2000, fc.tuple(fc.uint8Array({ maxLength: 600 }), fc.boolean()), ([noise, tagged]) => {
      attempt(() => codec.readShard(tagged ? concat([forms.upload.subarray(0, 48), noise]) : noise));
    });
    expect(codec.readShard(forms.upload).files).toHaveLength(sample.files.length);
  });
});

describe('hashes', () => {
  test('hashes are converted to text and back', () => {
    holds(500, fc.uint8Array({ minLength: 32, maxLength: 32 }), (raw) => {
      const text = hashToHex(raw);
      expect(text).toMatch(/^[0-9a-f]{64}$/);
      expect(hashFromHex(text)).toEqual(raw);
      expect(hashFromHex(text.toUpperCase())).toEqual(raw);
    });
  });

  test('text that is not a hash is INVALID_ARGUMENT', () => {
    holds(500, fc.string({ maxLength: 80 }), (text) => {
      fc.pre(!/^[0-9a-f]{64}$/i.test(text));
      expect(() => hashFromHex(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    });
  });

  test('partial hashes of any division of a file merge into its hash', () => {
    const chunks = fc.array(fc.tuple(hashHex, fc.nat(131_072)), { maxLength: 120 });
    holds(150, fc.tuple(chunks, fc.array(fc.nat(120), { maxLength: 6 })), ([list, cuts]) => {
      const records = recordsOf(list);
      const inside = cuts.map((cut) => cut % (list.length + 1)).sort((a, b) => a - b);
      const bounds = [0, ...inside, list.length];
      const runs = bounds
        .slice(1)
        .map((end, index) =>
          codec.partialFileHash(chunkSlice(records, bounds[index]!, end), index === 0, index === bounds.length - 2),
        );
      const [first, ...others] = runs;
      for (const run of others) first!.append(run);
      expect(hashToHex(first!.fileHash())).toBe(hashToHex(codec.fileHash(records)));
      for (const run of runs) run.free();
    });
  });
});
