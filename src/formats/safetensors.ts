import { XetError } from '../core/errors.ts';
import { isCount, isRecord } from '../core/json-values.ts';
import {
  abbreviate,
  type ByteSource,
  checkSource,
  malformed as malformedFile,
  type ReadFormatOptions,
  readBytes,
} from './source.ts';

/** Bits of an element, by the name of its type. */
const ELEMENT_BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
};

/** A tensor of a safetensors file. */
export interface SafetensorsTensor {
  /** Element type by the format's name: `F32`, `BF16`, `I64`… */
  dtype: string;
  /** Elements in each dimension; empty for a scalar. */
  shape: number[];
  /** File offset of the first byte. */
  start: number;
  /** File offset after the last byte. */
  end: number;
}

/**
 * The elements of a tensor. Types without a typed array in JavaScript are returned as stored: `F16` and `BF16` as 16-bit
 * integers, all smaller types as bytes, `C64` as pairs of numbers.
 */
export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** Contents of a safetensors file. */
export interface Safetensors {
  /** Metadata of the file, often with a `format`. */
  metadata: Record<string, string>;
  /** Tensors by name, in the order of the header. */
  tensors: ReadonlyMap<string, SafetensorsTensor>;
  /** File offset of the first tensor. */
  headerBytes: number;
  /** Reads one tensor. Rejects with `INVALID_ARGUMENT` for an unknown name. */
  read(name: string, options?: ReadFormatOptions): Promise<TensorData>;
}

const LENGTH_BYTES = 8;
/** The limit of the format, which keeps a header from exhausting memory. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_DIMENSIONS = 64;

/**
 * Reads the header of a `.safetensors` file: the names, types and places of its tensors. As the format demands, tensors
 * must fill the file without gaps or overlaps.
 *
 * @example
 * ```js
 * import { readSafetensors } from 'xetkit/formats';
 *
 * const { tensors, read } = await readSafetensors(file);
 * for (const [name, { dtype, shape }] of tensors) console.log(name, dtype, shape);
 * console.log((await read('weight')).length);
 * ```
 * @throws {XetError} `PROTOCOL` for a malformed header
 */
export async function readSafetensors(source: ByteSource, options: ReadFormatOptions = {}): Promise<Safetensors> {
  checkSource('readSafetensors', source, options);
  const { signal } = options;
  if (source.size < LENGTH_BYTES) throw malformed(`it has ${source.size} bytes`);
  const first = await readBytes(source, 0, LENGTH_BYTES, signal);
  const length = new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) throw malformed(`its header claims ${length} bytes; ${MAX_HEADER_BYTES} are allowed`);
  const headerBytes = LENGTH_BYTES + Number(length);
  if (headerBytes > source.size) throw malformed(`its header claims ${length} of the ${source.size} bytes of the file`);
  const header = parseHeader(await readBytes(source, LENGTH_BYTES, headerBytes, signal));
  const tensors = new Map<string, SafetensorsTensor>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = readMetadata(value);
    else tensors.set(name, readTensor(name, value, headerBytes));
  }
  checkLayout(tensors, headerBytes, source.size);
  return { metadata, tensors, headerBytes, read: (name, how = {}) => readOne(source, tensors, name, how) };
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw malformed('its header is not JSON', cause);
  }
  return recordOf(header, 'its header is not a JSON object');
}

function readMetadata(value: unknown): Record<string, string> {
  const entries = Object.entries(recordOf(value, 'its metadata is not a JSON object'));
  return Object.fromEntries(
    entries.map(([key, text]): [string, string] => {
      if (typeof text !== 'string') throw malformed(`its metadata value '${abbreviate(key)}' is not a string`);
      return [key, text];
    }),
  );
}

function readTensor(name: string, value: unknown, headerBytes: number): SafetensorsTensor {
  const what = `tensor '${abbreviate(name)}'`;
  const { dtype, shape, data_offsets: offsets } = recordOf(value, `${what} is not a JSON object`);
  const bits = typeof dtype === 'string' && Object.hasOwn(ELEMENT_BITS, dtype) ? ELEMENT_BITS[dtype] : undefined;
  if (typeof dtype !== 'string' || bits === undefined) throw malformed(`${what} has an unknown type`);
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isCount))
    throw malformed(`${what} has an invalid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw malformed(`${what} has invalid offsets`);
  const [begin = 0, end = 0] = offsets as number[];
  // The product can exceed the range of exact numbers.
  const elements = (shape as number[]).reduce((product, count) => product * BigInt(count), 1n);
  if (begin > end || elements * BigInt(bits) !== BigInt(end - begin) * 8n) {
    throw malformed(`${what} of type ${dtype} and shape [${shape.join()}] cannot have ${end - begin} bytes`);
  }
  return { dtype, shape: shape as number[], start: headerBytes + begin, end: headerBytes + end };
}

function checkLayout(tensors: ReadonlyMap<string, SafetensorsTensor>, headerBytes: number, size: number): void {
  let at = headerBytes;
  const inOrder = [...tensors].sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  for (const [name, { start, end }] of inOrder) {
    if (start !== at) {
      throw malformed(`tensor '${abbreviate(name)}' ${start < at ? 'overlaps another one' : 'leaves a gap before it'}`);
    }
    at = end;
  }
  if (at !== size) throw malformed(`its tensors end at byte ${at}, the file at byte ${size}`);
}

async function readOne(
  source: ByteSource,
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  name: string,
  { signal }: ReadFormatOptions,
): Promise<TensorData> {
  const tensor = tensors.get(name);
  if (!tensor) throw new XetError('INVALID_ARGUMENT', `The file has no tensor '${abbreviate(name)}'.`);
  return elementsOf(await readBytes(source, tensor.start, tensor.end, signal), tensor.dtype);
}

type ArrayOf = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => TensorData;

const ARRAYS: Readonly<Record<string, ArrayOf & { BYTES_PER_ELEMENT: number }>> = {
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  C64: Float32Array,
};

/** Bytes as a typed array, copied only if they are misaligned. All JavaScript platforms are little-endian. */
function elementsOf(bytes: Uint8Array, dtype: string): TensorData {
  const Elements = Object.hasOwn(ARRAYS, dtype) ? ARRAYS[dtype] : undefined;
  if (!Elements) return bytes;
  const aligned = bytes.byteOffset % Elements.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Elements(aligned.buffer, aligned.byteOffset, aligned.length / Elements.BYTES_PER_ELEMENT);
}

function recordOf(value: unknown, complaint: string): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw malformed(complaint);
}

function malformed(problem: string, cause?: unknown): XetError {
  return malformedFile('safetensors', problem, cause);
}
