import type { ChunkRecords } from '../core/chunks.ts';
import type { Verified } from '../core/content-hash.ts';
import { isXetError } from '../core/errors.ts';
import type { MetricsLog } from '../core/metrics.ts';
import { type OnProgress, ProgressMeter } from '../core/progress.ts';
import type { ExistingFile } from '../files/held-file.ts';
import type { FileDestination, FileSink, Place } from '../files/place.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { DownloadEngine } from './engine.ts';
import { fillFile } from './fill-file.ts';
import type { ReadPolicy } from './read.ts';
import type { Ahead } from './stages.ts';

export interface DownloadOutcome {
  localPath: string;
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
  /** Has the file's reconstruction, perhaps. */
  ahead?: Ahead | undefined;
  /** Called before anything is fetched: to learn what is here already. */
  beforeFetch?: () => Promise<void>;
  log: MetricsLog;
}

/** Times that a file is begun. A process that is suspended so often is better started again. */
const MAX_ATTEMPTS = 5;

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
  const meter = new ProgressMeter({ files: 1, bytes: file.size }, settings.onProgress, undefined, settings.log);
  try {
    return await broughtTo(engine, file, place, settings, meter);
  } finally {
    meter.stop();
  }
}

async function broughtTo(
  engine: DownloadEngine,
  file: ResolvedFile,
  place: Place,
  settings: DownloadSettings,
  meter: ProgressMeter,
): Promise<DownloadOutcome> {
  for (let attempt = 1; ; attempt++) {
    const existing = settings.force ? undefined : await place.existing(settings.signal);
    if (existing) return alreadyThere(existing, file, meter, settings.log);
    try {
      return await fetchInto(engine, file, place, settings, meter);
    } catch (error) {
      // Another process took the place while this one did not run: what it has done is there now, or is waited for.
      const isLost = isXetError(error, 'CACHE') && error.retryable;
      if (!isLost || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

function alreadyThere(
  existing: ExistingFile,
  file: ResolvedFile,
  meter: ProgressMeter,
  log: MetricsLog,
): DownloadOutcome {
  log.add('local', file.size);
  meter.local(file.size);
  meter.fileDone();
  return { ...existing, bytes: { network: 0, cache: 0, local: file.size } };
}

async function fetchInto(
  engine: DownloadEngine,
  file: ResolvedFile,
  place: Place,
  { signal, force, onWarning, log, ahead, beforeFetch }: DownloadSettings,
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
    if (!force) await beforeFetch?.();
    const filling = new Filling({ engine, file, sink, meter, signal, log, ahead });
    let verified: Verified;
    try {
      verified = await filling.run(force ? 'network' : 'any');
    } catch (error) {
      if (!isXetError(error, 'INTEGRITY')) throw error;
      await sink.restart();
      try {
        verified = await filling.run('refetch');
      } catch (again) {
        // What is known to be wrong is no start for another try.
        if (isXetError(again, 'INTEGRITY')) await sink.restart();
        throw again;
      }
    }
    signal.throwIfAborted();
    const localPath = await sink.publish(verified);
    meter.fileDone();
    const { network, cached, resumed } = filling;
    return { localPath, verified, bytes: { network, cache: cached, local: resumed } };
  } finally {
    await sink.close();
  }
}

interface FillingParts {
  engine: DownloadEngine;
  file: ResolvedFile;
  sink: FileSink;
  meter: ProgressMeter;
  signal: AbortSignal;
  log: MetricsLog;
  ahead: Ahead | undefined;
}

/** From the engine into the sink, counting. */
class Filling {
  readonly #parts: FillingParts;
  /** True if Xet cannot serve this file. */
  #plain = false;
  network = 0;
  cached = 0;
  /** Bytes that an earlier try had put in place. */
  resumed = 0;

  constructor(parts: FillingParts) {
    this.#parts = parts;
  }

  async run(policy: ReadPolicy): Promise<Verified> {
    const { engine, file, sink, meter, signal, log, ahead } = this.#parts;
    const { held, unchecked } = sink;
    this.resumed = 0;
    this.cached = 0;
    return fillFile(
      engine,
      file,
      {
        held,
        unchecked,
        read: (range) => sink.read(range),
        write: async (at, bytes, chunks) => {
          await sink.write(at, bytes, chunks);
          meter.content(bytes.length, file.path);
        },
        ...(sink.destination &&
          sink.note && {
            destination: () => sink.destination?.() as Promise<FileDestination>,
            note: async (at: number, length: number, chunks: ChunkRecords) => {
              await sink.note?.(at, length, chunks);
              meter.content(length, file.path);
            },
          }),
      },
      {
        signal,
        log,
        ahead,
        policy,
        plain: this.#plain,
        onFallback: () => {
          this.#plain = true;
        },
        report: {
          network: (bytes) => {
            this.network += bytes;
            meter.network(bytes);
          },
          cached: (bytes) => {
            this.cached += bytes;
            meter.cache(bytes);
          },
          placed: (bytes) => {
            this.resumed += bytes;
            log.add('local', bytes);
            meter.local(bytes);
            meter.content(bytes, file.path);
          },
        },
      },
    );
  }
}

/** Result of a download. */
export interface DownloadResult {
  /** Path in the repository. */
  path: string;
  /** Path on this machine. */
  localPath: string;
  /** Bytes. */
  size: number;
  /** The Hub's name for the content: a sha256, or a git hash for small files. */
  etag: string;
  /** The commit it is of, 40 hexadecimal digits. */
  commit: string;
  /** Undefined for files that the Hub keeps in git. */
  xetHash: string | undefined;
  /** Verification method; a download never succeeds unverified. */
  verified: Verified;
  /** Bytes that came over the network, and content bytes that were already on this machine. */
  bytes: { network: number; cache: number; local: number };
  /** Requests made for this file alone. Tokens, which files share, are not among them. */
  requests: number;
  /** From its beginning on, of this file alone. */
  seconds: number;
}
