import type { BigIntStats } from 'node:fs';
import { adaptiveFs } from './adaptive-fs.node.ts';

/** Looks in one task of the event loop: a few milliseconds. */
const LOOKS_A_TURN = 500;

/**
 * Looks at many files, on any thread. One that is waited for costs ten times as much as one that is not, so a disk that
 * answers at once is asked in turn, and lets others have theirs in between; a slow one is asked for many side by side.
 */
export class StatBatcher {
  readonly #disk = adaptiveFs();
  #looks = 0;
  /** All wait for it, or each of them could take as many looks. */
  #nextTurn: Promise<void> | undefined;

  /** Follows links. Rejects as `stat` does. */
  async stat(path: string): Promise<BigIntStats> {
    while (this.#nextTurn) await this.#nextTurn;
    this.#looks++;
    if (this.#looks % LOOKS_A_TURN === 0) {
      this.#nextTurn = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        this.#nextTurn = undefined;
      });
    }
    return this.#disk.stat(path, { bigint: true });
  }
}
