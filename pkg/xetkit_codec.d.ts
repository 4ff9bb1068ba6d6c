/* tslint:disable */
/* eslint-disable */

export class Chunker {
    free(): void;
    [Symbol.dispose](): void;
    constructor();
    push(block: Uint8Array | number[], last: boolean): Uint8Array;
}

export class PartialFileHash {
    free(): void;
    [Symbol.dispose](): void;
    append(next: PartialFileHash): void;
    fileHash(): Uint8Array;
    constructor(records: Uint8Array | number[], at_start: boolean, at_end: boolean);
}

/**
 * Decodes runs of frames and makes them, in buffers that it keeps.
 */
export class RunCodec {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Decodes what was written into the input.
     */
    decode(): void;
    /**
     * The address of a buffer of this many bytes, good until the next call.
     */
    input(length: number): number;
    constructor();
    /**
     * Packs the chunks that were written into the input; gives the hash of the xorb that they make.
     */
    pack(records: Uint8Array | number[], file_starts: Uint32Array | number[], scheme: string): Uint8Array;
    readonly outputLength: number;
    readonly output: number;
    readonly packedLength: number;
    readonly packed: number;
    readonly recordsLength: number;
    readonly records: number;
}

export class ShardBuilder {
    free(): void;
    [Symbol.dispose](): void;
    addFile(hash: Uint8Array | number[], segments: Uint8Array | number[], verification: Uint8Array | number[], sha256: Uint8Array | number[]): void;
    addXorb(hash: Uint8Array | number[], records: Uint8Array | number[], bytes_on_disk: number): void;
    constructor();
    toKeyed(key: Uint8Array | number[], created_seconds: number, expiry_seconds: number): Uint8Array;
    toStore(): Uint8Array;
    toUpload(): Uint8Array;
}

/**
 * Section bounds of a checked shard, as `[filesStart, filesEnd, xorbsStart, xorbsEnd]`.
 */
export class ShardSections {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    readonly bounds: Uint32Array;
    readonly keyExpirySeconds: number;
    readonly key: Uint8Array | undefined;
}

export function chunkHash(data: Uint8Array | number[]): Uint8Array;

/**
 * CRC-64/NVME after some more bytes.
 */
export function crc64(before: bigint, data: Uint8Array | number[]): bigint;

export function fileHash(records: Uint8Array | number[], salt: Uint8Array | number[]): Uint8Array;

export function keyedHashes(hashes: Uint8Array | number[], key: Uint8Array | number[]): Uint8Array;

export function readShard(bytes: Uint8Array | number[]): ShardSections;

/**
 * The state of SHA-256 after some more whole blocks.
 */
export function sha256Blocks(state: Uint8Array | number[], data: Uint8Array | number[]): Uint8Array;

/**
 * Entry point invoked by JavaScript in a worker.
 */
export function task_worker_entry_point(ptr: number): void;

export function verificationHash(hashes: Uint8Array | number[]): Uint8Array;

export function xorbHash(records: Uint8Array | number[]): Uint8Array;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_chunker_free: (a: number, b: number) => void;
    readonly __wbg_partialfilehash_free: (a: number, b: number) => void;
    readonly __wbg_runcodec_free: (a: number, b: number) => void;
    readonly __wbg_shardbuilder_free: (a: number, b: number) => void;
    readonly __wbg_shardsections_free: (a: number, b: number) => void;
    readonly chunkHash: (a: number, b: number) => [number, number];
    readonly chunker_new: () => number;
    readonly chunker_push: (a: number, b: number, c: number, d: number) => [number, number];
    readonly crc64: (a: bigint, b: number, c: number) => bigint;
    readonly fileHash: (a: number, b: number, c: number, d: number) => [number, number, number, number];
    readonly keyedHashes: (a: number, b: number, c: number, d: number) => [number, number, number, number];
    readonly partialfilehash_append: (a: number, b: number) => [number, number];
    readonly partialfilehash_fileHash: (a: number) => [number, number, number, number];
    readonly partialfilehash_new: (a: number, b: number, c: number, d: number) => [number, number, number];
    readonly readShard: (a: number, b: number) => [number, number, number];
    readonly runcodec_decode: (a: number) => [number, number];
    readonly runcodec_input: (a: number, b: number) => number;
    readonly runcodec_new: () => number;
    readonly runcodec_output: (a: number) => number;
    readonly runcodec_outputLength: (a: number) => number;
    readonly runcodec_pack: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => [number, number, number, number];
    readonly runcodec_packed: (a: number) => number;
    readonly runcodec_packedLength: (a: number) => number;
    readonly runcodec_records: (a: number) => number;
    readonly runcodec_recordsLength: (a: number) => number;
    readonly sha256Blocks: (a: number, b: number, c: number, d: number) => [number, number, number, number];
    readonly shardbuilder_addFile: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number) => [number, number];
    readonly shardbuilder_addXorb: (a: number, b: number, c: number, d: number, e: number, f: number) => [number, number];
    readonly shardbuilder_new: () => number;
    readonly shardbuilder_toKeyed: (a: number, b: number, c: number, d: number, e: number) => [number, number, number, number];
    readonly shardbuilder_toStore: (a: number) => [number, number, number, number];
    readonly shardbuilder_toUpload: (a: number) => [number, number, number, number];
    readonly shardsections_bounds: (a: number) => [number, number];
    readonly shardsections_key: (a: number) => [number, number];
    readonly shardsections_keyExpirySeconds: (a: number) => number;
    readonly task_worker_entry_point: (a: number) => [number, number];
    readonly verificationHash: (a: number, b: number) => [number, number, number, number];
    readonly xorbHash: (a: number, b: number) => [number, number, number, number];
    readonly __wbindgen_exn_store: (a: number) => void;
    readonly __externref_table_alloc: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
