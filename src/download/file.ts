import { isXetError } from '../errors.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { MetricsLog } from '../metrics.ts';
import { type OnProgress, ProgressMeter } from '../progress.ts';
import type { FileSink, Place } from '../repo/place.ts';
import type { Verified } from './content-hash.ts';
import type { DownloadEngine } from './engine.ts';

export interface DownloadOutcome {
  path: string;
  verified: Verified;
  /** Bytes over the network; content bytes from caches; content bytes that were already in place. */
  bytes: { network: number; cache: number; local: number };
}

export interface DownloadSettings {
  signal: AbortSignal;
  /** Fetch again what is there, finished or not. */
  force: boolean;
  onProgress: OnProgress | undefined;
  onWarning: (message: string) => void;
  log: MetricsLog;
}

/**
 * Brings a file to its place. Written out of sight, verified, then given its name. Goes on where an earlier
 * try stopped; corrupt data is fetched once more from the network, all of it, before it is an error.
 */
export async function downloadTo(
  engine: DownloadEngine,
  file: ResolvedFile,
  place: Place,
  settings: DownloadSettings,
): Promise<DownloadOutcome> {
  const meter = new ProgressMeter({ files: 1, bytes: file.size }, settings.onProgress);
  const existing = settings.force ? undefined : await place.existing(settings.signal);
  return existing ? alreadyThere(existing, file, meter, settings.log) : fetchInto(engine, file, place, settings, meter);
}

function alreadyThere(
  existing: { path: string; verified: Verified },
  file: ResolvedFile,
  meter: ProgressMeter,
  log: MetricsLog,
): DownloadOutcome {
  log.add('local', file.size);
  meter.cached(file.size);
  meter.fileDone();
  return { ...existing, bytes: { network: 0, cache: 0, local: file.size } };
}

async function fetchInto(
  engine: DownloadEngine,
  file: ResolvedFile,
  place: Place,
  { signal, force, onWarning, log }: DownloadSettings,
  meter: ProgressMeter,
): Promise<DownloadOutcome> {
  let waited = false;
  const onWait = () => {
    waited = true;
    onWarning(`Another process is downloading '${file.path}'; waiting for it.`);
  };
  const sink = await place.openSink({ signal, onWait, resume: !force });
  try {
    const finished = waited && !force ? await place.existing(signal) : undefined;
    if (finished) return alreadyThere(finished, file, meter, log);
    const filling = new Filling(engine, file, sink, meter, signal, log);
    try {
      await filling.run(false);
    } catch (error) {
      if (!isXetError(error, 'INTEGRITY')) throw error;
      await sink.restart();
      try {
        await filling.run(true);
      } catch (again) {
        // What is known to be wrong is no start for another try.
        if (isXetError(again, 'INTEGRITY')) await sink.restart();
        throw again;
      }
    }
    signal.throwIfAborted();
    const path = await sink.publish();
    meter.fileDone();
    const { network, resumed, verified } = filling;
    return { path, verified, bytes: { network, cache: 0, local: resumed } };
  } finally {
    await sink.close();
  }
}

/** From the engine into the sink, counting. */
class Filling {
  readonly #engine: DownloadEngine;
  readonly #file: ResolvedFile;
  readonly #sink: FileSink;
  readonly #meter: ProgressMeter;
  readonly #signal: AbortSignal;
  readonly #log: MetricsLog;
  /** Whether Xet has turned out not to serve this file. */
  #plain = false;
  network = 0;
  resumed = 0;
  verified: Verified = 'xet';

  constructor(
    engine: DownloadEngine,
    file: ResolvedFile,
    sink: FileSink,
    meter: ProgressMeter,
    signal: AbortSignal,
    log: MetricsLog,
  ) {
    this.#log = log;
    this.#engine = engine;
    this.#file = file;
    this.#sink = sink;
    this.#meter = meter;
    this.#signal = signal;
  }

  #takeUnchecked(): number {
    const end = this.#sink.takeUnchecked();
    this.#found(end - this.resumed);
    return end;
  }

  /** Bytes that need not be fetched. */
  #found(bytes: number): void {
    this.resumed += bytes;
    this.#log.add('local', bytes);
    this.#meter.cached(bytes);
    this.#meter.content(bytes, this.#file.path);
  }

  async run(fresh: boolean): Promise<void> {
    const { chunks, bytes: start } = this.#sink.resumed;
    this.resumed = 0;
    this.#found(start);
    const content = this.#engine.read(
      this.#file,
      { start, end: this.#file.size },
      {
        signal: this.#signal,
        log: this.#log,
        fresh,
        have: { chunks, bytes: () => this.#sink.written(), takeUnchecked: () => this.#takeUnchecked() },
        plain: this.#plain,
        onFallback: () => {
          this.#plain = true;
        },
        onNetworkBytes: (bytes) => {
          this.network += bytes;
          this.#meter.network(bytes);
        },
        onVerified: (how) => {
          this.verified = how;
        },
      },
    );
    for await (const run of content) {
      await this.#log.timed('writing', () => this.#sink.write(run.bytes, run.chunks));
      this.#meter.content(run.bytes.length, this.#file.path);
    }
  }
}
