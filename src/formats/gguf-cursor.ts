import { type ByteSource, readBytes } from './source.ts';

/** Thrown for a read past the limit. */
export class GgufLimitError extends Error {}

/** Minimum size of a read. A source that fetches reads further ahead on its own. */
const MIN_READ_BYTES = 64 * 1024;
/** Bytes parsed between yields to the event loop. */
const YIELD_BYTES = 512 * 1024;
/** Far above the tens of thousands of bytes of chat templates. */
const MAX_STRING_BYTES = 16 * 1024 * 1024;

/** Parses a file from its start, with the next bytes in memory. */
export class GgufCursor {
  littleEndian = true;
  /** True if lengths and counts have 64 bits. */
  wide = true;
  readonly #source: ByteSource;
  readonly #limit: number;
  readonly #signal: AbortSignal | undefined;
  readonly #text = new TextDecoder();
  #view = new DataView(new ArrayBuffer(0));
  /** File offset of the first byte in memory. */
  #start = 0;
  /** Index of the next byte in memory. */
  #next = 0;
  #sinceYield = 0;

  /** @param limit file offset at which reading ends with a {@link GgufLimitError}. */
  constructor(source: ByteSource, limit: number, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#limit = limit;
    this.#signal = signal;
  }

  /** File offset of the next byte. */
  get at(): number {
    return this.#start + this.#next;
  }

  /** Bytes up to the limit. */
  get left(): number {
    return this.#limit - this.at;
  }

  /** Loads the bytes that the following calls need. */
  async need(bytes: number): Promise<void> {
    const had = this.#view.byteLength - this.#next;
    if (had >= bytes) return;
    if (bytes > this.left) throw new GgufLimitError();
    const from = this.at + had;
    const end = Math.min(this.#limit, from + Math.max(bytes - had, MIN_READ_BYTES));
    this.#sinceYield += end - from;
    if (this.#sinceYield > YIELD_BYTES) {
      this.#sinceYield = 0;
      await new Promise((resolve) => setTimeout(resolve));
    }
    const more = await readBytes(this.#source, from, end, this.#signal);
    const all = new Uint8Array(had + more.length);
    all.set(new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#next, had));
    all.set(more, had);
    this.#start = this.at;
    this.#next = 0;
    this.#view = new DataView(all.buffer);
  }

  uint8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#skip(2), this.littleEndian);
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4), this.littleEndian);
  }

  uint64(): number | bigint {
    return exactNumber(this.#view.getBigUint64(this.#skip(8), this.littleEndian));
  }

  int64(): number | bigint {
    return exactNumber(this.#view.getBigInt64(this.#skip(8), this.littleEndian));
  }

  float32(): number {
    return this.#view.getFloat32(this.#skip(4), this.littleEndian);
  }

  float64(): number {
    return this.#view.getFloat64(this.#skip(8), this.littleEndian);
  }

  /** A length, in the width of the file's version. */
  async length(): Promise<number | bigint> {
    await this.need(this.wide ? 8 : 4);
    return this.wide ? this.uint64() : this.uint32();
  }

  /** A count of items of at least `minBytes` each, for which there is room before the limit. */
  async count(minBytes: number): Promise<number> {
    const count = await this.length();
    if (typeof count === 'bigint' || count * minBytes > this.left) throw new GgufLimitError();
    return count;
  }

  /** A view of the next bytes, valid until the next call. */
  async bytes(length: number): Promise<Uint8Array> {
    await this.need(length);
    const at = this.#skip(length);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length);
  }

  async string(): Promise<string> {
    return this.#loadedString() ?? (await this.#loadString());
  }

  async strings(count: number): Promise<string[]> {
    const strings: string[] = [];
    // With hundreds of thousands of strings, a promise for each would take longer than decoding them.
    for (let index = 0; index < count; index++) strings.push(this.#loadedString() ?? (await this.#loadString()));
    return strings;
  }

  #loadedString(): string | undefined {
    const start = this.#next + (this.wide ? 8 : 4);
    if (start > this.#view.byteLength) return undefined;
    const length = this.wide
      ? exactNumber(this.#view.getBigUint64(this.#next, this.littleEndian))
      : this.#view.getUint32(this.#next, this.littleEndian);
    if (typeof length === 'bigint' || start + length > this.#view.byteLength) return undefined;
    this.#next = start + length;
    return this.#text.decode(new Uint8Array(this.#view.buffer, this.#view.byteOffset + start, length));
  }

  async #loadString(): Promise<string> {
    const length = await this.count(1);
    if (length > MAX_STRING_BYTES) throw new GgufLimitError();
    return this.#text.decode(await this.bytes(length));
  }

  #skip(bytes: number): number {
    const at = this.#next;
    this.#next += bytes;
    return at;
  }
}

function exactNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
