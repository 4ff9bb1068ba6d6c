// @ts-check

const WINDOW_MS = 5000;
/** A rate over less than this says nothing about the rest. */
const KNOWN_MS = 700;

/** Bytes a second over the last few seconds. */
export class Speed {
  /** @type {{ at: number, bytes: number }[]} */
  #samples = [];

  /** Forgets what was: for when bytes begin to come from somewhere else, at another rate. */
  reset() {
    this.#samples = [];
  }

  /** @param {number} bytes there now, in all */
  note(bytes, now = performance.now()) {
    this.#samples.push({ at: now, bytes });
    while (this.#samples.length > 2 && now - (this.#samples[0]?.at ?? now) > WINDOW_MS) this.#samples.shift();
  }

  /** Undefined while nothing can be said. */
  perSecond() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.at - first.at < KNOWN_MS) return undefined;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }
}
