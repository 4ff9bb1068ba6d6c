import { type Framing, MalformedResponse } from './response-head.ts';

const CR = 13;
const LF = 10;
/** Of what stands between chunks and behind the last one. */
const MAX_LINE_BYTES = 16 * 1024;

/** Finds the content in what comes over a connection, by the framing that the head of the answer names. */
export class BodyCutter {
  /** Bytes that are certain to come: of the body, or of the chunk that has begun. */
  #left: number;
  readonly #framing: Framing;
  /** Text between chunks that was received so far. */
  #line = '';
  #lineBytes = 0;
  #awaits: 'size' | 'data' | 'end of data' | 'trailer';
  #done: boolean;

  constructor(framing: Framing) {
    this.#framing = framing;
    this.#left = framing.kind === 'length' ? framing.bytes : framing.kind === 'rest' ? Number.POSITIVE_INFINITY : 0;
    this.#awaits = framing.kind === 'chunked' ? 'size' : 'data';
    this.#done = this.#left === 0 && framing.kind !== 'chunked';
  }

  /** True if the whole body was received. */
  get done(): boolean {
    return this.#done;
  }

  /** True if the body ends when the connection closes. */
  get endsWithConnection(): boolean {
    return this.#framing.kind === 'rest';
  }

  /** Bytes of content that are certain to come next, as far as it was said. */
  get expectedBytes(): number {
    return this.#left;
  }

  /**
   * Tells of each piece of content in bytes that have come, as views of them.
   * @returns how many of the bytes belong to this answer
   * @throws MalformedResponse where chunks are not as they must be
   */
  cut(bytes: Uint8Array, onContent: (piece: Uint8Array) => void): number {
    let at = 0;
    while (at < bytes.length && !this.#done) {
      if (this.#awaits === 'data') {
        const taken = Math.min(this.#left, bytes.length - at);
        onContent(bytes.subarray(at, at + taken));
        at += taken;
        this.#left -= taken;
        if (this.#left === 0) this.#contentEnds();
      } else {
        at = this.#readLine(bytes, at);
      }
    }
    return at;
  }

  #contentEnds(): void {
    if (this.#framing.kind === 'chunked') this.#awaits = 'end of data';
    else this.#done = true;
  }

  /** Adds to the line what there is of it; where that is all, goes by what it says. */
  #readLine(bytes: Uint8Array, from: number): number {
    const lf = bytes.indexOf(LF, from);
    const end = lf < 0 ? bytes.length : lf;
    this.#lineBytes += end - from + 1;
    if (this.#lineBytes > MAX_LINE_BYTES) throw new MalformedResponse('a chunk header or trailer is too long');
    for (let at = from; at < end; at++) this.#line += String.fromCharCode(bytes[at] as number);
    if (lf < 0) return end;
    const line = this.#line;
    this.#line = '';
    if (line.charCodeAt(line.length - 1) !== CR) throw new MalformedResponse('a chunk header does not end with CRLF');
    this.#goBy(line.slice(0, -1));
    return lf + 1;
  }

  #goBy(line: string): void {
    if (this.#awaits === 'trailer') {
      this.#done = line === '';
      return;
    }
    this.#lineBytes = 0;
    if (this.#awaits === 'end of data') {
      if (line !== '') throw new MalformedResponse('a chunk is not terminated by CRLF');
      this.#awaits = 'size';
      return;
    }
    const size = (line.split(';', 1)[0] as string).replace(/[ \t]+$/, '');
    if (!/^[0-9a-f]{1,12}$/i.test(size)) throw new MalformedResponse('invalid chunk length');
    this.#left = Number.parseInt(size, 16);
    this.#awaits = this.#left === 0 ? 'trailer' : 'data';
  }
}
