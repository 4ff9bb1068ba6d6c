import type { Verified } from '../core/content-hash.ts';
import { NO_LONGER_WANTED, XetError } from '../core/errors.ts';
import type { MetricsLog } from '../core/metrics.ts';
import { type OnProgress, ProgressMeter } from '../core/progress.ts';
import type { DownloadEngine } from '../download/engine.ts';
import type { DownloadOutcome } from '../download/file.ts';
import { readRange } from '../download/read-range.ts';
import type { ResolvedFile } from '../hub/client.ts';

export interface StreamSettings {
  signal: AbortSignal;
  onProgress: OnProgress | undefined;
  log: MetricsLog;
  /** Everything from the network. */
  force: boolean;
}

/**
 * Gives a whole file to a stream, in order, as fast as that takes it. It is closed only after the content was found to
 * be right, and aborted otherwise.
 */
export async function saveToStream(
  engine: DownloadEngine,
  file: ResolvedFile,
  target: WritableStream<Uint8Array>,
  { signal, onProgress, log, force }: StreamSettings,
): Promise<Omit<DownloadOutcome, 'localPath'>> {
  const meter = new ProgressMeter({ files: 1, bytes: file.size }, onProgress, undefined, log);
  const bytes = { network: 0, cache: 0, local: 0 };
  let verified: Verified | undefined;
  const stop = new AbortController();
  const content = readRange(
    engine,
    file,
    { start: 0, end: file.size },
    {
      signal: AbortSignal.any([signal, stop.signal]),
      log,
      policy: force ? 'network' : 'any',
      onVerified: (how) => {
        verified = how;
      },
      report: {
        network: (more) => {
          bytes.network += more;
          meter.network(more);
        },
        cached: (more) => {
          bytes.cache += more;
          meter.cache(more);
        },
      },
    },
  );
  const source = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await content.next();
        if (done) return controller.close();
        meter.content(value.bytes.length, file.path);
        controller.enqueue(value.bytes);
      },
      async cancel(reason) {
        // The target broke: what is being read for it would only be told when its bytes are there.
        stop.abort(reason ?? NO_LONGER_WANTED);
        await content.return();
      },
    },
    { highWaterMark: 0 },
  );
  await source.pipeTo(target, { signal }).finally(() => meter.stop());
  if (!verified) throw new XetError('INTEGRITY', `'${file.path}' was not verified.`);
  meter.fileDone();
  return { verified, bytes };
}
