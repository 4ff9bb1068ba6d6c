/** About what the system has ready at once on a fast line; little enough to stay in a processor's cache. */
export const BLOCK_BYTES = 256 * 1024;
/** Enough for a head and a short answer. */
const FIRST_BYTES = 16 * 1024;
/** With less room, the system would be asked too often. */
const MIN_ROOM_BYTES = 4096;
/** Spare memory is in nobody's budget. */
const MAX_SPARE = 8;

const spare: Uint8Array<ArrayBuffer>[] = [];

/** Memory that a connection reads into, from its beginning to its end, and again when nobody looks at it any more. */
export class Block {
  readonly memory: Uint8Array<ArrayBuffer>;
  /** Position at which reading continues. */
  used = 0;
  /** Whoever reads into it, and all who look at what was read. */
  #holders = 1;

  constructor(bytes: number) {
    this.memory = (bytes === BLOCK_BYTES && spare.pop()) || new Uint8Array(bytes);
  }

  hold(): void {
    this.#holders++;
  }

  letGo(): void {
    this.#holders--;
    if (this.#holders === 0 && this.memory.length === BLOCK_BYTES && spare.length < MAX_SPARE) spare.push(this.memory);
  }
}

/** Memory that a connection reads into: the rest of a block while it is large enough, then another block. */
export class ReadBlocks {
  #block = new Block(FIRST_BYTES);

  /** The block that is read into. */
  get current(): Block {
    return this.#block;
  }

  /**
   * Room for what comes next, which nobody looks at.
   * @param expectedBytes that are certain to come
   */
  room(expectedBytes: number): Uint8Array {
    const left = this.#block.memory.length - this.#block.used;
    const isEnough = left >= Math.min(BLOCK_BYTES / 2, Math.max(expectedBytes, MIN_ROOM_BYTES));
    if (!isEnough) {
      this.#block.letGo();
      this.#block = new Block(expectedBytes > FIRST_BYTES ? BLOCK_BYTES : FIRST_BYTES);
    }
    return this.#block.memory.subarray(this.#block.used);
  }
}
