import { type ByteSource, readBytes } from './source.ts';

/** More was asked for than there may be. */
export class GgufLimitError extends Error {}

/** Read at least, in bytes: a source that fetches has its own idea of how much more. */
const PIECE_BYTES = 64 * 1024;
/** After so many bytes others have a turn: what is at hand is gone through without one. */
const TURN_BYTES = 512 * 1024;
/** Text of more than this is none, in bytes: chat templates have tens of thousands. */
const MAX_STRING_BYTES = 16 * 1024 * 1024;

/** Goes through a file from its start, with the bytes that it needs next at hand. */
export class GgufCursor {
  littleEndian = true;
  /** Whether lengths and counts have 64 bits. */
  wide = true;
  readonly #source: ByteSource;
  readonly #limit: number;
  readonly #signal: AbortSignal | undefined;
  readonly #text = new TextDecoder();
  #view = new DataView(new ArrayBuffer(0));
  /** Offset in the file of the first byte at hand. */
  #start = 0;
  /** Of the bytes at hand, the next one. */
  #next = 0;
  #sinceTurn = 0;

  /** @param limit the byte that is never reached. */
  constructor(source: ByteSource, limit: number, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#limit = limit;
    this.#signal = signal;
  }

  /** Offset in the file. */
  get at(): number {
    return this.#start + this.#next;
  }

  /** Bytes that may still come. */
  get left(): number {
    return this.#limit - this.at;
  }

  /** Has so many bytes at hand for the calls that follow. */
  async need(bytes: number): Promise<void> {
    const had = this.#view.byteLength - this.#next;
    if (had >= bytes) return;
    if (bytes > this.left) throw new GgufLimitError();
    const from = this.at + had;
    const end = Math.min(this.#limit, from + Math.max(bytes - had, PIECE_BYTES));
    this.#sinceTurn += end - from;
    if (this.#sinceTurn > TURN_BYTES) {
      this.#sinceTurn = 0;
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
    return plain(this.#view.getBigUint64(this.#skip(8), this.littleEndian));
  }

  int64(): number | bigint {
    return plain(this.#view.getBigInt64(this.#skip(8), this.littleEndian));
  }

  float32(): number {
    return this.#view.getFloat32(this.#skip(4), this.littleEndian);
  }

  float64(): number {
    return this.#view.getFloat64(this.#skip(8), this.littleEndian);
  }

  /** A length as the file's version writes it. */
  async length(): Promise<number | bigint> {
    await this.need(this.wide ? 8 : 4);
    return this.wide ? this.uint64() : this.uint32();
  }

  /** How many of something follow; there must be room for as many of at least `leastBytes` each. */
  async count(leastBytes: number): Promise<number> {
    const count = await this.length();
    if (typeof count === 'bigint' || count * leastBytes > this.left) throw new GgufLimitError();
    return count;
  }

  /** Valid until the next call. */
  async bytes(length: number): Promise<Uint8Array> {
    await this.need(length);
    const at = this.#skip(length);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length);
  }

  async string(): Promise<string> {
    return this.#stringAtHand() ?? (await this.#stringToCome());
  }

  async strings(count: number): Promise<string[]> {
    const strings: string[] = [];
    // There may be hundreds of thousands; a promise for each would take longer than the text.
    for (let index = 0; index < count; index++) strings.push(this.#stringAtHand() ?? (await this.#stringToCome()));
    return strings;
  }

  #stringAtHand(): string | undefined {
    const start = this.#next + (this.wide ? 8 : 4);
    if (start > this.#view.byteLength) return undefined;
    const length = this.wide
      ? plain(this.#view.getBigUint64(this.#next, this.littleEndian))
      : this.#view.getUint32(this.#next, this.littleEndian);
    if (typeof length === 'bigint' || start + length > this.#view.byteLength) return undefined;
    this.#next = start + length;
    return this.#text.decode(new Uint8Array(this.#view.buffer, this.#view.byteOffset + start, length));
  }

  async #stringToCome(): Promise<string> {
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

function plain(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
