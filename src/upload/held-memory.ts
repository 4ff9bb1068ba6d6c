import type { MemoryBudget } from '../core/budget.ts';

/** What one upload has taken from the memory budget. When it ends, in whatever way, all of that is given back. */
export class HeldMemory {
  readonly #budget: MemoryBudget;
  /** Things under way that will free memory without anything being read: whoever reads can wait for them. */
  moving = 0;
  #heldBytes = 0;
  #ended = false;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** Waits until the bytes fit, or `urgent` says that waiting makes no sense. */
  async acquire(bytes: number, urgent: () => boolean, signal: AbortSignal): Promise<void> {
    await this.#budget.acquire(bytes, urgent, signal);
    if (this.#ended) this.#budget.release(bytes);
    else this.#heldBytes += bytes;
    signal.throwIfAborted();
  }

  /** For what is there already, whether it fits or not. */
  add(bytes: number): void {
    if (this.#ended) return;
    this.#budget.tryAcquire(bytes, true);
    this.#heldBytes += bytes;
  }

  release(bytes: number): void {
    if (this.#ended) return;
    this.#heldBytes -= bytes;
    this.#budget.release(bytes);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#budget.release(this.#heldBytes);
  }
}
