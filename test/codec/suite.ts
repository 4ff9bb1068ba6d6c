import type { CompressionChoice, DecodedRun, SerializedXorb } from '../../src/codec/codec.ts';
import { type ChunkRecords, chunkHashHex } from '../../src/core/chunks.ts';
import type { XetErrorCode } from '../../src/core/errors.ts';
import { hashFromHex, hashToHex } from '../../src/core/hash.ts';
import {
  concat,
  endsOf,
  frame,
  hashesOf,
  plainHex,
  recordsOf,
  sameBytes,
  splitMix64,
  triggerData,
  type Vectors,
} from '../support/vectors.ts';

/** A codec wherever it runs: on this thread, in a worker, in a browser's worker. */
export interface VectorCodec {
  /** The chunks of the data, handed over in pieces that end at these ascending offsets; the rest is the last piece. */
  chunk(data: Uint8Array, splits: number[]): Promise<ChunkRecords>;
  chunkHash(chunk: Uint8Array): Promise<Uint8Array>;
  xorbHash(chunks: ChunkRecords): Promise<Uint8Array>;
  fileHash(chunks: ChunkRecords, salt: Uint8Array): Promise<Uint8Array>;
  verificationHash(hashes: Uint8Array): Promise<Uint8Array>;
  keyedHashes(hashes: Uint8Array, key: Uint8Array): Promise<Uint8Array>;
  decodeRun(frames: Uint8Array): Promise<DecodedRun>;
  serializeXorb(
    data: Uint8Array,
    chunks: ChunkRecords,
    fileStarts: Uint32Array,
    compression: CompressionChoice,
  ): Promise<SerializedXorb>;
}

/** Test runner of the suite. Independent of Vitest, so that pages and other runtimes can run it. */
export interface SuiteHooks {
  test(name: string, run: () => Promise<void>): void;
  /** Deep equality; the note says which of many cases is meant. */
  equal(found: unknown, expected: unknown, note?: string): void;
  /** Passes if the call rejects with a `XetError` of this code. */
  throws(run: () => Promise<unknown>, code: XetErrorCode, note?: string): Promise<void>;
}

const NO_SALT = new Uint8Array(32);
const SCHEMES: CompressionChoice[] = ['none', 'lz4', 'bg4-lz4', 'auto'];
const MAX_CHUNK = 131_072;

/** All vectors against one codec. */
export function codecVectorSuite(
  name: string,
  codec: () => Promise<VectorCodec>,
  vectors: Vectors,
  { test, equal, throws }: SuiteHooks,
): void {
  const define = (title: string, run: (codec: VectorCodec) => Promise<void>) =>
    test(`${name}: ${title}`, async () => run(await codec()));
  const whole = (on: VectorCodec, data: Uint8Array) => on.chunk(data, []);
  const inSteps = (on: VectorCodec, data: Uint8Array, step: number) =>
    on.chunk(
      data,
      Array.from({ length: Math.ceil(data.length / step) - 1 }, (_, index) => (index + 1) * step),
    );

  define('aggregated hashes', async (on) => {
    // The lengths of list 17 need more than 32 bits, so no chunk record can hold them.
    const lists = vectors.aggregatedHash.filter(({ chunks }) => chunks.every(([, length]) => length < 2 ** 32));
    equal(lists.length, 17);
    for (const { chunks, xorbHash, fileHashBySalt } of lists) {
      const records = recordsOf(chunks);
      equal(hashToHex(await on.xorbHash(records)), xorbHash, `${chunks.length} chunks`);
      for (const [salt, hash] of fileHashBySalt) {
        equal(hashToHex(await on.fileHash(records, hashFromHex(salt))), hash, `${chunks.length} chunks, salt ${salt}`);
      }
    }
  });

  define('chunk hash, internal node, verification hash', async (on) => {
    const { chunk, internalNode, verificationRange } = vectors.hashVectors;
    for (const { ascii, raw, xet } of chunk) {
      const found = await on.chunkHash(new TextEncoder().encode(ascii));
      equal(hashToHex(found), xet);
      equal(found, plainHex(raw));
    }
    // A list of two chunks makes exactly one internal node, which then is the xorb hash.
    equal(hashToHex(await on.xorbHash(recordsOf(internalNode.children))), internalNode.xet);
    const hashes = concat(verificationRange.chunks.map(hashFromHex));
    equal(hashToHex(await on.verificationHash(hashes)), verificationRange.xet);
  });

  define('hash of an empty file', async (on) => {
    const { xetCore, draft03_WRONG } = vectors.hashVectors.emptyFile;
    const found = hashToHex(await on.fileHash(new Uint8Array(), NO_SALT));
    equal(found, xetCore);
    equal(found === draft03_WRONG, false);
    equal(await whole(on, new Uint8Array()), new Uint8Array());
  });

  // Over one 32-byte input the hash functions are all BLAKE3 with a key of their own, so a keyed hash shows the
  // keys. The key of internal nodes is left to their vector: their input is longer.
  define('keys of the hash functions', async (on) => {
    const input = splitMix64(1, 32);
    const under = (key: string) => on.keyedHashes(input, plainHex(key));
    const { data, verification, file } = vectors.keys_hex;
    equal(await on.chunkHash(input), await under(data));
    equal(await on.verificationHash(input), await under(verification));
    equal(await on.fileHash(recordsOf([[hashToHex(input), 7]]), NO_SALT), await under(file));
  });

  define('chunks of a random megabyte', async (on) => {
    const data = splitMix64(0, 1_000_000);
    equal([data[0], data[127], data[111_111]], [175, 132, 118], 'the generator itself');
    const records = await whole(on, data);
    equal(endsOf(records), vectors.chunking.random1MB_seed0);
    const { firstChunk, xorb, file, verificationAll } = vectors.derived_by_us.random1MBseed0;
    equal(chunkHashHex(records, 0), firstChunk);
    equal(hashToHex(await on.xorbHash(records)), xorb);
    equal(hashToHex(await on.fileHash(records, NO_SALT)), file);
    equal(hashToHex(await on.verificationHash(hashesOf(records))), verificationAll);
  });

  define('chunks of a constant megabyte', async (on) => {
    const records = await whole(on, new Uint8Array(1_000_000).fill(59));
    equal(endsOf(records), vectors.chunking.const59_1MB);
    equal(hashToHex(await on.fileHash(records, NO_SALT)), vectors.derived_by_us.const59_1MB_file);
  });

  define('hash of a file of one small chunk', async (on) => {
    const records = await whole(on, new TextEncoder().encode('Hello World!'));
    equal(hashToHex(await on.fileHash(records, NO_SALT)), vectors.derived_by_us.helloWorldFile);
  });

  define('chunks around the smallest size', async (on) => {
    const { pattern, sampleAt11111, boundaries } = vectors.chunking.trigger;
    equal(Object.keys(boundaries).length, 128);
    for (const [padding, ends] of Object.entries(boundaries)) {
      const data = triggerData(pattern, Number(padding));
      equal(data[11_111], sampleAt11111[padding], `padding ${padding}: the input itself`);
      equal(endsOf(await whole(on, data)), ends, `padding ${padding}`);
    }
  });

  define('chunks of split input', async (on) => {
    const data = splitMix64(0, 1_000_000);
    const expected = await whole(on, data);
    for (const step of [37, 255, 8127, 8191, 8192, 8193, 131_071, 131_072, 131_073]) {
      equal(await inSteps(on, data, step), expected, `pieces of ${step} bytes`);
    }
    const { pattern } = vectors.chunking.trigger;
    // Byte by byte only a short one: to a worker each is a message there and one back. Some padding meets every phase of
    // the skip.
    for (const padding of [0, 1, 62, 63, 64, 127]) {
      const short = triggerData(pattern, padding);
      const shortExpected = await whole(on, short);
      for (const step of padding === 63 ? [1, 37, 255] : [37, 255]) {
        equal(await inSteps(on, short, step), shortExpected, `padding ${padding}, pieces of ${step} bytes`);
      }
    }
    equal(await on.chunk(data, [0, 0, 500, 500, data.length, data.length]), expected, 'empty pieces');
  });

  // Takes the chunk list as given: the chunk hashes and the sha256 need the dataset's file.
  define('hashes of the reference file', async (on) => {
    const { chunkList, chunks, size, xorbHash, fileHash, rangeHash, ...keyed } = vectors.referenceDataset;
    const records = recordsOf(chunkList);
    equal(chunkList.length, chunks);
    equal(endsOf(records).at(-1), size);
    equal(hashToHex(await on.xorbHash(records)), xorbHash);
    equal(hashToHex(await on.fileHash(records, NO_SALT)), fileHash);
    equal(hashToHex(await on.verificationHash(hashesOf(records))), rangeHash);
    const found = await on.keyedHashes(hashesOf(records), hashFromHex(keyed.dedupeKey));
    equal(found.length, chunks * 32);
    const first = keyed.dedupeKeyedFirstChunks;
    equal(
      first.map((_, index) => hashToHex(found, index * 32)),
      first,
    );
  });

  define('xorbs of every length mod 4', async (on) => {
    const noise = splitMix64(2, MAX_CHUNK);
    const lengths = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 61, 62, 63, 64, 8191, 8192, MAX_CHUNK - 1, MAX_CHUNK];
    for (const length of lengths) {
      const table = Uint8Array.from({ length }, (_, index) => (index % 4 === 0 ? index >> 2 : 0));
      for (const data of [noise.slice(0, length), new Uint8Array(length).fill(97), table]) {
        const records = recordsOf([[hashToHex(await on.chunkHash(data)), length]]);
        for (const scheme of SCHEMES) {
          const { hash, body } = await on.serializeXorb(data, records, new Uint32Array(1), scheme);
          equal(hash, await on.xorbHash(records), `${length} bytes, ${scheme}`);
          const run = await on.decodeRun(body);
          equal(sameBytes(run.data, data), true, `${length} bytes, ${scheme}`);
          equal(run.chunks, records, `${length} bytes, ${scheme}`);
        }
      }
    }
  });

  define('schemes of stored chunks', async (on) => {
    const pack = async (data: Uint8Array, scheme: CompressionChoice) => {
      const records = recordsOf([[hashToHex(await on.chunkHash(data)), data.length]]);
      return (await on.serializeXorb(data, records, new Uint32Array(1), scheme)).body;
    };
    const text = new TextEncoder().encode('to be or not to be '.repeat(200));
    equal((await pack(text, 'none'))[4], 0);
    equal((await pack(text, 'lz4'))[4], 1);
    equal((await pack(text, 'bg4-lz4'))[4], 2);
    equal((await pack(text, 'auto'))[4], 1);
    const table = new Uint8Array(Uint32Array.from({ length: 1000 }, (_, index) => index * 7).buffer);
    equal((await pack(table, 'auto'))[4], 2);
    // Incompressible data is stored as it is, after an 8-byte header.
    const noise = splitMix64(3, 5000);
    for (const scheme of SCHEMES) equal(sameBytes(await pack(noise, scheme), frame(0, 5000, noise)), true, scheme);
  });

  define('byte grouping', async (on) => {
    for (const [length, grouped] of vectors.hashVectors.byteGroup4) {
      const data = Uint8Array.from({ length }, (_, index) => index);
      const run = await on.decodeRun(frame(2, length, lz4Stored(Uint8Array.from(grouped))));
      equal(run.data, data, `${length} bytes`);
      equal(chunkHashHex(run.chunks, 0), hashToHex(await on.chunkHash(data)));
    }
  });

  define('frames that are none', async (on) => {
    const abc = new TextEncoder().encode('abc');
    const changed = (at: number, value: number) => {
      const bytes = frame(0, 3, abc);
      bytes[at] = value;
      return bytes;
    };
    for (const version of [1, 2, 0x58, 255]) await throws(() => on.decodeRun(changed(0, version)), 'PROTOCOL');
    for (const scheme of [3, 4, 98, 99, 100, 255]) {
      await throws(() => on.decodeRun(changed(4, scheme)), 'PROTOCOL', `scheme ${scheme}`);
    }
    for (const length of [0, 2, 4, MAX_CHUNK, MAX_CHUNK + 1, 0xff_ffff]) {
      for (const scheme of [0, 1, 2]) {
        const payload = scheme === 0 ? abc : lz4Stored(abc);
        const note = `${length} bytes announced, scheme ${scheme}`;
        await throws(() => on.decodeRun(frame(scheme, length, payload)), 'PROTOCOL', note);
      }
    }
    const longest = new Uint8Array(2 * MAX_CHUNK + 1);
    await throws(() => on.decodeRun(frame(1, 3, longest)), 'PROTOCOL', 'more packed bytes than a frame may have');
    await throws(() => on.decodeRun(frame(1, 3, abc)), 'PROTOCOL', 'no LZ4');
    const footer = new TextEncoder().encode('XETBLOB\x01 and more');
    await throws(() => on.decodeRun(footer), 'PROTOCOL', 'the footer of a xorb');
    const good = concat([frame(0, 3, abc), frame(2, 3, lz4Stored(abc))]);
    for (let length = 1; length < good.length; length++) {
      if (length === 11) continue; // exactly the first frame
      await throws(() => on.decodeRun(good.subarray(0, length)), 'PROTOCOL', `${length} bytes`);
    }
    equal((await on.decodeRun(good)).data, new TextEncoder().encode('abcabc'), 'afterwards');
  });

  define('arguments of the wrong size', async (on) => {
    const key = new Uint8Array(32);
    for (const length of [1, 31, 35, 37]) {
      const bytes = new Uint8Array(length);
      await throws(() => on.xorbHash(bytes), 'INVALID_ARGUMENT');
      await throws(() => on.fileHash(bytes, NO_SALT), 'INVALID_ARGUMENT');
      await throws(() => on.fileHash(new Uint8Array(36), bytes), 'INVALID_ARGUMENT');
      await throws(() => on.verificationHash(bytes), 'INVALID_ARGUMENT');
      await throws(() => on.keyedHashes(bytes, key), 'INVALID_ARGUMENT');
      await throws(() => on.keyedHashes(key, bytes), 'INVALID_ARGUMENT');
    }
    const record = recordsOf([['00'.repeat(32), 3]]);
    const pack = (data: number, records: ChunkRecords, starts: number[]) => () =>
      on.serializeXorb(new Uint8Array(data), records, Uint32Array.from(starts), 'none');
    await throws(pack(2, record, [0]), 'INVALID_ARGUMENT', 'too few bytes');
    await throws(pack(4, record, [0]), 'INVALID_ARGUMENT', 'too many bytes');
    await throws(pack(0, new Uint8Array(), [0]), 'INVALID_ARGUMENT', 'no chunks');
    await throws(pack(3, record, []), 'INVALID_ARGUMENT', 'no file');
    await throws(pack(3, record, [1]), 'INVALID_ARGUMENT', 'no file at chunk 0');
    await throws(pack(3, record, [0, 1]), 'INVALID_ARGUMENT', 'a file after the last chunk');
  });
}

/** An LZ4 frame of one stored block: what any LZ4 writer makes of bytes that do not shrink. */
function lz4Stored(data: Uint8Array): Uint8Array {
  // Magic number, version 1 with independent blocks, 64 KiB blocks, checksum of these two bytes.
  const head = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
  return concat([Uint8Array.from([...head, data.length, 0, 0, 0x80]), data, new Uint8Array(4)]);
}
