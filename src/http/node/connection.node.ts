import type { Socket } from 'node:net';
import { madeProgress } from '../../core/descriptors.node.ts';
import type { Pieces } from '../types.ts';
import { Exchange } from './exchange.node.ts';
import { ReadBlocks } from './read-blocks.ts';
import type { OpenSocket, ReadInto } from './sockets.node.ts';

/**
 * A connection that carries one request after the other. It reads into the same few blocks again and again, and past
 * Node's streams: to receive a byte through those costs three times as much.
 */
export class Connection {
  readonly #blocks = new ReadBlocks();
  readonly #onIdle: (idleMs: number) => void;
  #socket: Socket | undefined;
  #exchange: Exchange | undefined;
  /** True if it has carried a request before. */
  wasUsed = false;

  /** Blocks that its socket reads into. */
  readonly into: ReadInto = {
    buffer: () => this.#blocks.room(this.#exchange?.expectedBytes ?? 0),
    callback: (bytes, room) => this.#take(room.subarray(0, bytes)),
  };

  /** @param onIdle is told when another request may be sent within some time. */
  constructor(onIdle: (idleMs: number) => void) {
    this.#onIdle = onIdle;
  }

  attach({ socket, readsInto }: OpenSocket): void {
    this.#socket = socket;
    if (!readsInto) socket.on('data', (bytes) => this.#copy(bytes));
    socket.on('error', (error) => this.#end(error));
    socket.on('end', () => this.#end(undefined));
    socket.on('close', () => this.#end(undefined));
  }

  get isOpen(): boolean {
    return this.#socket !== undefined && !this.#socket.destroyed && this.#socket.writable;
  }

  /** Sends a request; only when none is under way. */
  send(method: string, head: string, body: string | Uint8Array | Pieces | undefined): Exchange {
    const socket = this.#socket as Socket;
    const exchange = new Exchange(method, {
      resume: () => void socket.resume(),
      close: () => void socket.destroy(),
      done: (idleMs) => this.#done(socket, idleMs),
    });
    this.#exchange = exchange;
    socket.ref();
    socket.cork();
    socket.write(head, 'latin1');
    const pieces: readonly (string | Uint8Array)[] = Array.isArray(body) ? body : [body ?? ''];
    for (const piece of pieces) if (piece.length > 0) socket.write(piece);
    socket.uncork();
    return exchange;
  }

  close(): void {
    this.#socket?.destroy();
  }

  /** Of a socket that has memory of its own. */
  #copy(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const room = this.into.buffer();
      const part = bytes.subarray(at, at + room.length);
      room.set(part);
      at += part.length;
      if (!this.into.callback(part.length, room)) this.#socket?.pause();
    }
  }

  /** @returns false where nothing more is to be read for now. */
  #take(bytes: Uint8Array): boolean {
    const block = this.#blocks.current;
    block.used += bytes.length;
    madeProgress();
    if (this.#exchange) return this.#exchange.take(bytes, block);
    // Nobody has asked for that.
    this.#socket?.destroy();
    return false;
  }

  #end(error: Error | undefined): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.end(error);
  }

  #done(socket: Socket, idleMs: number): void {
    this.#exchange = undefined;
    // A server that answers before it has all of a request will not read the rest.
    if (idleMs === 0 || socket.writableLength > 0 || !this.isOpen) {
      socket.destroy();
      return;
    }
    this.wasUsed = true;
    // Neither does it keep the process, nor does it fail to see that the other side ends.
    socket.unref().resume();
    this.#onIdle(idleMs);
  }
}
