import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { isXetError } from '../../src/core/errors.ts';
import { type GgufArray, type GgufValue, readGgufHeader } from '../../src/formats/gguf.ts';
import { GgufCursor } from '../../src/formats/gguf-cursor.ts';
import { MemorySource } from '../support/format-sources.ts';
import { holdsAsync, rejectionOf } from '../support/property.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

/** Writes a GGUF file, right or wrong. */
class Writer {
  readonly #littleEndian: boolean;
  readonly #version: number;
  #bytes = new Uint8Array(1024);
  length = 0;

  constructor(version = 3, littleEndian = true) {
    this.#version = version;
    this.#littleEndian = littleEndian;
  }

  get bytes(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  #room(bytes: number): [DataView, number] {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(this.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return [new DataView(this.#bytes.buffer), at];
  }

  raw(bytes: Uint8Array): this {
    const [, at] = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  uint32(value: number): this {
    const [view, at] = this.#room(4);
    view.setUint32(at, value, this.#littleEndian);
    return this;
  }

  uint64(value: number | bigint): this {
    const [view, at] = this.#room(8);
    view.setBigUint64(at, BigInt(value), this.#littleEndian);
    return this;
  }

  size(value: number | bigint): this {
    return this.#version === 1 ? this.uint32(Number(value)) : this.uint64(value);
  }

  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.size(bytes.length).raw(bytes);
  }

  head(tensors: number | bigint, entries: number | bigint): this {
    return this.raw(new TextEncoder().encode('GGUF')).uint32(this.#version).size(tensors).size(entries);
  }

  scalar(type: number, value: number | bigint | boolean): this {
    const [view, at] = this.#room(WIDTHS[type] ?? 1);
    const little = this.#littleEndian;
    if (type === 0 || type === 7) view.setUint8(at, Number(value));
    if (type === 1) view.setInt8(at, Number(value));
    if (type === 2) view.setUint16(at, Number(value), little);
    if (type === 3) view.setInt16(at, Number(value), little);
    if (type === 4) view.setUint32(at, Number(value), little);
    if (type === 5) view.setInt32(at, Number(value), little);
    if (type === 6) view.setFloat32(at, Number(value), little);
    if (type === 10) view.setBigUint64(at, BigInt(value), little);
    if (type === 11) view.setBigInt64(at, BigInt(value), little);
    if (type === 12) view.setFloat64(at, Number(value), little);
    return this;
  }

  value(value: Value): this {
    this.uint32(value.type);
    return this.content(value);
  }

  content({ type, is, of }: Value): this {
    if (type === 8) return this.string(is as string);
    if (type !== 9) return this.scalar(type, is as number);
    this.uint32(of ?? 0).size((is as Value[]).length);
    for (const one of is as Value[]) this.content(one);
    return this;
  }

  tensor(name: string, shape: (number | bigint)[], type: number, offset: number | bigint): this {
    this.string(name).uint32(shape.length);
    for (const count of shape) this.size(count);
    return this.uint32(type).uint64(offset);
  }

  padTo(multiple: number): this {
    return this.raw(new Uint8Array((multiple - (this.length % multiple)) % multiple));
  }
}

interface Value {
  type: number;
  is: number | bigint | boolean | string | Value[];
  /** Type of the elements of an array. */
  of?: number;
}

const WIDTHS: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

const scalarOf = (type: number): fc.Arbitrary<Value> => {
  const int = (min: number, max: number) => fc.integer({ min, max });
  const by: Record<number, fc.Arbitrary<Value['is']>> = {
    0: int(0, 255),
    1: int(-128, 127),
    2: int(0, 65_535),
    3: int(-32_768, 32_767),
    4: int(0, 2 ** 32 - 1),
    5: int(-(2 ** 31), 2 ** 31 - 1),
    6: fc.float({ noNaN: true }),
    7: fc.boolean(),
    8: fc.string({ unit: 'grapheme', maxLength: 20 }),
    10: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    11: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    12: fc.double({ noNaN: true }),
  };
  return by[type]!.map((is) => ({ type, is }));
};
const scalarType = fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12);
const listOf = (of: number): fc.Arbitrary<Value> =>
  fc.array(scalarOf(of), { maxLength: 6 }).map((is) => ({ type: 9, is, of }));
const list = scalarType.chain(listOf);
const nested: fc.Arbitrary<Value> = fc.array(list, { maxLength: 3 }).map((is) => ({ type: 9, is, of: 9 }));
const value = fc.oneof(scalarType.chain(scalarOf), list, nested);

const exact = (number: bigint) => (Number.isSafeInteger(Number(number)) ? Number(number) : number);

/** The value that the reader returns. */
function expected({ type, is, of }: Value): unknown {
  if (type !== 9) return typeof is === 'bigint' ? exact(is) : is;
  return (is as Value[]).map((one) => (of === 10 || of === 11 ? one.is : expected(one)));
}

/** Arrays of numbers as lists, to compare them. */
function plain(found: GgufValue): unknown {
  if (ArrayBuffer.isView(found)) return Array.from(found as Uint8Array);
  return Array.isArray(found) ? (found as GgufArray[]).map(plain) : found;
}

const parse = (file: Uint8Array) => readGgufHeader(new MemorySource(file));

describe('readGgufHeader on a valid file', () => {
  test('all values are read, in all versions and both byte orders', async () => {
    const entries = fc.dictionary(fc.string({ minLength: 1, maxLength: 12 }), value, { maxKeys: 8 });
    const version = fc.constantFrom(1, 2, 3);
    await holdsAsync(400, fc.tuple(entries, version, fc.boolean()), async ([all, of, little]) => {
      const writer = new Writer(of, little).head(0, Object.keys(all).length);
      for (const [key, one] of Object.entries(all)) writer.string(key).value(one);
      const header = await parse(writer.bytes);
      expect(header).toMatchObject({ version: of, littleEndian: little, alignment: 32, tensors: [] });
      expect([...header.metadata.keys()]).toEqual(Object.keys(all));
      for (const [key, one] of Object.entries(all)) expect(plain(header.metadata.get(key)!)).toEqual(expected(one));
    });
  });

  test('the places of tensors are read', async () => {
    const writer = new Writer().head(4, 2);
    writer.string('general.alignment').value({ type: 4, is: 64 });
    writer.string('general.architecture').value({ type: 8, is: 'llama' });
    writer.tensor('embedding', [256, 3], 12, 0);
    writer.tensor('norm', [10], 0, 448);
    writer.tensor('new', [1000, 1000], 4711, 512);
    writer.tensor('single', [], 28, 576);
    const headerBytes = writer.length;
    writer.padTo(64);
    const dataStart = writer.length;
    writer.raw(new Uint8Array(576 + 8));
    const header = await parse(writer.bytes);
    expect(header).toMatchObject({ alignment: 64, dataStart });
    expect(dataStart).toBeGreaterThanOrEqual(headerBytes);
    expect(header.tensors).toEqual([
      { name: 'embedding', shape: [256, 3], type: 12, typeName: 'Q4_K', start: dataStart, end: dataStart + 432 },
      { name: 'norm', shape: [10], type: 0, typeName: 'F32', start: dataStart + 448, end: dataStart + 488 },
      { name: 'new', shape: [1000, 1000], type: 4711, typeName: undefined, start: dataStart + 512, end: undefined },
      { name: 'single', shape: [], type: 28, typeName: 'F64', start: dataStart + 576, end: dataStart + 584 },
    ]);
  });

  test('numbers of an array are not copied one by one', async () => {
    const scores = Array.from({ length: 5 }, (_, index): Value => ({ type: 6, is: index / 2 }));
    const writer = new Writer().head(0, 1).string('scores').value({ type: 9, is: scores, of: 6 });
    const { metadata } = await parse(writer.bytes);
    expect(metadata.get('scores')).toEqual(new Float32Array([0, 0.5, 1, 1.5, 2]));
  });

  test('a large vocabulary is read in pieces, and nothing after the header', async () => {
    const words = Array.from({ length: 150_000 }, (_, index): Value => ({ type: 8, is: `word-${index}` }));
    const writer = new Writer().head(0, 2);
    writer.string('tokenizer.ggml.tokens').value({ type: 9, is: words, of: 8 });
    writer.string('last').value({ type: 8, is: 'ß'.repeat(100_000) });
    const source = new MemorySource(writer.bytes, 10_000_000_000);
    const need = vi.spyOn(GgufCursor.prototype, 'need');
    onTestFinished(() => void need.mockRestore());
    const { metadata } = await readGgufHeader(source);
    // A wait for each of 150,000 words would take longer than all the text: only those at the end of a piece wait.
    expect(need.mock.calls.length).toBeLessThan(5 * source.reads.length);
    expect(source.reads.length).toBeLessThan(writer.length / 65_536 + 20);
    const found = metadata.get('tokenizer.ggml.tokens') as string[];
    expect([found.length, found[0], found.at(-1)]).toEqual([150_000, 'word-0', 'word-149999']);
    expect(metadata.get('last')).toBe('ß'.repeat(100_000));
    expect(source.bytesRead).toBeLessThan(writer.length + 70_000);
    for (const [index, [start]] of source.reads.entries()) expect(start).toBe(source.reads[index - 1]?.[1] ?? 0);
  });

  test('reading a header over the network takes a few requests, and can be aborted', async () => {
    const words = Array.from({ length: 60_000 }, (_, index): Value => ({ type: 8, is: `word-${index}` }));
    const writer = new Writer().head(1, 1).string('tokens').value({ type: 9, is: words, of: 8 });
    writer.tensor('weights', [1_000_000], 0, 0).padTo(32).raw(new Uint8Array(4_000_000));
    const hub = await sourceHub();
    await hub.commitFiles('owner/model', { 'model.gguf': writer.bytes }, { xet: 'always' });
    const client = sourceClient(hub, { chunkCache: false });
    const file = await client.open({ repo: 'owner/model', path: 'model.gguf' });
    const { tensors } = await readGgufHeader(file);
    expect(tensors[0]).toMatchObject({ name: 'weights', end: file.size });
    expect(hub.requests.filter(({ kind }) => kind === 'xorb').length).toBeLessThanOrEqual(3);
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    expect(await rejectionOf(readGgufHeader(file, { signal: stop.signal }))).toBe(stop.signal.reason);
  });
});

describe('readGgufHeader on a malformed file', () => {
  const entry = () => new Writer().head(0, 1).string('key');
  const tensorOf = (shape: (number | bigint)[], type = 0, offset: number | bigint = 0, data = 64) =>
    new Writer().head(1, 0).tensor('a', shape, type, offset).padTo(32).raw(new Uint8Array(data));
  const aligned = (value: Value) => new Writer().head(0, 1).string('general.alignment').value(value);
  const tensors = (...all: [name: string, offset: number][]) => {
    const writer = new Writer().head(all.length, 0);
    for (const [name, offset] of all) writer.tensor(name, [16], 0, offset);
    return writer.padTo(32).raw(new Uint8Array(256));
  };
  const HUGE = 2n ** 63n;
  let deep = entry().uint32(9);
  for (let depth = 0; depth < 1000; depth++) deep = deep.uint32(9).size(1);

  test.each<[string, Writer]>([
    ['nothing', new Writer()],
    ['another magic', new Writer().raw(new TextEncoder().encode('GGML')).uint32(3).size(0).size(0)],
    ['an end in the head', new Writer().raw(new TextEncoder().encode('GGUF')).uint32(3).uint32(0)],
    ['more entries than there is room for', new Writer().head(0, 1000)],
    ['entries without number', new Writer().head(0, HUGE)],
    ['tensors without number', new Writer().head(HUGE, 0)],
    ['a key that goes on for ever', new Writer().head(0, 1).size(HUGE)],
    ['a key longer than the file', new Writer().head(0, 1).size(100)],
    ['a value without a type', entry()],
    ['a value of an unknown type', entry().uint32(13)],
    ['an end in a value', entry().uint32(10).uint32(1)],
    ['a text longer than the file', entry().uint32(8).size(5).raw(new Uint8Array(4))],
    ['a truth that is neither', entry().uint32(7).raw(Uint8Array.of(2))],
    ['a list of truths that are neither', entry().uint32(9).uint32(7).size(1).raw(Uint8Array.of(2))],
    ['a list of an unknown type', entry().uint32(9).uint32(99).size(0)],
    ['a list without end', entry().uint32(9).uint32(0).size(HUGE)],
    ['a list of more than there is', entry().uint32(9).uint32(10).size(3).raw(new Uint8Array(23))],
    ['a list of more texts than there is room for', entry().uint32(9).uint32(8).size(1000).raw(new Uint8Array(999))],
    ['lists in lists without end', deep],
    [
      'one key twice',
      new Writer().head(0, 2).string('a').value({ type: 0, is: 1 }).string('a').value({ type: 0, is: 1 }),
    ],
    ['an alignment of 0', aligned({ type: 4, is: 0 })],
    ['an alignment of 3', aligned({ type: 4, is: 3 })],
    ['an alignment beyond numbers', aligned({ type: 10, is: 2n ** 63n })],
    ['a large alignment', aligned({ type: 10, is: 2n ** 40n })],
    ['an alignment in words', aligned({ type: 8, is: '32' })],
    ['an alignment of a half', aligned({ type: 12, is: 0.5 })],
    [
      'very many dimensions',
      new Writer()
        .head(1, 0)
        .string('a')
        .uint32(2 ** 31)
        .raw(new Uint8Array(100)),
    ],
    ['a dimension beyond numbers', tensorOf([HUGE])],
    ['dimensions that overflow to little', tensorOf([2 ** 32, 2 ** 32])],
    ['a tensor behind the end', tensorOf([17], 0, 0)],
    ['a tensor that begins behind the end', tensorOf([0], 0, 96)],
    ['a tensor of a new type behind the end', tensorOf([1], 4711, 96)],
    ['a tensor at an odd place', tensorOf([1], 0, 4)],
    ['a tensor at a place beyond numbers', tensorOf([1], 0, HUGE)],
    ['a part of a block', tensorOf([33], 2)],
    ['two tensors in one place', tensors(['a', 0], ['b', 0])],
    ['two tensors that overlap', tensors(['a', 0], ['b', 32])],
    ['two tensors of one name', tensors(['a', 0], ['a', 64])],
  ])('%s', async (_what, writer) => {
    const error = await rejectionOf(parse(writer.bytes));
    expect(error).toMatchObject({ code: 'PROTOCOL' });
    expect((error as Error).message.length).toBeLessThan(400);
  });

  test.each([0, 4, 1000, 0x0400_0000, 0xffff_ffff])('the unknown version %d is UNSUPPORTED', async (version) => {
    const writer = new Writer().raw(new TextEncoder().encode('GGUF')).uint32(version).size(0).size(0);
    expect(await rejectionOf(parse(writer.bytes))).toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('an endless header is refused at the size limit', async () => {
    const writer = new Writer()
      .head(0, 1)
      .string('x')
      .uint32(9)
      .uint32(0)
      .size(2 ** 40);
    const source = new MemorySource(writer.bytes, 2 ** 42);
    expect(await rejectionOf(readGgufHeader(source))).toMatchObject({ code: 'PROTOCOL' });
    expect(source.bytesRead).toBeLessThan(100_000);
    const texts = new MemorySource(
      new Writer()
        .head(0, 1)
        .string('x')
        .uint32(9)
        .uint32(8)
        .size(2 ** 20).bytes,
      2 ** 42,
    );
    const limited = readGgufHeader(texts, { maxHeaderBytes: 1_000_000 });
    expect(await rejectionOf(limited)).toMatchObject({ code: 'PROTOCOL' });
    expect(texts.bytesRead).toBeLessThanOrEqual(1_000_000);
  });

  test('any changed file is read or refused', async () => {
    const writer = new Writer().head(2, 3);
    writer.string('general.alignment').value({ type: 4, is: 32 });
    writer.string('words').value({
      type: 9,
      of: 8,
      is: [
        { type: 8, is: 'a' },
        { type: 8, is: 'bc' },
      ],
    });
    writer.string('scores').value({ type: 9, of: 6, is: [{ type: 6, is: 1 }] });
    writer.tensor('a', [8], 0, 0).tensor('b', [32], 8, 32).padTo(32).raw(new Uint8Array(66));
    const good = writer.bytes;
    expect((await parse(good)).tensors).toHaveLength(2);
    const changes = fc.array(fc.tuple(fc.nat(good.length - 67), fc.nat(255)), { minLength: 1, maxLength: 3 });
    await holdsAsync(3000, fc.tuple(changes, fc.nat(good.length)), async ([all, length]) => {
      const file = good.slice(0, length % 4 === 0 ? length : good.length);
      for (const [at, byte] of all) if (at < file.length) file[at] = byte;
      const found = await parse(file).catch((error: unknown) => {
        if (!isXetError(error, 'PROTOCOL', 'UNSUPPORTED')) throw error;
      });
      for (const { start, end } of found?.tensors ?? []) expect(end ?? start).toBeLessThanOrEqual(file.length);
    });
  });
});
