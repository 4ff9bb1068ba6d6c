import { setImmediate as othersTurn } from 'node:timers/promises';

/** A long loop holds up every other request for about so long at a time. */
const HELD_MS = 20;

/** Lets others be served in the middle of a long loop, which takes a breath at each step. */
export class Breath {
  #since = performance.now();

  async take(): Promise<void> {
    if (performance.now() - this.#since < HELD_MS) return;
    await othersTurn();
    this.#since = performance.now();
  }
}
