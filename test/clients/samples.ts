import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { uniform } from '../../scripts/demo/weights.mjs';
import { clientModules } from './tools.ts';

interface TableShape {
  rows: number;
  seed: number;
}

/** A table of several row groups, of which little can be compressed. */
export async function makeParquet({ rows, seed }: TableShape): Promise<Uint8Array> {
  const writer = pathToFileURL(join(clientModules, 'hyparquet-writer/src/index.js')).href;
  const { parquetWriteBuffer } = await import(writer);
  const random = uniform(seed);
  const word = () => Math.floor(random() * 36 ** 8).toString(36);
  const columnData = [
    { name: 'id', data: Int32Array.from({ length: rows }, (_, row) => row), type: 'INT32' },
    { name: 'score', data: scores({ rows, seed }), type: 'DOUBLE' },
    { name: 'text', data: Array.from({ length: rows }, () => `${word()} ${word()} ${word()} ${word()}`) },
  ];
  return new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: rows / 8 }));
}

/** What is in the column of that name. */
export function scores({ rows, seed }: TableShape): Float64Array {
  const random = uniform(seed + 1);
  return Float64Array.from({ length: rows }, () => random());
}

const [UINT32, STRING, ARRAY] = [4, 8, 9];

/** A model in GGUF, version 3: a vocabulary, tensors of 32-bit floats, and what lies in them. */
export function makeGguf({ tokens, layers, seed }: { tokens: number; layers: number; seed: number }): Uint8Array {
  const width = 512;
  const names = Array.from({ length: layers }, (_, layer) => `blk.${layer}.ffn_up.weight`);
  const header: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(names.length), u64(4)];
  header.push(text('general.architecture'), u32(STRING), text('llama'));
  header.push(text('general.name'), u32(STRING), text('made by a test'));
  header.push(text('llama.block_count'), u32(UINT32), u32(layers));
  header.push(text('tokenizer.ggml.tokens'), u32(ARRAY), u32(STRING), u64(tokens));
  for (let token = 0; token < tokens; token++) header.push(text(`token ${token}`));
  const bytesEach = width * 4 * width * 4;
  for (const [index, name] of names.entries()) {
    header.push(text(name), u32(2), u64(width), u64(width * 4), u32(0), u64(index * bytesEach));
  }
  const length = header.reduce((sum, part) => sum + part.length, 0);
  header.push(Buffer.alloc((32 - (length % 32)) % 32));
  const random = uniform(seed);
  const weights = Float32Array.from({ length: (layers * bytesEach) / 4 }, () => random() - 0.5);
  return Buffer.concat([...header, Buffer.from(weights.buffer)]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
