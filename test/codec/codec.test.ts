import { describe, expect, test } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { hashFromHex, hashToHex, ZERO_HASH } from '../../src/core/hash.ts';
import { naiveChunkEnds } from '../support/naive-codec.ts';
import { readVectors } from '../support/read-vectors.ts';
import { concat, hashesOf, recordsOf, splitMix64, triggerData } from '../support/vectors.ts';
import { vitestHooks } from './hooks.ts';
import { localVectorCodec } from './local.ts';
import { codecVectorSuite } from './suite.ts';

const vectors = await readVectors();
const codec = await loadCodec();

codecVectorSuite('local', async () => localVectorCodec(codec), vectors, vitestHooks);

describe('naive chunker', () => {
  test('the naive chunker reproduces the vectors', () => {
    const { chunking } = vectors;
    expect(naiveChunkEnds(splitMix64(0, 1_000_000), vectors)).toEqual(chunking.random1MB_seed0);
    expect(naiveChunkEnds(new Uint8Array(1_000_000).fill(59), vectors)).toEqual(chunking.const59_1MB);
    for (const [padding, ends] of Object.entries(chunking.trigger.boundaries)) {
      // Each takes a while; the codec itself is held against all 128.
      if (Number(padding) % 8 !== 0) continue;
      expect(naiveChunkEnds(triggerData(chunking.trigger.pattern, Number(padding)), vectors)).toEqual(ends);
    }
  });
});

describe('Codec.crc64', () => {
  test('the checksum is CRC-64/NVME, however the bytes are split', () => {
    const sum = (parts: Uint8Array[]) => parts.reduce((before, part) => codec.crc64(part, before), 0n);
    expect(sum([new TextEncoder().encode('123456789')])).toBe(0xae8b14860a799888n);
    expect(sum([])).toBe(0n);
    // Past the steps in which it is handed to the module.
    const bytes = splitMix64(13, 600_000);
    for (const at of [1, 7, 8, 500, 262_144, 599_999])
      expect(sum([bytes.subarray(0, at), bytes.subarray(at)])).toBe(sum([bytes]));
  });
});

describe('Codec.load', () => {
  test('all calls on a thread return the same codec', async () => {
    const [first, second] = await Promise.all([loadCodec(), loadCodec()]);
    expect(first).toBe(codec);
    expect(second).toBe(codec);
  });
});

describe('results of a codec', () => {
  test('results are copies that later calls do not change', () => {
    const chunk = splitMix64(5, 100_000);
    const records = recordsOf([[hashToHex(codec.chunkHash(chunk)), chunk.length]]);
    const { body } = codec.serializeXorb(chunk, records, undefined, 'none');
    const kept = codec.decodeRun(body);
    // A larger run makes the module's memory grow and its buffers move.
    const large = concat(Array.from({ length: 200 }, () => body));
    expect(codec.decodeRun(large).data.length).toBe(200 * chunk.length);
    expect(kept.data).toEqual(chunk);
    expect(kept.chunks).toEqual(records);
  });

  test('input can be a view into a larger buffer', () => {
    const data = splitMix64(6, 1000);
    expect(codec.chunkHash(data.subarray(13, 700))).toEqual(codec.chunkHash(data.slice(13, 700)));
    const records = recordsOf([[hashToHex(codec.chunkHash(data)), 1000]]);
    const { body } = codec.serializeXorb(data, records, undefined, 'none');
    const padded = concat([new Uint8Array(7), body, new Uint8Array(9)]);
    expect(codec.decodeRun(padded.subarray(7, 7 + body.length)).data).toEqual(data);
  });

  test('decoding no frames gives no chunks', () => {
    expect(codec.decodeRun(new Uint8Array())).toEqual({ data: new Uint8Array(), chunks: new Uint8Array() });
  });
});

describe('Codec.partialFileHash', () => {
  const { chunkList, fileHash } = vectors.referenceDataset;
  const part = (start: number, end: number) =>
    codec.partialFileHash(recordsOf(chunkList.slice(start, end)), start === 0, end === chunkList.length);

  test('partial hashes merge into the hash of the file', () => {
    for (const cuts of [[], [1], [400], [795], [100, 101, 102], [200, 200, 600]]) {
      const bounds = [0, ...cuts, chunkList.length];
      const runs = bounds.slice(1).map((end, index) => part(bounds[index]!, end));
      const [first, ...others] = runs;
      for (const run of others) first!.append(run);
      expect(hashToHex(first!.fileHash()), `cuts ${cuts}`).toBe(fileHash);
      for (const run of runs) run.free();
    }
  });

  test('the partial hash of an empty file is the zero hash', () => {
    const empty = codec.partialFileHash(new Uint8Array(), true, true);
    expect(hashToHex(empty.fileHash())).toBe(ZERO_HASH);
    empty.free();
  });

  test('partial hashes that do not fit together are refused', () => {
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => part(0, 10).fileHash()).toThrow(invalid);
    expect(() => part(10, 796).fileHash()).toThrow(invalid);
    expect(() => part(0, 796).append(part(10, 796))).toThrow(invalid);
    expect(() => part(0, 10).append(part(0, 796))).toThrow(invalid);
    expect(() => codec.partialFileHash(new Uint8Array(35), true, true)).toThrow(invalid);
    const foreign = { append: () => {}, fileHash: () => new Uint8Array(32), free: () => {} };
    expect(() => part(0, 10).append(foreign)).toThrow(invalid);
  });
});

describe('shards', () => {
  const file = vectors.referenceDataset;
  const records = recordsOf(file.chunkList);
  const verification = [hashToHex(codec.verificationHash(hashesOf(records)))];
  const write = () => {
    const writer = codec.shardWriter();
    writer.addXorb({ hash: file.xorbHash, chunks: records, bytesOnDisk: 14_737_817 });
    writer.addFile({
      hash: file.fileHash,
      terms: [{ xorb: file.xorbHash, unpackedLength: file.size, chunks: { start: 0, end: file.chunks } }],
      verification,
      sha256: file.sha256,
    });
    return writer;
  };

  test('the reference file is written and read in upload and storage form', () => {
    const writer = write();
    for (const bytes of [writer.toUpload(), writer.toStore()]) {
      const shard = codec.readShard(bytes);
      expect(shard.key).toBeUndefined();
      expect(shard.keyExpirySeconds).toBe(Number.POSITIVE_INFINITY);
      expect(shard.files).toEqual([
        {
          hash: file.fileHash,
          terms: [{ xorb: file.xorbHash, unpackedLength: file.size, chunks: { start: 0, end: file.chunks } }],
          verification: [file.rangeHash],
          sha256: file.sha256,
        },
      ]);
      expect(shard.xorbs).toEqual([
        {
          hash: file.xorbHash,
          chunks: records,
          globalDedup: file.chunkList.map(() => false),
          unpackedBytes: file.size,
          bytesOnDisk: 14_737_817,
        },
      ]);
    }
    writer.free();
  });

  test('a sha256 digest is stored with reversed groups of eight bytes', () => {
    // Header, file, term and proof are 48 bytes each; the digest comes next.
    const stored = write().toUpload().subarray(192, 200);
    expect(Buffer.from(stored).toString('hex')).toBe('1276f752b25512f4');
  });

  test('the reference file is written and read in keyed form', () => {
    const key = hashFromHex(file.dedupeKey);
    const shard = codec.readShard(write().toKeyed(key, 1_700_000_000, 1_900_000_000));
    expect(shard.key).toEqual(key);
    expect(shard.keyExpirySeconds).toBe(1_900_000_000);
    expect(shard.files).toEqual([]);
    const [xorb] = shard.xorbs;
    expect(hashesOf(xorb!.chunks)).toEqual(codec.keyedHashes(hashesOf(records), key));
    expect(hashToHex(xorb!.chunks)).toBe(file.dedupeKeyedFirstChunks[0]);
    // Offered are chunks whose plain hash is a multiple of 1024, read as a number from its text form.
    const offered = file.chunkList.map(([hash]) => Number.parseInt(hash.slice(-3), 16) % 1024 === 0);
    expect(xorb!.globalDedup).toEqual(offered);
  });

  test('a file that is added twice is stored once', () => {
    const writer = codec.shardWriter();
    for (const size of [1, 2]) {
      const terms = [{ xorb: file.xorbHash, unpackedLength: size, chunks: { start: 0, end: 1 } }];
      writer.addFile({ hash: file.fileHash, terms, verification, sha256: undefined });
    }
    const { files } = codec.readShard(writer.toUpload());
    expect(files.map(({ terms }) => terms[0]?.unpackedLength)).toEqual([2]);
  });

  test('the first of two entries for one file is read', () => {
    const [bytes, other] = [1, 2].map((size) => {
      const writer = codec.shardWriter();
      const terms = [{ xorb: file.xorbHash, unpackedLength: size, chunks: { start: 0, end: 1 } }];
      writer.addFile({ hash: file.fileHash, terms, verification, sha256: undefined });
      return writer.toUpload();
    });
    // Three records after the header: the file, its term, its proof.
    const both = concat([bytes!.subarray(0, 192), other!.subarray(48)]);
    const { files } = codec.readShard(both);
    expect(files.map(({ terms }) => terms[0]?.unpackedLength)).toEqual([1]);
  });

  test('an empty file can be stored beside others', () => {
    const writer = write();
    writer.addFile({ hash: ZERO_HASH, terms: [], verification: [], sha256: undefined });
    const { files } = codec.readShard(writer.toUpload());
    expect(files[0]).toEqual({ hash: ZERO_HASH, terms: [], verification: [], sha256: undefined });
    expect(files).toHaveLength(2);
  });

  test('values that a shard cannot store are refused', () => {
    const writer = codec.shardWriter();
    const terms = [{ xorb: file.xorbHash, unpackedLength: 1, chunks: { start: 0, end: 1 } }];
    const good = { hash: file.fileHash, terms, verification: [], sha256: undefined };
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => writer.addFile({ ...good, hash: 'short' })).toThrow(invalid);
    expect(() => writer.addFile({ ...good, verification: [ZERO_HASH, ZERO_HASH] })).toThrow(invalid);
    expect(() => writer.addFile({ ...good, sha256: 'abcd' })).toThrow(invalid);
    expect(() => writer.addXorb({ hash: file.xorbHash, chunks: new Uint8Array(35) })).toThrow(invalid);
    expect(() => writer.toKeyed(new Uint8Array(31), 0, 0)).toThrow(invalid);
    expect(() => codec.readShard(new Uint8Array())).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
    expect(codec.readShard(writer.toUpload())).toMatchObject({ files: [], xorbs: [] });
  });
});
