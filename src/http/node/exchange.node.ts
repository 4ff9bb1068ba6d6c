import type { BodyPiece } from '../body-reader.ts';
import type { Block } from './read-blocks.ts';
import { BodyCutter } from './response-body.ts';
import { HeadCollector, MalformedResponse, parseResponseHead, type ResponseHead } from './response-head.ts';

/** Unread bytes after which the sender is paused. */
const HIGH_WATER_BYTES = 256 * 1024;
const CLOSED = 'the other side closed the connection';

/** Calls of an exchange to its connection. */
interface Line {
  resume(): void;
  close(): void;
  /** All of the answer has come. */
  done(idleMs: number): void;
}

/** A part of a body, in a block of its connection. */
interface Content {
  bytes: Uint8Array;
  block: Block;
}

/** One request and its answer. */
export class Exchange {
  readonly #method: string;
  readonly #line: Line;
  readonly #pending: Content[] = [];
  #pendingBytes = 0;
  #collector = new HeadCollector();
  #hasBegun = false;
  #head: ResponseHead | undefined;
  #cutter: BodyCutter | undefined;
  /** The piece that somebody looks at. */
  #lent: Content | undefined;
  #end: { error?: unknown } | undefined;
  #wanted = true;
  #held = false;
  #wake: (() => void) | undefined;
  #readOffTimer: NodeJS.Timeout | undefined;
  /** Called once: all of the answer has come, or will not. */
  onEnd: (() => void) | undefined;

  constructor(method: string, line: Line) {
    this.#method = method;
    this.#line = line;
  }

  /** True if any byte of the response was received. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  get expectedBytes(): number {
    return this.#cutter?.expectedBytes ?? 0;
  }

  /** Resolves when the head of the answer is there. */
  async head(): Promise<ResponseHead> {
    while (!this.#head) {
      if (this.#end) throw this.#end.error;
      await this.#somethingNew();
    }
    return this.#head;
  }

  /** The received bytes, at least one; valid until the next are requested. */
  async lend(): Promise<BodyPiece> {
    this.#takeBack();
    await this.#content();
    this.#lent = this.#next();
    return this.#lent ? { done: false, value: this.#lent.bytes } : { done: true };
  }

  /** All that has come, in memory of its own. */
  async read(): Promise<BodyPiece> {
    await this.#content();
    if (this.#pending.length === 0) return { done: true };
    const value = new Uint8Array(this.#pendingBytes);
    let filled = 0;
    for (let content = this.#next(); content; content = this.#next()) {
      value.set(content.bytes, filled);
      filled += content.bytes.length;
      content.block.letGo();
    }
    return { done: false, value };
  }

  /** Nobody wants what has not been read. The connection is closed unless all has come. */
  cancel(reason?: unknown): void {
    this.#fail(reason ?? new Error('nobody wants the rest'));
    this.#discard();
  }

  /** Nobody wants the body; the connection is used again if it comes soon. */
  readOff(mostMs: number): void {
    this.#discard();
    if (this.#end) return;
    this.#readOffTimer = setTimeout(() => this.cancel(), mostMs).unref();
    this.#line.resume();
  }

  /** Takes bytes that the connection read. @returns false to pause reading */
  take(bytes: Uint8Array, block: Block): boolean {
    try {
      const rest = this.#takeHead(bytes);
      if (!rest || !this.#cutter) return true;
      const taken = this.#cutter.cut(rest, (piece) => this.#add(piece, block));
      if (this.#cutter.done && this.#ends({})) this.#line.done(taken === rest.length ? (this.#head?.idleMs ?? 0) : 0);
    } catch (error) {
      this.#fail(failed(error));
    }
    if (this.#pending.length > 0) this.#notify();
    this.#held = this.#pendingBytes >= HIGH_WATER_BYTES && !this.#end;
    return !this.#held;
  }

  /** The connection has ended. */
  end(error: Error | undefined): void {
    const isAll = !error && this.#cutter?.endsWithConnection;
    this.#ends(isAll ? {} : { error: failed(error ?? new Error(CLOSED)) });
  }

  /** @returns what comes after the head, once that is there. */
  #takeHead(bytes: Uint8Array): Uint8Array | undefined {
    let rest = bytes;
    while (!this.#head) {
      this.#hasBegun = true;
      const end = this.#collector.add(rest);
      if (end === undefined) return undefined;
      const head = parseResponseHead(this.#collector.text, this.#method);
      rest = rest.subarray(end);
      this.#collector = new HeadCollector();
      if (head.status === 101) throw new MalformedResponse('the server switched protocols without being asked');
      // Others below 200 announce the answer.
      if (head.status < 200) continue;
      this.#head = head;
      this.#cutter = new BodyCutter(head.framing);
      this.#notify();
    }
    return rest;
  }

  #add(bytes: Uint8Array, block: Block): void {
    if (!this.#wanted) return;
    this.#pendingBytes += bytes.length;
    const last = this.#pending.at(-1);
    if (last?.block === block && last.bytes.byteOffset + last.bytes.length === bytes.byteOffset) {
      last.bytes = block.memory.subarray(last.bytes.byteOffset, bytes.byteOffset + bytes.length);
    } else {
      block.hold();
      this.#pending.push({ bytes, block });
    }
  }

  #next(): Content | undefined {
    const content = this.#pending.shift();
    if (content) this.#pendingBytes -= content.bytes.length;
    return content;
  }

  /** Resolves when there is content, or will be none. */
  async #content(): Promise<void> {
    if (this.#held && this.#pendingBytes < HIGH_WATER_BYTES) {
      this.#held = false;
      this.#line.resume();
    }
    while (this.#pending.length === 0 && !this.#end) await this.#somethingNew();
    // The connection may have more to give in this turn of the loop: each piece has a long way through its readers.
    if (this.#pendingBytes < HIGH_WATER_BYTES && !this.#end) await new Promise((resolve) => setImmediate(resolve));
    if (this.#pending.length === 0 && this.#end && 'error' in this.#end) throw this.#end.error;
  }

  #fail(error: unknown): void {
    if (this.#ends({ error })) this.#line.close();
  }

  /** @returns whether it had not ended before. */
  #ends(end: { error?: unknown }): boolean {
    if (this.#end) return false;
    this.#end = end;
    clearTimeout(this.#readOffTimer);
    this.onEnd?.();
    this.#notify();
    return true;
  }

  #takeBack(): void {
    this.#lent?.block.letGo();
    this.#lent = undefined;
  }

  #discard(): void {
    this.#wanted = false;
    for (let content = this.#next(); content; content = this.#next()) content.block.letGo();
    this.#takeBack();
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** As `fetch` says it. */
export function failed(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause });
}
