import { isXetError } from '../errors.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { type OnProgress, ProgressMeter } from '../progress.ts';
import type { FileSink, Place } from '../repo/place.ts';
import type { Verified } from './content-hash.ts';
import type { DownloadEngine } from './engine.ts';

export interface DownloadOutcome {
  path: string;
  verified: Verified;
  bytes: { network: number; cache: number; local: number };
}

/**
 * Brings a file to its place. Written out of sight, verified, then given its name; corrupt data is fetched
 * once more from the network before it is an error.
 */
export async function downloadTo(
  engine: DownloadEngine,
  file: ResolvedFile,
  place: Place,
  options: { signal: AbortSignal; force: boolean; onProgress: OnProgress | undefined },
): Promise<DownloadOutcome> {
  const { signal } = options;
  const meter = new ProgressMeter({ files: 1, bytes: file.size }, options.onProgress);
  const existing = options.force ? undefined : await place.existing(signal);
  if (existing) {
    meter.cached(file.size);
    meter.fileDone();
    return { ...existing, bytes: { network: 0, cache: 0, local: file.size } };
  }
  let network = 0;
  const onNetworkBytes = (bytes: number) => {
    network += bytes;
    meter.network(bytes);
  };
  const sink = await place.openSink();
  try {
    try {
      await fill(sink, engine, file, meter, { signal, fresh: false, onNetworkBytes });
    } catch (error) {
      if (!isXetError(error, 'INTEGRITY')) throw error;
      await sink.restart();
      await fill(sink, engine, file, meter, { signal, fresh: true, onNetworkBytes });
    }
    const path = await sink.publish();
    meter.fileDone();
    return { path, verified: engine.verifiedBy(file), bytes: { network, cache: 0, local: 0 } };
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

async function fill(
  sink: FileSink,
  engine: DownloadEngine,
  file: ResolvedFile,
  meter: ProgressMeter,
  options: { signal: AbortSignal; fresh: boolean; onNetworkBytes: (bytes: number) => void },
): Promise<void> {
  for await (const bytes of engine.read(file, { start: 0, end: file.size }, options)) {
    await sink.write(bytes);
    meter.content(bytes.length, file.path);
  }
}
