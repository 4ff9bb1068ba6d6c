import type { Socket } from 'node:net';
import { Exchange } from './exchange.node.ts';
import { ReadBlocks } from './read-blocks.ts';

/** How Node reads into memory that it is given (`onread` of `net.connect` and `tls.connect`). */
export interface ReadInto {
  buffer(): Uint8Array;
  callback(bytes: number, room: Uint8Array): boolean;
}

/**
 * A connection that carries one request after the other. It reads into the same few blocks again and again, and past
 * Node's streams: those cost more for each byte than all else that is done with it.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #blocks = new ReadBlocks();
  readonly #onIdle: (idleMs: number) => void;
  #exchange: Exchange | undefined;
  /** Whether it has carried a request before. */
  wasUsed = false;

  /**
   * @param open makes the socket.
   * @param onIdle is told when another request may be sent within some time.
   */
  constructor(open: (into: ReadInto) => Socket, onIdle: (idleMs: number) => void) {
    this.#onIdle = onIdle;
    this.#socket = open({
      buffer: () => this.#blocks.room(this.#exchange?.expectedBytes ?? 0),
      callback: (bytes, room) => this.#take(room.subarray(0, bytes)),
    });
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('end', () => this.#end(undefined));
    this.#socket.on('close', () => this.#end(undefined));
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable;
  }

  /** Sends a request; only when none is under way. */
  send(method: string, head: string, body: string | Uint8Array | undefined): Exchange {
    const exchange = new Exchange(method, {
      resume: () => void this.#socket.resume(),
      close: (error) => void this.#socket.destroy(error),
      done: (idleMs) => this.#done(idleMs),
    });
    this.#exchange = exchange;
    this.#socket.ref();
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    if (body !== undefined && body.length > 0) this.#socket.write(body);
    this.#socket.uncork();
    return exchange;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** @returns false where nothing more is to be read for now. */
  #take(bytes: Uint8Array): boolean {
    const block = this.#blocks.current;
    block.used += bytes.length;
    if (this.#exchange) return this.#exchange.take(bytes, block);
    // Nobody has asked for that.
    this.#socket.destroy();
    return false;
  }

  #end(error: Error | undefined): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.end(error);
  }

  #done(idleMs: number): void {
    this.#exchange = undefined;
    // A server that answers before it has all of a request will not read the rest.
    if (idleMs === 0 || this.#socket.writableLength > 0 || !this.isOpen) {
      this.#socket.destroy();
      return;
    }
    this.wasUsed = true;
    // Neither does it keep the process, nor does it fail to see that the other side ends.
    this.#socket.unref().resume();
    this.#onIdle(idleMs);
  }
}
