import { XetError } from '../core/errors.ts';
import { ggmlType } from './ggml-types.ts';
import { GgufCursor, GgufLimitError } from './gguf-cursor.ts';
import {
  abbreviate,
  type ByteSource,
  checkSource,
  malformed as malformedFile,
  type ReadFormatOptions,
} from './source.ts';

/** An array in a GGUF file: numbers as a typed array, all other values as a list. */
export type GgufArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | boolean[]
  | string[]
  | GgufArray[];

/** A metadata value. 64-bit integers are a `number` if that is exact, else a `bigint`. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** A tensor of a GGUF file. */
export interface GgufTensor {
  /** Name, such as `blk.0.attn_q.weight`. */
  name: string;
  /** Elements in each dimension; the fastest-varying dimension comes first. */
  shape: number[];
  /** Number of the type in ggml. */
  type: number;
  /** Name of the type, such as `Q4_K`; undefined for types unknown to this version. */
  typeName: string | undefined;
  /** File offset of the first byte. */
  start: number;
  /** File offset after the last byte; undefined if the type is unknown. */
  end: number | undefined;
}

/** Header of a GGUF file. */
export interface GgufHeader {
  /** Version of the format, 1 to 3. */
  version: number;
  /** False for big-endian files. */
  littleEndian: boolean;
  /** Metadata by key, in file order. */
  metadata: ReadonlyMap<string, GgufValue>;
  /** Tensors, in file order. */
  tensors: GgufTensor[];
  /** Alignment of tensors in bytes, a power of two. */
  alignment: number;
  /** File offset of the tensor data. */
  dataStart: number;
}

/** Options of `readGgufHeader`. */
export interface ReadGgufOptions extends ReadFormatOptions {
  /** Maximum size of the header in bytes. Default: 128 MiB. */
  maxHeaderBytes?: number;
}

const MAGIC = 0x4655_4747;
const DEFAULT_ALIGNMENT = 32;
const MAX_DIMENSIONS = 8;
const MAX_HEADER_BYTES = 128 * 1024 * 1024;
const MAX_NESTING = 4;

/** Type numbers of values other than scalars. */
const STRING = 8;
const ARRAY = 9;

/**
 * Reads the header of a GGUF file: its metadata, and the places of its tensors. Reads the header in pieces, and nothing
 * after it.
 *
 * @example
 * ```js
 * import { readGgufHeader } from 'xetkit/formats';
 *
 * const gguf = await client.open({ repo: 'owner/model', path: 'model.gguf' });
 * const { metadata, tensors } = await readGgufHeader(gguf);
 * console.log(metadata.get('general.architecture'), tensors.length);
 * ```
 * @throws {XetError} `PROTOCOL` for a malformed or too large header, `UNSUPPORTED` for an unknown version
 */
export async function readGgufHeader(source: ByteSource, options: ReadGgufOptions = {}): Promise<GgufHeader> {
  checkSource('readGgufHeader', source, options);
  const { signal, maxHeaderBytes = MAX_HEADER_BYTES } = options;
  const cursor = new GgufCursor(source, Math.min(source.size, maxHeaderBytes), signal);
  try {
    return await readHeader(cursor, source.size);
  } catch (error) {
    if (!(error instanceof GgufLimitError)) throw error;
    const end = source.size <= maxHeaderBytes ? 'the end of the file' : `${maxHeaderBytes} bytes`;
    throw malformed(`its header extends past ${end}`);
  }
}

async function readHeader(cursor: GgufCursor, size: number): Promise<GgufHeader> {
  await cursor.need(8);
  if (cursor.uint32() !== MAGIC) throw malformed("it does not begin with 'GGUF'");
  let version = cursor.uint32();
  if ((version & 0xffff) === 0 && version !== 0) {
    cursor.littleEndian = false;
    version = ((version >>> 24) | ((version >>> 8) & 0xff00)) >>> 0;
  }
  if (version < 1 || version > 3) {
    throw new XetError('UNSUPPORTED', `GGUF version ${version} is not supported. Versions 1 to 3 are.`);
  }
  cursor.wide = version > 1;
  const tensorCount = await cursor.count(cursor.wide ? 24 : 16);
  const entryCount = await cursor.count(cursor.wide ? 13 : 9);
  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < entryCount; index++) {
    const key = await cursor.string();
    if (metadata.has(key)) throw malformed(`the metadata key '${abbreviate(key)}' occurs twice`);
    await cursor.need(4);
    metadata.set(key, await readValue(cursor, cursor.uint32(), 0));
  }
  const found: (Omit<GgufTensor, 'start' | 'end'> & { offset: number; bytes: number | undefined })[] = [];
  for (let index = 0; index < tensorCount; index++) found.push(await readTensor(cursor, size));
  const alignment = alignmentIn(metadata);
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  const tensors = found.map(({ offset, bytes, ...tensor }) => {
    const start = dataStart + offset;
    const end = bytes === undefined ? undefined : start + bytes;
    if (offset % alignment !== 0 || (end ?? start) > size)
      throw malformed(`tensor '${abbreviate(tensor.name)}' cannot be at byte ${start} of ${size}`);
    return { ...tensor, start, end };
  });
  checkApart(tensors);
  if (new Set(tensors.map(({ name }) => name)).size < tensors.length) throw malformed('two tensors have the same name');
  return { version, littleEndian: cursor.littleEndian, metadata, tensors, alignment, dataStart };
}

async function readTensor(cursor: GgufCursor, size: number) {
  const name = await cursor.string();
  await cursor.need(4);
  const dimensions = cursor.uint32();
  if (dimensions > MAX_DIMENSIONS) throw malformed(`tensor '${abbreviate(name)}' has ${dimensions} dimensions`);
  const shape: number[] = [];
  for (let index = 0; index < dimensions; index++) shape.push(exact(await cursor.length(), name));
  await cursor.need(12);
  const type = cursor.uint32();
  const offset = exact(cursor.uint64(), name);
  const known = ggmlType(type);
  const elements = shape.reduce((product, count) => product * BigInt(count), 1n);
  if (!known) return { name, shape, type, typeName: undefined, offset, bytes: undefined };
  const { blockElements, blockBytes } = known;
  const rows = BigInt(shape[0] ?? 1) % BigInt(blockElements);
  const bytes = (elements / BigInt(blockElements)) * BigInt(blockBytes);
  if (rows !== 0n || bytes > BigInt(size))
    throw malformed(`tensor '${abbreviate(name)}' of type ${known.name} cannot have the shape [${shape.join()}]`);
  return { name, shape, type, typeName: known.name, offset, bytes: Number(bytes) };
}

function exact(value: number | bigint, name: string): number {
  if (typeof value === 'number') return value;
  throw malformed(`tensor '${abbreviate(name)}' is too large`);
}

function alignmentIn(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  const possible = typeof alignment === 'number' && alignment >= 1 && Number.isInteger(Math.log2(alignment));
  if (possible && alignment <= 2 ** 31) return alignment;
  throw malformed('its alignment is not a power of two');
}

function checkApart(tensors: readonly GgufTensor[]): void {
  let last = 0;
  for (const { name, start, end } of [...tensors].sort((a, b) => a.start - b.start)) {
    if (start < last) throw malformed(`tensor '${abbreviate(name)}' overlaps another one`);
    last = end ?? start;
  }
}

async function readValue(cursor: GgufCursor, type: number, depth: number): Promise<GgufValue> {
  if (type === STRING) return cursor.string();
  if (type === ARRAY) return readArray(cursor, depth);
  const scalar = SCALARS[type];
  if (!scalar) throw malformed(`a value has the unknown type ${type}`);
  await cursor.need(scalar.bytes);
  return scalar.read(cursor);
}

async function readArray(cursor: GgufCursor, depth: number): Promise<GgufArray> {
  if (depth === MAX_NESTING) throw malformed('its arrays are nested too deeply');
  await cursor.need(4);
  const type = cursor.uint32();
  if (type === STRING) {
    const count = await cursor.count(cursor.wide ? 8 : 4);
    return cursor.strings(count);
  }
  if (type === ARRAY) {
    const count = await cursor.count(cursor.wide ? 12 : 8);
    const arrays: GgufArray[] = [];
    for (let index = 0; index < count; index++) arrays.push(await readArray(cursor, depth + 1));
    return arrays;
  }
  const scalar = SCALARS[type];
  if (!scalar) throw malformed(`an array has elements of the unknown type ${type}`);
  const count = await cursor.count(scalar.bytes);
  return scalar.many(await cursor.bytes(count * scalar.bytes), cursor.littleEndian);
}

interface Scalar {
  bytes: number;
  read: (cursor: GgufCursor) => number | bigint | boolean;
  many: (bytes: Uint8Array, littleEndian: boolean) => GgufArray;
}

type Numbers = Exclude<GgufArray, boolean[] | string[] | GgufArray[]>;
type NumbersOf = { BYTES_PER_ELEMENT: number } & (new (buffer: ArrayBufferLike) => Numbers);

function scalar(Elements: NumbersOf, read: Scalar['read']): Scalar {
  const bytes = Elements.BYTES_PER_ELEMENT;
  return {
    bytes,
    read,
    many: (stored, littleEndian) => {
      const copy = stored.slice();
      // Reverses the bytes of each element in place.
      if (!littleEndian && bytes > 1) {
        for (let at = 0; at < copy.length; at += bytes) copy.subarray(at, at + bytes).reverse();
      }
      return new Elements(copy.buffer);
    },
  };
}

/** By type number. */
const SCALARS: readonly (Scalar | undefined)[] = [
  scalar(Uint8Array, (cursor) => cursor.uint8()),
  scalar(Int8Array, (cursor) => (cursor.uint8() << 24) >> 24),
  scalar(Uint16Array, (cursor) => cursor.uint16()),
  scalar(Int16Array, (cursor) => (cursor.uint16() << 16) >> 16),
  scalar(Uint32Array, (cursor) => cursor.uint32()),
  scalar(Int32Array, (cursor) => cursor.uint32() | 0),
  scalar(Float32Array, (cursor) => cursor.float32()),
  {
    bytes: 1,
    read: (cursor) => readBool(cursor.uint8()),
    many: (bytes) => Array.from(bytes, readBool),
  },
  undefined,
  undefined,
  scalar(BigUint64Array, (cursor) => cursor.uint64()),
  scalar(BigInt64Array, (cursor) => cursor.int64()),
  scalar(Float64Array, (cursor) => cursor.float64()),
];

function readBool(byte: number): boolean {
  if (byte <= 1) return byte === 1;
  throw malformed(`a boolean has the value ${byte}`);
}

function malformed(problem: string): XetError {
  return malformedFile('GGUF', problem);
}
