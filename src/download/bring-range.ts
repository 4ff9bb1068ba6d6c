import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import { type ByteRange, lengthOf } from '../core/ranges.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { Coverage } from './coverage.ts';
import { type CasFile, type DownloadEngine, isWhole } from './engine.ts';
import type { StreamOptions } from './engine-types.ts';
import { fillPlain } from './plain.ts';
import { readOverHttp } from './read-range.ts';
import { writeAllUnordered } from './write-unordered.ts';

/**
 * The bytes of a range in whatever order they come, each run lent to `take` until that returns: nothing waits in memory
 * for its turn, and nothing comes twice. A whole file is verified.
 *
 * @param held gives what has come of a part.
 */
export async function bringRange(
  engine: DownloadEngine,
  file: ResolvedFile,
  range: ByteRange,
  options: StreamOptions,
  take: (content: FileSpan) => void,
  held: (part: ByteRange) => Uint8Array,
): Promise<void> {
  const { http, log } = engine.counted(options);
  const coverage = new Coverage();
  const whole = isWhole(file, range);
  const write = async (content: FileSpan) => {
    log.add('content', content.bytes.length);
    coverage.add(content.at, content.bytes.length, whole ? content.chunks : NO_CHUNKS);
    take(content);
  };
  if (engine.overXet(file)) {
    for (let way = 'xet'; way === 'xet'; ) {
      const before = lengthOf(coverage.parts);
      try {
        return await bringXet(engine, file, range, coverage, write, options, http);
      } catch (error) {
        way = await engine.wayOn(file, error, options, http, lengthOf(coverage.parts) > before);
      }
    }
  }
  if (!whole) {
    for (const hole of coverage.holes(range)) {
      for await (const content of readOverHttp(engine, file, hole, hole.start, options, http)) await write(content);
    }
    return;
  }
  const verified = await fillPlain(engine.plainSource(http), file, {
    ...options,
    had: [...coverage.parts],
    read: async function* (part) {
      yield held(part);
    },
    write: async (at, bytes) => {
      if (engine.overXet(file)) http.log.add('fallback', bytes.length);
      await write({ at, bytes, chunks: NO_CHUNKS });
    },
  });
  options.onVerified?.(verified);
}

async function bringXet(
  engine: DownloadEngine,
  file: CasFile,
  range: ByteRange,
  coverage: Coverage,
  write: (content: FileSpan) => Promise<void>,
  options: StreamOptions,
  http: Http,
): Promise<void> {
  const how = { keep: true, maxHeldBytes: Number.POSITIVE_INFINITY };
  const reading = await engine.begin(file, range, options, http, how);
  await writeAllUnordered(reading, [...coverage.parts], write, http);
  if (!isWhole(file, range)) return;
  await engine.seal(file, coverage.records(), reading.stages.terms);
  options.onVerified?.('xet');
}
