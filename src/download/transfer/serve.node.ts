import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { FetchRange, SignedXorb } from '../../cas/reconstruction.ts';
import type { Codec } from '../../codec/codec.ts';
import { CodecPool } from '../../codec/pool.ts';
import { MemoryBudget } from '../../core/budget.ts';
import { NO_LONGER_WANTED, XetError } from '../../core/errors.ts';
import { MetricsLog } from '../../core/metrics.ts';
import type { FileDestination } from '../../files/place.ts';
import { diskErrors } from '../../fs/disk-errors.node.ts';
import { Http } from '../../http/http.ts';
import type { SendingFetch } from '../../http/types.ts';
import { RunBuffers } from '../../xorb/buffers.ts';
import { runBufferBytes } from '../../xorb/frames.ts';
import type { JobContext } from '../fetch-runs.ts';
import { fetchTogether } from '../fetch-together.ts';
import { FrameStarts } from '../frame-starts.ts';
import { ThroughputAverage } from '../hedge.ts';
import { RangeRules } from '../open-range.ts';
import { PieceSlicer } from '../piece-slicer.ts';
import { RangeJob } from '../range-job.ts';
import { RUN_BYTES } from '../range-part.ts';
import {
  errorOf,
  failureOf,
  type TransferCommand,
  type TransferCounts,
  type TransferNews,
  type TransferOrder,
  type WrittenPart,
} from './messages.ts';

/** Time between two messages about a job, in milliseconds: what a killed process has written and not noted by then is fetched again. */
const NEWS_MS = 50;

interface Port {
  postMessage(message: TransferNews): void;
  on(event: 'message', listener: (message: TransferCommand) => void): unknown;
}

/** Objects that the jobs of a worker share. */
interface Shared {
  fetch: SendingFetch;
  pool: CodecPool;
  pace: ThroughputAverage;
  rules: RangeRules;
  buffers: RunBuffers;
  /** Hosts that have answered. */
  reached: Set<string>;
}

/** Runs transfer jobs that come over a port: requests, decodes, and writes through descriptors of its own. */
export function serveTransfers(port: Port, fetch: SendingFetch, load: () => Promise<Codec>): void {
  const shared: Shared = {
    fetch,
    pool: new CodecPool({ size: 0, load }),
    pace: new ThroughputAverage(),
    rules: new RangeRules(),
    buffers: new RunBuffers(runBufferBytes(RUN_BYTES)),
    reached: new Set(),
  };
  const jobs = new Map<number, Transfer>();
  port.on('message', (command) => {
    if ('ping' in command) port.postMessage({ pong: true });
    else if ('stop' in command) jobs.get(command.stop)?.stop();
    else if ('renewed' in command) jobs.get(command.renewed)?.renewed(command.at, command.signed);
    else if ('notRenewed' in command) jobs.get(command.notRenewed)?.notRenewed(command.at, errorOf(command.failure));
    else {
      const { id } = command.order;
      const transfer = new Transfer(command.order, shared, (news) => port.postMessage(news));
      jobs.set(id, transfer);
      void transfer
        .run()
        .then(
          () => undefined,
          (error: unknown) => failureOf(error),
        )
        .then((ended) => {
          jobs.delete(id);
          transfer.tell();
          port.postMessage({ id, ended });
        });
    }
  });
}

interface Asked {
  resolve: (signed: SignedXorb) => void;
  reject: (error: unknown) => void;
}

/** One job in its worker. */
class Transfer {
  readonly #order: TransferOrder;
  readonly #shared: Shared;
  readonly #post: (news: TransferNews) => void;
  readonly #job: RangeJob;
  readonly #log = new MetricsLog();
  readonly #signed: SignedXorb[];
  readonly #asked = new Map<number, Asked[]>();
  #stopped = false;
  #written: WrittenPart[] = [];
  #start: { chunk: number; byte: number } | undefined;
  #received = 0;
  #decodedRuns = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  /** Part of the log that has been told. */
  #told = { network: 0, requests: 0, writing: 0, retries: {} as Record<string, number> };
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(order: TransferOrder, shared: Shared, post: (news: TransferNews) => void) {
    this.#order = order;
    this.#shared = shared;
    this.#post = post;
    this.#signed = [...order.signed];
    const { id, settings, attempts, policy, xorb, ranges, wanted } = order;
    const http = new Http(
      {
        ...settings,
        fetch: shared.fetch,
        takesPieces: true,
        onRetry: ({ error, ...retry }) => post({ id, retry, failure: failureOf(error) }),
      },
      this.#log,
      shared.reached,
    );
    const starts = new FrameStarts();
    const [only] = ranges;
    if (only && ranges.length === 1 && order.start) starts.note(only, order.start.chunk, order.start.byte);
    const context: JobContext = {
      transport: {
        ...shared,
        budget: new MemoryBudget(order.memoryBytes, 0),
        // The client has given it a lane already, and learns from it how much comes.
        lanes: {
          enter: async () => undefined,
          leave: () => undefined,
          recheck: () => undefined,
          received: (bytes) => this.#receive(bytes),
          backOff: () => post({ id, backOff: true }),
        },
        attempts,
        together: fetchTogether,
      },
      read: { http, policy, report: {} },
      starts: {
        before: (range, chunk) => starts.before(range, chunk),
        note: (range, chunk, byte) => {
          starts.note(range, chunk, byte);
          this.#start = { chunk, byte };
        },
      },
      inPlace: true,
    };
    const urls = {
      find: (_: string, range: FetchRange) => this.#signedFor(this.#indexOf(range)),
      renew: (_: string, range: FetchRange, expired: string) => this.#renew(this.#indexOf(range), expired),
    };
    this.#job = new RangeJob({ xorb, urls, ranges, wanted }, context);
  }

  async run(): Promise<void> {
    const { destination, pieces } = this.#order;
    const takers = pieces.map((piece) => new PieceSlicer(piece));
    const job = this.#job;
    if (this.#stopped) throw NO_LONGER_WANTED;
    const file = await diskErrors(destination.path, async () => openDestination(destination));
    // The memory is set aside; nothing else of this worker could give any back.
    job.makeUrgent();
    const running = job.run();
    try {
      for await (const batch of job.all()) {
        const { data, chunks } = await batch.decoded;
        this.#decodedRuns++;
        for (const taker of takers) {
          const share = taker.take(batch, chunks);
          if (!share) continue;
          if (this.#stopped) throw NO_LONGER_WANTED;
          const bytes = data.subarray(share.start, share.end);
          await diskErrors(destination.path, () =>
            this.#log.timed('writing', async () => writeAllSync(file, bytes, share.at)),
          );
          // A view would take all of the memory behind it along.
          this.#written.push({ at: share.at, length: bytes.length, chunks: share.chunks.slice() });
          this.#tellSoon();
        }
        this.#shared.buffers.give(data.buffer);
      }
      for (const taker of takers) taker.finish();
    } finally {
      job.stop(NO_LONGER_WANTED);
      await running;
      job.dispose();
      closeSync(file);
      clearTimeout(this.#timer);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#job.stop(NO_LONGER_WANTED);
    for (const waiting of this.#asked.values()) for (const { reject } of waiting) reject(NO_LONGER_WANTED);
    this.#asked.clear();
  }

  renewed(at: number, signed: SignedXorb): void {
    this.#signed[at] = signed;
    const waiting = this.#asked.get(at) ?? [];
    this.#asked.delete(at);
    for (const { resolve } of waiting) resolve(signed);
  }

  notRenewed(at: number, error: Error): void {
    const waiting = this.#asked.get(at) ?? [];
    this.#asked.delete(at);
    for (const { reject } of waiting) reject(error);
  }

  /** Tells what has been done since the last time. */
  tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#toldAt = performance.now();
    const written = this.#written;
    this.#written = [];
    const { id } = this.#order;
    this.#post({ id, written, counts: this.#counts(), start: this.#start });
  }

  #counts(): TransferCounts {
    const { bytes, requests, seconds, retries } = this.#log;
    const before = this.#told;
    this.#told = { network: bytes.network, requests: requests.xorb, writing: seconds.writing, retries: { ...retries } };
    const received = this.#received;
    const decodedRuns = this.#decodedRuns;
    this.#received = 0;
    this.#decodedRuns = 0;
    return {
      received,
      decodedRuns,
      network: this.#told.network - before.network,
      requests: this.#told.requests - before.requests,
      writingSeconds: this.#told.writing - before.writing,
      retries: Object.fromEntries(
        Object.entries(retries).map(([code, count]) => [code, count - (before.retries[code] ?? 0)]),
      ),
    };
  }

  #receive(bytes: number): void {
    this.#received += bytes;
    this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#timer) return;
    const passed = performance.now() - this.#toldAt;
    this.#timer = setTimeout(() => this.tell(), Math.max(0, NEWS_MS - passed));
  }

  #indexOf({ bytes }: FetchRange): number {
    return this.#order.ranges.findIndex((one) => one.bytes.start === bytes.start && one.bytes.end === bytes.end);
  }

  #signedFor(at: number): SignedXorb {
    const signed = this.#signed[at];
    if (!signed) throw new XetError('PROTOCOL', `Xorb ${this.#order.xorb} has no such range.`);
    return signed;
  }

  async #renew(at: number, expired: string): Promise<SignedXorb> {
    const known = this.#signedFor(at);
    if (known.url !== expired) return known;
    return new Promise((resolve, reject) => {
      const waiting = this.#asked.get(at);
      if (waiting) waiting.push({ resolve, reject });
      else {
        this.#asked.set(at, [{ resolve, reject }]);
        this.#post({ id: this.#order.id, renew: at, expired });
      }
    });
  }
}

/** Opens the very file that the client has open; another one that took its name is not written to. */
function openDestination({ path, device, inode }: FileDestination): number {
  const file = openSync(path, constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0));
  const { dev, ino } = fstatSync(file, { bigint: true });
  if (String(dev) === device && String(ino) === inode) return file;
  closeSync(file);
  throw new XetError('CACHE', `Another process took over the download (${path}). Run the same again.`, {
    retryable: true,
  });
}

/** Nothing is left on its way when the worker is ended: a call that has begun ends first. */
function writeAllSync(file: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, at + done);
}
