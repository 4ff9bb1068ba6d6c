import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Codec, CompressionChoice } from '../codec/codec.ts';
import {
  ChunkRecordList,
  type ChunkRecords,
  chunkCount,
  chunkHashHex,
  chunkLength,
  chunkSlice,
} from '../core/chunks.ts';
import { HASH_BYTES, hashToHex } from '../core/hash.ts';
import type { Caller } from './caller.ts';
import type { FileRecord, StoredTerm } from './store/file-store.ts';
import { MAX_XORB_CHUNKS } from './store/receive-xorb.ts';
import type { Store } from './store/store.ts';
import { frameEnds, StoredXorbIndex } from './store/xorb-index.ts';

const MAX_XORB_BYTES = 64 * 1024 * 1024;

export interface IngestOptions {
  /** Compression of chunks in new xorbs. Default: `auto`. */
  compression?: CompressionChoice;
  /** Cuts xorbs after so many chunks, to make files of many terms. Default 8192. */
  chunksPerXorb?: number;
}

/** Location of a chunk: in a stored xorb, or in the one being filled. */
interface Place {
  xorb: string | undefined;
  index: number;
}

/** A term before its xorb has a name. */
interface DraftTerm {
  xorb: string | undefined;
  start: number;
  end: number;
}

interface DraftFile {
  size: number;
  sha256: string;
  records: ChunkRecords;
  terms: DraftTerm[];
}

/** Stores content the way a client would upload it: chunked, deduplicated against what is there, packed into xorbs. */
export class Ingest {
  readonly #codec: Codec;
  readonly #store: Store;
  readonly #owner: Caller;
  readonly #options: IngestOptions;
  readonly #places = new Map<string, Place>();
  readonly #xorbs: StoredXorbIndex[] = [];
  readonly #drafts: DraftFile[] = [];
  /** References to the xorb that is being filled. */
  readonly #unnamed: { xorb: string | undefined }[] = [];
  #filling: { pieces: Uint8Array[]; bytes: number; records: ChunkRecordList; fileStarts: number[] } = emptyXorb();

  constructor(codec: Codec, store: Store, owner: Caller, options: IngestOptions = {}) {
    this.#codec = codec;
    this.#store = store;
    this.#owner = owner;
    this.#options = options;
  }

  /** Takes the content of one file. It is known to the server after {@link finish}. */
  async add(content: AsyncIterable<Uint8Array>): Promise<{ size: number; sha256: string; hash: string }> {
    const digest = createHash('sha256');
    const chunker = this.#codec.chunker();
    const all = new ChunkRecordList();
    const terms: DraftTerm[] = [];
    let size = 0;
    let carried: Uint8Array = new Uint8Array();
    const take = async (block: Uint8Array, last: boolean) => {
      const data = carried.length === 0 ? block : Buffer.concat([carried, block]);
      const records = chunker.push(block, last);
      let at = 0;
      for (let index = 0; index < chunkCount(records); index++) {
        const end = at + chunkLength(records, index);
        await this.#place(chunkSlice(records, index, index + 1), data.subarray(at, end), terms, all.count + index);
        at = end;
      }
      all.push(records);
      carried = data.subarray(at);
    };
    try {
      for await (const block of content) {
        digest.update(block);
        size += block.length;
        await take(block, false);
      }
      await take(new Uint8Array(), true);
    } finally {
      chunker.free();
    }
    const records = all.records.slice();
    const sha256 = digest.digest('hex');
    this.#drafts.push({ size, sha256, records, terms });
    return { size, sha256, hash: hashToHex(this.#codec.fileHash(records)) };
  }

  /** Stores what is left and registers the files. */
  async finish(): Promise<FileRecord[]> {
    await this.#cut();
    const files = this.#drafts.map((draft) => this.#register(draft));
    for (const file of files) await this.#store.files.add(file);
    await this.#store.dedup.add(this.#xorbs, files, this.#owner);
    return files;
  }

  async #place(record: ChunkRecords, chunk: Uint8Array, terms: DraftTerm[], position: number): Promise<void> {
    const hash = chunkHashHex(record, 0);
    if (!this.#places.has(hash)) await this.#askStore(hash);
    const last = terms.at(-1);
    const known = this.#places.get(hash);
    if (known) {
      if (last && last.xorb === known.xorb && last.end === known.index) last.end++;
      else terms.push(this.#named({ xorb: known.xorb, start: known.index, end: known.index + 1 }));
      return;
    }
    const most = Math.min(this.#options.chunksPerXorb ?? MAX_XORB_CHUNKS, MAX_XORB_CHUNKS);
    const { bytes, records } = this.#filling;
    if (records.count >= most || bytes + chunk.length > MAX_XORB_BYTES) {
      await this.#cut();
    }
    const filling = this.#filling;
    const index = filling.records.count;
    if (position === 0 && index > 0) filling.fileStarts.push(index);
    filling.records.push(record);
    // A copy: the block it is part of is much larger and would be kept alive.
    filling.pieces.push(new Uint8Array(chunk));
    filling.bytes += chunk.length;
    this.#places.set(hash, this.#named({ xorb: undefined, index }));
    const before = terms.at(-1);
    if (before && before.xorb === undefined && before.end === index) before.end++;
    else terms.push(this.#named({ xorb: undefined, start: index, end: index + 1 }));
  }

  /** Sees to it that the xorb is named once it has a name. */
  #named<T extends { xorb: string | undefined }>(entry: T): T {
    if (entry.xorb === undefined) this.#unnamed.push(entry);
    return entry;
  }

  /** Learns all chunks of the shard that a chunk came with, as a client does from the answer to its query. */
  async #askStore(hash: string): Promise<void> {
    for (const name of this.#store.dedup.lookUp(hash) ?? []) {
      const xorb = await this.#store.xorbs.whole(name);
      for (let index = 0; index < (xorb?.count ?? 0); index++) {
        const chunk = xorb ? chunkHashHex(xorb.chunks, index) : '';
        if (!this.#places.has(chunk)) this.#places.set(chunk, { xorb: name, index });
      }
    }
  }

  /** Stores the xorb that is being filled and puts its name wherever it was referred to. */
  async #cut(): Promise<void> {
    const { pieces, bytes, records, fileStarts } = this.#filling;
    this.#filling = emptyXorb();
    if (records.count === 0) return;
    const data = Buffer.concat(pieces, bytes);
    const chunks = records.records.slice();
    const { hash, body } = this.#codec.serializeXorb(
      data,
      chunks,
      Uint32Array.from(fileStarts),
      this.#options.compression,
    );
    const name = hashToHex(hash);
    const index = new StoredXorbIndex(name, chunks, Uint32Array.from(frameEnds(body, chunks)));
    const staged = await this.#store.staging.stage(body);
    if (!(await this.#store.xorbs.add(index, staged))) await rm(staged, { force: true });
    this.#xorbs.push((await this.#store.xorbs.index(name)) ?? index);
    for (const unnamed of this.#unnamed.splice(0)) unnamed.xorb = name;
  }

  #register({ size, sha256, records, terms }: DraftFile): FileRecord {
    let position = 0;
    const stored = terms.map((term): StoredTerm => {
      const count = term.end - term.start;
      const run = chunkSlice(records, position, position + count);
      position += count;
      const hashes = new Uint8Array(count * HASH_BYTES);
      let unpackedLength = 0;
      for (let index = 0; index < count; index++) {
        const record = chunkSlice(run, index, index + 1);
        hashes.set(record.subarray(0, HASH_BYTES), index * HASH_BYTES);
        unpackedLength += chunkLength(record, 0);
      }
      return {
        xorb: term.xorb ?? '',
        chunks: { start: term.start, end: term.end },
        unpackedLength,
        verification: hashToHex(this.#codec.verificationHash(hashes)),
      };
    });
    return { hash: hashToHex(this.#codec.fileHash(records)), size, sha256, terms: stored };
  }
}

function emptyXorb() {
  return { pieces: [], bytes: 0, records: new ChunkRecordList(), fileStarts: [0] };
}
