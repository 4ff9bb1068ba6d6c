import type { MemoryBudget } from '../core/budget.ts';

/** The share of the memory budget that one upload has taken. All of it is released when the upload ends. */
export class MemoryLease {
  readonly #budget: MemoryBudget;
  #inFlight = 0;
  #heldBytes = 0;
  #ended = false;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** Number of memory blocks that will be released without anything more being read: a reader can wait for them. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Waits until the bytes fit, or until `urgent` returns true because waiting is pointless. */
  async acquire(bytes: number, urgent: () => boolean, signal: AbortSignal): Promise<void> {
    await this.#budget.acquire(bytes, urgent, signal);
    if (this.#ended) this.#budget.release(bytes);
    else this.#heldBytes += bytes;
    signal.throwIfAborted();
  }

  /** Adds memory that exists already, even if it exceeds the budget. */
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

  /** Marks acquired memory as in flight until its `end` is called. */
  send(bytes: number): MemoryInFlight {
    this.#inFlight++;
    return new MemoryInFlight(this, bytes, () => this.#inFlight--);
  }

  /** Releases everything. Later calls do nothing. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#budget.release(this.#heldBytes);
  }
}

/** Memory on its way through an upload. */
export class MemoryInFlight {
  readonly #lease: MemoryLease;
  readonly #onEnd: () => void;
  #bytes: number;

  constructor(lease: MemoryLease, bytes: number, onEnd: () => void) {
    this.#lease = lease;
    this.#bytes = bytes;
    this.#onEnd = onEnd;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Changes its size; bytes added must have been acquired. */
  resize(bytes: number): void {
    if (bytes < this.#bytes) this.#lease.release(this.#bytes - bytes);
    this.#bytes = bytes;
  }

  /** Ends it, and releases all but `keptBytes`, which pass to the caller. */
  end(keptBytes = 0): void {
    this.#onEnd();
    this.#lease.release(this.#bytes - keptBytes);
  }
}
