import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { ByteRange } from '../ranges.ts';
import { Coverage } from './coverage.ts';
import { type CasFile, type DownloadEngine, isWhole } from './engine.ts';
import type { StreamOptions } from './engine-types.ts';
import { readOverHttp } from './read-range.ts';
import { scatterAll } from './scattered.ts';
import type { Content } from './shares.ts';

/**
 * The bytes of a range in whatever order they come, each run lent to `take` until that returns: nothing waits in memory
 * for its turn. Where Xet cannot serve, `restart` is called and all of it comes again. A whole file is verified.
 */
export async function bringRange(
  engine: DownloadEngine,
  file: ResolvedFile,
  range: ByteRange,
  options: StreamOptions,
  take: (content: Content) => void,
  restart: () => void,
): Promise<void> {
  const { http, log } = engine.counted(options);
  const counted = (content: Content) => {
    log.add('content', content.bytes.length);
    take(content);
  };
  if (engine.overXet(file)) {
    try {
      return await bringXet(engine, file, range, counted, options, http);
    } catch (error) {
      engine.fallBack(file, error, options);
      restart();
    }
  }
  for await (const content of readOverHttp(engine, file, range, range.start, options, http)) counted(content);
}

async function bringXet(
  engine: DownloadEngine,
  file: CasFile,
  range: ByteRange,
  take: (content: Content) => void,
  options: StreamOptions,
  http: Http,
): Promise<void> {
  const whole = isWhole(file, range);
  const coverage = new Coverage();
  const write = async (content: Content) => {
    if (whole) coverage.add(content.at, content.bytes.length, content.chunks);
    take(content);
  };
  const how = { keep: true, maxHeldBytes: Number.POSITIVE_INFINITY };
  const reading = await engine.begin(file, range, options, http, how);
  await scatterAll(reading, [], write, http);
  if (!whole) return;
  await engine.seal(file, coverage.records(), reading.stages.terms);
  options.onVerified?.('xet');
}
