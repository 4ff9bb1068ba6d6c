import type { SignedXorb } from '../../cas/reconstruction.ts';
import { specOf } from '../assemble.ts';
import type { JobContext } from '../fetch-runs.ts';
import { JOB_BYTES } from '../range-job.ts';
import type { Stage } from '../stages.ts';
import {
  errorOf,
  failureOf,
  type TransferCommand,
  type TransferFailure,
  type TransferNews,
  type TransferOrder,
} from './messages.ts';
import type { RemoteJob, RemoteTarget, TransferAccounts } from './transfers.ts';

/** Decoded and not yet written in a worker, by each job. */
const MEMORY_BYTES = JOB_BYTES + 2 * 1024 * 1024;

/** Gives orders to workers. */
interface TransferRunner {
  run(
    order: Omit<TransferOrder, 'id' | 'settings'>,
    signal: AbortSignal,
    news: (news: TransferNews, answer: (command: TransferCommand) => void) => void,
  ): Promise<TransferFailure | undefined>;
}

/** One job of a file, done in a transfer worker: this thread gives it a lane and memory, and keeps its accounts. */
export class TransferJob implements RemoteJob {
  readonly #stage: Stage;
  readonly #index: number;
  readonly #context: JobContext;
  readonly #shared: TransferAccounts;
  readonly #pool: TransferRunner;
  readonly #abort = new AbortController();
  #urgent = false;

  constructor(stage: Stage, index: number, context: JobContext, shared: TransferAccounts, pool: TransferRunner) {
    this.#stage = stage;
    this.#index = index;
    this.#context = context;
    this.#shared = shared;
    this.#pool = pool;
  }

  /** Ends it; {@link run} returns when the worker writes nothing more. */
  stop(reason: unknown): void {
    this.#abort.abort(reason);
  }

  makeUrgent(): void {
    this.#urgent = true;
    this.#shared.lanes.recheck();
    this.#shared.budget.recheck();
  }

  /** Returns when all is in its place and noted. */
  async run(target: RemoteTarget): Promise<void> {
    const { lanes, budget } = this.#shared;
    const { signal } = this.#abort;
    const { log } = this.#context.read.http;
    const isUrgent = () => this.#urgent;
    await lanes.enter(isUrgent, signal);
    try {
      await budget.acquire(MEMORY_BYTES, isUrgent, signal);
      log.await(1);
      try {
        await this.#transfer(target);
      } finally {
        log.await(-1);
        budget.release(MEMORY_BYTES);
      }
    } finally {
      lanes.leave();
    }
  }

  async #transfer({ destination, note }: RemoteTarget): Promise<void> {
    const { read, starts, transport } = this.#context;
    const { signal } = this.#abort;
    const { plan } = this.#stage;
    const { xorb, urls, ranges, wanted } = specOf(this.#stage, this.#index);
    const pieces = (plan.jobs[this.#index]?.pieces ?? []).flatMap((at) => plan.pieces[at] ?? []);
    const [only] = ranges.length === 1 ? ranges : [];
    const first = Math.min(...wanted.map(({ start }) => start));
    const noting: Promise<void>[] = [];
    const signed: SignedXorb[] = ranges.map((range) => urls.find(xorb, range));
    const renew = async (id: number, at: number, expired: string): Promise<TransferCommand> => {
      try {
        const range = ranges[at];
        if (!range) throw new Error('A renewal of no range');
        return { renewed: id, at, signed: await urls.renew(xorb, range, expired, signal) };
      } catch (error) {
        return { notRenewed: id, at, failure: failureOf(error) };
      }
    };
    const ended = this.#pool.run(
      {
        xorb,
        ranges,
        signed,
        wanted,
        pieces,
        destination,
        policy: read.policy,
        attempts: transport.attempts,
        memoryBytes: MEMORY_BYTES,
        start: only && starts.before(only, Math.max(first, only.chunks.start)),
      },
      signal,
      (news, answer) => {
        if ('renew' in news) void renew(news.id, news.renew, news.expired).then(answer);
        else if ('backOff' in news) this.#shared.lanes.backOff();
        else if ('retry' in news) read.http.noticed(news.retry, errorOf(news.failure));
        else if ('written' in news) {
          this.#count(news);
          if (only && news.start) starts.note(only, news.start.chunk, news.start.byte);
          const noted = Promise.all(news.written.map(note)).then(() => undefined);
          noted.catch((error: unknown) => this.stop(error));
          noting.push(noted);
        }
      },
    );
    // What a lost worker has told of is in its place all the same, and must not be planned again.
    const failure = await ended.finally(() => Promise.allSettled(noting));
    await Promise.all(noting);
    if (signal.aborted) throw signal.reason;
    if (!failure) return;
    const [one] = signed;
    if ('together' in failure && one) this.#shared.rules.learn(one.url, 'all ranges at once');
    throw errorOf(failure);
  }

  #count({ counts }: Extract<TransferNews, { counts: unknown }>): void {
    const { http, report } = this.#context.read;
    const { log } = http;
    if (counts.received > 0) {
      report.network?.(counts.received);
      this.#shared.lanes.received(counts.received);
    }
    log.add('network', counts.network);
    for (let count = 0; count < counts.requests; count++) log.requested('xorb');
    for (const [code, count] of Object.entries(counts.retries)) {
      for (let one = 0; one < count; one++) log.retried(code as keyof typeof counts.retries);
    }
    log.took('writing', counts.writingSeconds);
    this.#shared.pool.counts.sent += counts.decodedRuns;
  }
}
