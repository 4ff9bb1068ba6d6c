/** Steps that are done one after the other: each counts on what the one before left. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(step);
    // Whoever asked for it is told of its failure; the next one in turn is not.
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when all steps so far are over. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
