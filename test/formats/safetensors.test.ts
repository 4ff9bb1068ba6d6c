import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isXetError } from '../../src/core/errors.ts';
import { readSafetensors } from '../../src/formats/safetensors.ts';
import { MemorySource } from '../support/format-sources.ts';
import { holdsAsync, rejectionOf } from '../support/property.ts';
import { weights } from '../support/samples.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const encode = (text: string) => new TextEncoder().encode(text);

/** A file with a header as it is given, and data of some length behind it. */
function fileOf(header: string | Uint8Array, data: Uint8Array | number = 0, claimed?: bigint): Uint8Array {
  const json = typeof header === 'string' ? encode(header) : header;
  const body = typeof data === 'number' ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + json.length + body.length);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  file.set(json, 8);
  file.set(body, 8 + json.length);
  return file;
}

const parse = (file: Uint8Array) => readSafetensors(new MemorySource(file));

const BITS = { F32: 32, BF16: 16, F16: 16, I64: 64, U8: 8, BOOL: 8, F8_E4M3: 8, F64: 64, I16: 16, C64: 64 };

const tensors = fc.uniqueArray(
  fc.record({
    name: fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('__proto__', 'constructor', 'lm_head.weight')),
    dtype: fc.constantFrom(...(Object.keys(BITS) as (keyof typeof BITS)[])),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  }),
  { selector: ({ name }) => name, maxLength: 8 },
);

describe('readSafetensors on a valid file', () => {
  test('all tensors are read, in any order of the header', async () => {
    const options = fc.record({ all: tensors, padding: fc.nat(9), metadata: fc.dictionary(fc.string(), fc.string()) });
    await holdsAsync(300, options, async ({ all, padding, metadata }) => {
      const named = all.filter(({ name }) => name !== '__metadata__');
      const data: number[] = [];
      const header: Record<string, unknown> = { __metadata__: metadata };
      const placed = named.map(({ name, dtype, shape }, index) => {
        const length = (shape.reduce((product, count) => product * count, 1) * BITS[dtype]) / 8;
        const begin = data.length;
        for (let at = 0; at < length; at++) data.push((index * 7 + at) % 256);
        return { name, dtype, shape, data_offsets: [begin, begin + length] };
      });
      for (const { name, ...tensor } of placed.toReversed()) {
        Object.defineProperty(header, name, { value: tensor, enumerable: true, configurable: true });
      }
      const json = JSON.stringify(header) + ' '.repeat(padding);
      const source = new MemorySource(fileOf(json, Uint8Array.from(data)));
      const found = await readSafetensors(source);
      expect(found.metadata).toEqual(metadata);
      expect(found.headerBytes).toBe(8 + encode(json).length);
      expect([...found.tensors.keys()].sort()).toEqual(named.map(({ name }) => name).sort());
      // The length, and the header; nothing of the data.
      expect(source.bytesRead).toBe(found.headerBytes);
      for (const { name, dtype, shape, data_offsets: offsets } of placed) {
        const { start, end, ...rest } = found.tensors.get(name)!;
        expect(rest).toEqual({ dtype, shape });
        const expected = Uint8Array.from(data.slice(...offsets));
        expect(end - start).toBe(expected.length);
        const values = await found.read(name);
        expect(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).toEqual(expected);
      }
    });
  });

  test.each([
    ['F32', new Float32Array([1.5, -2])],
    ['F64', new Float64Array([1.5, -2])],
    ['I8', new Int8Array([-1, 2])],
    ['U8', new Uint8Array([1, 255])],
    ['BOOL', new Uint8Array([0, 1])],
    ['I16', new Int16Array([-1, 2])],
    ['U16', new Uint16Array([1, 65_535])],
    ['F16', new Uint16Array([0x3c00, 0xc000])],
    ['BF16', new Uint16Array([0x3f80, 0xc000])],
    ['I32', new Int32Array([-1, 2])],
    ['U32', new Uint32Array([1, 4_294_967_295])],
    ['I64', new BigInt64Array([-1n, 2n])],
    ['U64', new BigUint64Array([1n, 2n ** 63n])],
  ])('a tensor of type %s is read as its typed array', async (dtype, values) => {
    const bytes = new Uint8Array(values.buffer);
    const file = fileOf(JSON.stringify({ a: { dtype, shape: [2], data_offsets: [0, bytes.length] } }), bytes);
    const found = await (await parse(file)).read('a');
    expect(found).toEqual(values);
    expect(found.constructor).toBe(values.constructor);
  });

  test('a source that returns misaligned views is read', async () => {
    const values = new Float64Array([Math.PI, Math.E]);
    const file = fileOf(
      JSON.stringify({ a: { dtype: 'F64', shape: [2], data_offsets: [0, 16] } }),
      new Uint8Array(values.buffer),
    );
    const shifted = new Uint8Array(file.length + 3);
    shifted.set(file, 3);
    const source = {
      size: file.length,
      read: async (start: number, end: number) => shifted.subarray(start + 3, end + 3),
    };
    expect(await (await readSafetensors(source)).read('a')).toEqual(values);
  });

  test('a Blob can be wrapped as a source', async () => {
    const blob = new Blob([weights(1, 3).slice()]);
    const read = async (start: number, end: number) => new Uint8Array(await blob.slice(start, end).arrayBuffer());
    expect((await readSafetensors({ size: blob.size, read })).tensors.size).toBeGreaterThan(3);
  });

  test('reading a header over the network takes one request of each kind', async () => {
    const model = weights(8, 3);
    const hub = await sourceHub();
    await hub.commitFiles('owner/model', { 'model.safetensors': model }, { xet: 'always' });
    const client = sourceClient(hub, { chunkCache: false });
    const file = await client.open({ repo: 'owner/model', path: 'model.safetensors' });
    const { tensors: found, read } = await readSafetensors(file);
    expect(hub.requests.map(({ kind }) => kind)).toEqual(['resolve', 'token', 'reconstruction', 'xorb']);
    const [name = '', { start, end } = { start: 0, end: 0 }] = [...found].at(-1) ?? [];
    const values = await read(name);
    expect(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).toEqual(model.slice(start, end));
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    expect(await rejectionOf(read(name, { signal: stop.signal }))).toBe(stop.signal.reason);
    expect(await rejectionOf(readSafetensors(file, { signal: stop.signal }))).toBe(stop.signal.reason);
  });

  test('reading an unknown tensor is INVALID_ARGUMENT', async () => {
    const { read } = await parse(fileOf('{}'));
    for (const name of ['x', '__proto__', '__metadata__'])
      expect(await rejectionOf(read(name))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('readSafetensors on a malformed file', () => {
  const one = (tensor: object, data = 0) => fileOf(JSON.stringify({ a: tensor }), data);
  const two = (a: [number, number], b: [number, number], data: number) =>
    fileOf(
      JSON.stringify({
        a: { dtype: 'U8', shape: [a[1] - a[0]], data_offsets: a },
        b: { dtype: 'U8', shape: [b[1] - b[0]], data_offsets: b },
      }),
      data,
    );

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['less than a length', new Uint8Array(7)],
    ['a header longer than the file', fileOf('{}', 0, 3n)],
    ['a header longer than allowed', fileOf('{}', 0, 100_000_001n)],
    ['a header longer than any file', fileOf('{}', 0, 2n ** 64n - 1n)],
    ['no header', fileOf('')],
    ['no JSON', fileOf('{"a":')],
    ['no UTF-8', fileOf(Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))],
    ['a list', fileOf('[]')],
    ['null', fileOf('null')],
    ['brackets without end', fileOf('['.repeat(500_000))],
    ['metadata that is no text', fileOf('{"__metadata__":{"a":1}}')],
    ['metadata that is a list', fileOf('{"__metadata__":[]}')],
    ['a tensor that is a number', fileOf('{"a":1}')],
    ['a tensor that is null', fileOf('{"a":null}')],
    ['no type', one({ shape: [], data_offsets: [0, 0] })],
    ['an unknown type', one({ dtype: 'F7', shape: [0], data_offsets: [0, 0] })],
    ['a type of the language', one({ dtype: 'constructor', shape: [0], data_offsets: [0, 0] })],
    ['no shape', one({ dtype: 'U8', data_offsets: [0, 0] })],
    ['a negative dimension', one({ dtype: 'U8', shape: [-1, -1], data_offsets: [0, 1] }, 1)],
    ['half a dimension', one({ dtype: 'F32', shape: [0.5], data_offsets: [0, 2] }, 2)],
    ['a dimension beyond numbers', one({ dtype: 'U8', shape: [2 ** 60], data_offsets: [0, 0] })],
    ['dimensions that overflow to little', one({ dtype: 'U8', shape: [2 ** 32, 2 ** 32], data_offsets: [0, 0] })],
    ['very many dimensions', one({ dtype: 'U8', shape: Array(1000).fill(1), data_offsets: [0, 1] }, 1)],
    ['no place', one({ dtype: 'U8', shape: [0] })],
    ['a place of one number', one({ dtype: 'U8', shape: [0], data_offsets: [0] })],
    ['a place of three', one({ dtype: 'U8', shape: [0], data_offsets: [0, 0, 0] })],
    ['a place of words', one({ dtype: 'U8', shape: [0], data_offsets: ['0', '0'] })],
    ['a place that ends before it begins', one({ dtype: 'U8', shape: [0], data_offsets: [1, 0] }, 1)],
    ['a place before the data', one({ dtype: 'U8', shape: [2], data_offsets: [-1, 1] }, 1)],
    ['a place behind the file', one({ dtype: 'U8', shape: [2], data_offsets: [0, 2] }, 1)],
    ['less than the shape says', one({ dtype: 'F32', shape: [2], data_offsets: [0, 4] }, 4)],
    ['half a byte', one({ dtype: 'F4', shape: [1], data_offsets: [0, 1] }, 1)],
    ['two tensors in one place', two([0, 4], [0, 4], 4)],
    ['two tensors that overlap', two([0, 4], [3, 6], 6)],
    ['a gap', two([0, 4], [5, 6], 6)],
    ['a gap at the start', two([1, 4], [4, 6], 6)],
    ['something behind the last tensor', two([0, 4], [4, 6], 7)],
  ])('%s', async (_what, file) => {
    const error = await rejectionOf(parse(file));
    expect(error).toMatchObject({ code: 'PROTOCOL' });
    expect((error as Error).message.length).toBeLessThan(400);
  });

  test('a header longer than the limit is not read', async () => {
    const source = new MemorySource(fileOf('{}', 0, 100_000_001n), 2 ** 40);
    expect(await rejectionOf(readSafetensors(source))).toMatchObject({ code: 'PROTOCOL' });
    expect(source.bytesRead).toBe(8);
  });

  test('a source that returns too few bytes is PROTOCOL', async () => {
    const source = { size: 100, read: async () => new Uint8Array(1) };
    expect(await rejectionOf(readSafetensors(source))).toMatchObject({ code: 'PROTOCOL' });
  });

  test('any changed file is read or refused', async () => {
    const good = fileOf(
      JSON.stringify({
        __metadata__: { format: 'pt' },
        a: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
        b: { dtype: 'BF16', shape: [3], data_offsets: [16, 22] },
      }),
      22,
    );
    const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await holdsAsync(1500, fc.tuple(changes, fc.nat(good.length)), async ([all, length]) => {
      const file = good.slice(0, length % 3 === 0 ? length : good.length);
      for (const [at, byte] of all) if (at < file.length) file[at] = byte;
      const found = await parse(file).catch((error: unknown) => {
        if (!isXetError(error, 'PROTOCOL')) throw error;
      });
      for (const { start, end } of found?.tensors.values() ?? []) {
        expect(start).toBeGreaterThanOrEqual(found?.headerBytes ?? 0);
        expect(end).toBeLessThanOrEqual(file.length);
      }
    });
  });
});
