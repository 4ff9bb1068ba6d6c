import type { MemoryBudget } from '../../core/budget.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { RunBuffers } from '../../xorb/buffers.ts';
import { assertRun } from './chunk-runs.ts';
import { type ChunkRun, type ChunkStore, callByName, dispatching } from './chunk-store.ts';

/** Limit for bytes of pending puts; beyond it, a put waits for the disk. */
const MAX_PENDING_BYTES = 8 * 1024 * 1024;

/** Usual maximum of a run decoded from fetched frames; most are only a little shorter. */
const MAX_COPY_BYTES = 640 * 1024;
const MAX_SPARE_COPIES = 4;

interface PendingPut {
  chunks: ChunkRange;
  done: Promise<void>;
}

/**
 * Makes puts asynchronous: a run is copied and stored later, as long as the budget has room for the copy, so that readers
 * do not wait for the disk. Other calls wait for the pending puts that concern them, so the delay is not observable.
 * Pending puts are lost when the page or process ends.
 */
export function writeBehindStore(store: ChunkStore, budget: MemoryBudget): ChunkStore {
  const pending = new PendingPuts();
  const buffers = new RunBuffers(MAX_COPY_BYTES, MAX_SPARE_COPIES);
  let pendingBytes = 0;

  async function put(xorb: string, run: ChunkRun): Promise<undefined> {
    assertRun(xorb, run);
    const { length } = run.bytes;
    const heldBytes = buffers.memoryFor(length);
    if (pendingBytes + heldBytes > MAX_PENDING_BYTES || !budget.tryAcquire(heldBytes)) {
      await store.put(xorb, run);
      return;
    }
    pendingBytes += heldBytes;
    const bytes = buffers.fitting(length);
    bytes.set(run.bytes);
    const done = store
      .put(xorb, { ...run, records: run.records.slice(), bytes }, true)
      .then((returned) => buffers.give(returned ?? bytes.buffer))
      .finally(() => {
        pendingBytes -= heldBytes;
        budget.release(heldBytes);
      });
    pending.add(xorb, { chunks: run.chunks, done });
  }

  const others = dispatching(async (method, args) => {
    const [xorb, chunks] = args;
    await (typeof xorb === 'string' ? pending.settled(xorb, chunks as ChunkRange | undefined) : pending.allSettled());
    return callByName(store, method, args);
  });
  return { ...others, put };
}

class PendingPuts {
  readonly #byXorb = new Map<string, Set<PendingPut>>();

  add(xorb: string, put: PendingPut): void {
    const puts = this.#byXorb.get(xorb) ?? new Set();
    this.#byXorb.set(xorb, puts.add(put));
    const remove = () => {
      puts.delete(put);
      if (puts.size === 0 && this.#byXorb.get(xorb) === puts) this.#byXorb.delete(xorb);
    };
    // A put rejects only if the program is wrong. It stays in the list, so that the next call that waits for it rejects.
    put.done.then(remove, () => undefined);
  }

  /** Waits for puts of any of these chunks; all of the xorb by default. */
  async settled(xorb: string, chunks: ChunkRange = ALL_CHUNKS): Promise<void> {
    const puts = [...(this.#byXorb.get(xorb) ?? [])];
    const concerned = puts.filter((put) => put.chunks.start < chunks.end && chunks.start < put.chunks.end);
    await Promise.all(concerned.map(({ done }) => done));
  }

  async allSettled(): Promise<void> {
    await Promise.all([...this.#byXorb.keys()].map((xorb) => this.settled(xorb)));
  }
}

const ALL_CHUNKS = { start: 0, end: Number.POSITIVE_INFINITY };
