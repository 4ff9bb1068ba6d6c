import type { BigIntStats } from 'node:fs';
import { TaskTurns } from '../download/task-turns.ts';
import { quickDisk } from './quick-disk.node.ts';

/** Looks in one task of the event loop: a few milliseconds. */
const LOOKS_A_TURN = 500;

/**
 * Looks at many files, on any thread. One that is waited for costs ten times as much as one that is not, so a disk that
 * answers at once is asked in turn, and lets others have theirs in between; a slow one is asked for many side by side.
 */
export class ManyLooks {
  readonly #disk = quickDisk();
  readonly #turns = new TaskTurns(LOOKS_A_TURN);

  /** Follows links. Rejects as `stat` does. */
  async stat(path: string): Promise<BigIntStats> {
    await this.#turns.after(1);
    return this.#disk.stat(path, { bigint: true });
  }
}
