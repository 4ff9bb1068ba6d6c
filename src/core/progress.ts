import type { MetricsLog } from './metrics.ts';

/** Progress of a transfer. Never decreases; the last report of a successful transfer is complete. */
export interface Progress {
  /** Goes on in this order; `verifying` is that of `cache.verify`, `uploading` and `committing` are those of uploads. */
  phase: 'resolving' | 'downloading' | 'verifying' | 'uploading' | 'committing' | 'done';
  /** Number of files. */
  files: { done: number; total: number };
  /**
   * Bytes of file content that are done, and in total; the rest has the meaning that it has in results: `network` was received or
   * sent, `cache` was assembled from chunks on this machine (of an upload, known to the Hub), `local` was already in place. An
   * upload also counts what was read and `hashed`.
   */
  bytes: { done: number; total: number; network: number; cache: number; local: number; hashed?: number };
  /** Content bytes a second, over the last few seconds. */
  bytesPerSecond: number;
  /** Undefined while nothing can be said. */
  etaSeconds: number | undefined;
  /** Path of the file at work. */
  current: string | undefined;
  /** True while nothing has arrived from the network for some seconds, for example offline. */
  waiting?: boolean;
}

/** Called at most ten times a second, and at the end. */
export type OnProgress = (progress: Progress) => void;

const REPORT_EVERY_MS = 100;
/** Also while nothing happens, which is worth knowing too. */
const LOOK_EVERY_MS = 1_000;
/** A pause that people begin to wonder about. */
const WAITING_MS = 3_000;
const RATE_WINDOW_MS = 5_000;
/** A rate over less than this says nothing about the rest. */
const RATE_KNOWN_MS = 1_000;

/** Adds up what happens and reports it, not more often than a person can see. */
export class ProgressMeter {
  readonly #report: OnProgress | undefined;
  readonly #now: () => number;
  readonly #state: Progress;
  readonly #samples: { at: number; done: number }[] = [];
  #lastReport = Number.NEGATIVE_INFINITY;
  #lastBytes: number;
  readonly #looking: ReturnType<typeof setInterval> | undefined;

  /** @param log of what is fetched: with it, the wait for bytes is reported until `stop` is called. */
  constructor(
    totals: { files: number; bytes: number },
    report: OnProgress | undefined,
    now: () => number = () => performance.now(),
    log?: MetricsLog,
  ) {
    this.#report = report;
    this.#now = now;
    this.#state = {
      phase: 'downloading',
      files: { done: 0, total: totals.files },
      bytes: { done: 0, total: totals.bytes, network: 0, cache: 0, local: 0 },
      bytesPerSecond: 0,
      etaSeconds: undefined,
      current: undefined,
    };
    this.#lastBytes = now();
    if (!report || !log) return;
    this.#looking = setInterval(() => this.#look(log), LOOK_EVERY_MS);
    (this.#looking as { unref?: () => void }).unref?.();
  }

  /** Reports no more of waiting. */
  stop(): void {
    clearInterval(this.#looking);
  }

  #look(log: MetricsLog): void {
    const now = this.#now();
    if (now - this.#lastReport < LOOK_EVERY_MS || this.#state.phase !== 'downloading') return;
    this.#state.waiting = log.awaited > 0 && now - this.#lastBytes >= WAITING_MS;
    this.#tick(true);
  }

  network(bytes: number): void {
    this.#state.bytes.network += bytes;
    this.#arrived();
  }

  #arrived(): void {
    this.#lastBytes = this.#now();
    if (this.#state.waiting) this.#state.waiting = false;
  }

  cache(bytes: number): void {
    this.#state.bytes.cache += bytes;
  }

  local(bytes: number): void {
    this.#state.bytes.local += bytes;
  }

  hashed(bytes: number): void {
    this.#state.bytes.hashed = (this.#state.bytes.hashed ?? 0) + bytes;
  }

  /** There is more than was known of. */
  grow(bytes: number): void {
    this.#state.bytes.total += bytes;
  }

  /** A file now stands at this many bytes more; a repeat after corrupt data does not count twice. */
  content(bytes: number, current: string): void {
    const { bytes: count } = this.#state;
    count.done = Math.min(count.total, count.done + bytes);
    this.#arrived();
    this.#state.current = current;
    this.#tick(false);
  }

  phase(phase: Progress['phase']): void {
    this.#state.phase = phase;
    if (phase === 'done') this.stop();
    this.#tick(true);
  }

  fileDone(): void {
    const { files } = this.#state;
    files.done++;
    if (files.done < files.total) {
      this.#tick(true);
      return;
    }
    this.#state.bytes.done = this.#state.bytes.total;
    this.#state.etaSeconds = 0;
    this.phase('done');
  }

  #tick(always: boolean): void {
    if (!this.#report) return;
    const at = this.#now();
    if (!always && at - this.#lastReport < REPORT_EVERY_MS) return;
    this.#lastReport = at;
    this.#measure(at);
    const { files, bytes } = this.#state;
    this.#report({ ...this.#state, files: { ...files }, bytes: { ...bytes } });
  }

  #measure(at: number): void {
    const { bytes } = this.#state;
    this.#samples.push({ at, done: bytes.done });
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > RATE_WINDOW_MS) this.#samples.shift();
    const first = this.#samples[0];
    if (!first || at <= first.at) return;
    this.#state.bytesPerSecond = ((bytes.done - first.done) / (at - first.at)) * 1000;
    const left = bytes.total - bytes.done;
    const known = this.#state.bytesPerSecond > 0 && at - first.at >= RATE_KNOWN_MS;
    this.#state.etaSeconds = left === 0 ? 0 : known ? left / this.#state.bytesPerSecond : undefined;
  }
}
