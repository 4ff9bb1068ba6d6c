import type { MemoryBudget } from '../../core/budget.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { RunBuffers } from '../../xorb/buffers.ts';
import { assertRun } from './chunk-runs.ts';
import type { ChunkRun, ChunkStore } from './chunk-store.ts';

/** Bytes that may wait to be kept; whoever brings more waits for a disk. */
const MAX_PENDING_BYTES = 8 * 1024 * 1024;

/** As much as a run has at most that was decoded from frames which were fetched; most have little less. */
const MAX_COPY_BYTES = 640 * 1024;
const MAX_SPARE_COPIES = 4;

interface PendingPut {
  chunks: ChunkRange;
  done: Promise<void>;
}

/**
 * A store that readers do not wait for: a run is copied and kept in its own time, as long as the budget has room for the
 * copies. Whoever asks for chunks of a xorb that are on their way waits until they are there, so it looks as if they were.
 * What is under way when the page or the process ends is lost.
 */
export class WriteBehindStore implements ChunkStore {
  readonly #store: ChunkStore;
  readonly #budget: MemoryBudget;
  /** Puts under way, by xorb. */
  readonly #putting = new Map<string, Set<PendingPut>>();
  #bytes = 0;
  readonly #buffers = new RunBuffers(MAX_COPY_BYTES, MAX_SPARE_COPIES);

  constructor(store: ChunkStore, budget: MemoryBudget) {
    this.#store = store;
    this.#budget = budget;
  }

  async put(xorb: string, run: ChunkRun): Promise<undefined> {
    assertRun(xorb, run);
    const { length } = run.bytes;
    const heldBytes = this.#buffers.memoryFor(length);
    if (this.#bytes + heldBytes > MAX_PENDING_BYTES || !this.#budget.tryAcquire(heldBytes)) {
      await this.#store.put(xorb, run);
      return;
    }
    this.#bytes += heldBytes;
    const bytes = this.#buffers.fitting(length);
    bytes.set(run.bytes);
    const copy = { ...run, records: run.records.slice(), bytes };
    const putting = this.#store
      .put(xorb, copy, true)
      .then((spent) => this.#buffers.give(spent ?? bytes.buffer))
      .finally(() => {
        this.#bytes -= heldBytes;
        this.#budget.release(heldBytes);
      });
    this.#track(xorb, { chunks: run.chunks, done: putting });
  }

  async find(xorb: string, chunks: ChunkRange) {
    await this.#settled(xorb, chunks);
    return this.#store.find(xorb, chunks);
  }

  async records(xorb: string, chunks: ChunkRange) {
    await this.#settled(xorb, chunks);
    return this.#store.records(xorb, chunks);
  }

  async read(xorb: string, chunks: ChunkRange) {
    await this.#settled(xorb, chunks);
    return this.#store.read(xorb, chunks);
  }

  async drop(xorb: string) {
    await this.#settled(xorb);
    return this.#store.drop(xorb);
  }

  async usage() {
    await this.#allSettled();
    return this.#store.usage();
  }

  async prune(maxBytes: number) {
    await this.#allSettled();
    return this.#store.prune(maxBytes);
  }

  async clear() {
    await this.#allSettled();
    return this.#store.clear();
  }

  async close() {
    await this.#allSettled();
    return this.#store.close();
  }

  #track(xorb: string, putting: PendingPut): void {
    const others = this.#putting.get(xorb) ?? new Set();
    this.#putting.set(xorb, others.add(putting));
    const done = () => {
      others.delete(putting);
      if (others.size === 0 && this.#putting.get(xorb) === others) this.#putting.delete(xorb);
    };
    // A put rejects only if the program is wrong: that is told to whoever waits for it.
    putting.done.then(done, () => undefined);
  }

  /** Waits for those that have some of these chunks. */
  async #settled(xorb: string, chunks: ChunkRange = ALL_CHUNKS): Promise<void> {
    const putting = this.#putting.get(xorb);
    if (!putting) return;
    const meeting = [...putting].filter((one) => one.chunks.start < chunks.end && chunks.start < one.chunks.end);
    await Promise.all(meeting.map(({ done }) => done));
  }

  async #allSettled(): Promise<void> {
    await Promise.all([...this.#putting.keys()].map((xorb) => this.#settled(xorb)));
  }
}

const ALL_CHUNKS = { start: 0, end: Number.POSITIVE_INFINITY };
