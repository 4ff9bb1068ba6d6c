import type { Steps } from './steps.ts';

/** Bytes that are handed out in one task at most; copying them takes a few milliseconds. */
const TASK_BYTES = 4 * 1024 * 1024;

/**
 * Keeps tasks short. What is there already is handed out without ever leaving the task: one piece for which others have
 * waited would be followed by all of them, and a page would stand still for as long as that takes.
 */
export class EventLoopYielder {
  readonly #taskBytes: number;
  #bytes = 0;

  /** @param taskBytes what one task may do. */
  constructor(taskBytes = TASK_BYTES) {
    this.#taskBytes = taskBytes;
  }

  /** Takes note of bytes that were handed out; now and then it takes a turn of the event loop. */
  async after(bytes: number): Promise<void> {
    this.#bytes += bytes;
    if (this.#bytes < this.#taskBytes) return;
    this.#bytes = 0;
    await turn();
  }
}

/** Does the work with a turn of the event loop at each stop; an abort is noticed there. */
export async function inTurns<T>(work: Steps<T>, signal: AbortSignal | undefined): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    await turn();
    signal?.throwIfAborted();
  }
}

/** Resolves in another task. A timer would do the same, but browsers make it wait. */
function turn(): Promise<void> {
  const { scheduler } = globalThis as { scheduler?: { yield?: () => Promise<void> } };
  if (scheduler?.yield) return scheduler.yield();
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
