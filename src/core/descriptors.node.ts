import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Shares } from './descriptors.ts';
import { isOutOfDescriptors } from './descriptors.ts';

/** The wait before another attempt grows to this. */
const MAX_WAIT_MS = 100;
/** Attempts in a row during which nothing else in this thread made progress: some three seconds. */
const MAX_ATTEMPTS = 32;
/** With a limit above this, descriptors are not scarce. */
const PLENTY = 512;
/** For what is opened for a moment: folders, notes, modules. */
const RESERVE = 8;
/** A thread has an event loop of its own. */
const PER_WORKER = 4;
/** A large file has its data, a journal and a lock open, and connections besides. */
const PER_FILE = 6;
const PER_LANE = 3;

let progress = 0;
const savers = new Set<() => void>();

/** Has a function called when descriptors run out: it closes what nobody needs. */
export function onShortage(save: () => void): void {
  savers.add(save);
}

/** Takes note that something that is open is being used: it will be closed some time. */
export function madeProgress(): void {
  progress++;
}

/**
 * Runs a step that opens something. Where too much is open it waits and tries again, for as long as other work of this
 * thread makes progress, and a little longer. Then the error is thrown: whoever else holds descriptors may never let go.
 */
export async function withDescriptor<T>(step: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1, seen = progress; ; attempt++) {
    try {
      const result = await step();
      progress++;
      return result;
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      if (progress !== seen) attempt = 1;
      if (attempt > MAX_ATTEMPTS) throw error;
      seen = progress;
    }
    for (const save of savers) save();
    await delay(Math.min(MAX_WAIT_MS, 5 * 2 ** attempt));
    signal?.throwIfAborted();
  }
}

/** Parallelism that the remaining descriptors allow; undefined if they are plenty or the limit is unknown. */
export function descriptorShares(): Shares | undefined {
  // It would ask its user whether that may be read.
  if ('Deno' in globalThis) return undefined;
  try {
    const limit = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]);
    // With no limit it is not a number.
    return limit < PLENTY ? sharesOf(limit - readdirSync('/proc/self/fd').length) : undefined;
  } catch (error) {
    return isOutOfDescriptors(error) ? sharesOf(0) : undefined;
  }
}

/** Divides what is left. At least one file and one request are possible, whatever comes of them. */
export function sharesOf(left: number): Shares {
  // Half of what is left at most, and one of the threads is for the disk.
  const threads = Math.max(0, Math.floor((left - RESERVE) / 2 / PER_WORKER));
  const workers = Math.max(0, Math.min(4, threads - 1));
  const rest = left - RESERVE - (workers === 0 ? 0 : (workers + 1) * PER_WORKER);
  const share = (each: number) => Math.max(1, Math.floor(rest / each));
  return { workers, files: share(PER_FILE), lanes: share(PER_LANE) };
}
