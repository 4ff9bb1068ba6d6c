import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import type { Verified } from '../core/content-hash.ts';
import { lengthOf } from '../core/ranges.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { assembleAll } from './assemble.ts';
import { Coverage } from './coverage.ts';
import type { CasFile, DownloadEngine } from './engine.ts';
import type { FillOptions, FillTarget } from './engine-types.ts';
import { fillPlain } from './plain.ts';
import { writeAllUnordered } from './write-unordered.ts';

/**
 * Puts a whole file together at its place, from where it stands, in whatever order its parts come; gives how
 * it was found to be right, or throws `INTEGRITY`.
 */
export async function fillFile(
  engine: DownloadEngine,
  file: ResolvedFile,
  target: FillTarget,
  options: FillOptions,
): Promise<Verified> {
  const { http, log } = engine.counted(options);
  const coverage = new Coverage();
  for (const { start, end, chunks } of target.held) coverage.add(start, end - start, chunks);
  options.onFound?.(lengthOf(target.held));
  const write = async (content: FileSpan) => {
    await log.timed('writing', () => target.write(content.at, content.bytes, content.chunks));
    coverage.add(content.at, content.bytes.length, content.chunks);
    log.add('content', content.bytes.length);
  };
  if (engine.overXet(file) && !options.plain) {
    for (let way = 'xet'; way === 'xet'; ) {
      const before = lengthOf(coverage.parts);
      try {
        return await fillXet(engine, file, coverage, write, options, http);
      } catch (error) {
        way = await engine.wayOn(file, error, options, http, lengthOf(coverage.parts) > before);
      }
    }
    options.onFallback?.();
  }
  return fillOverHttp(engine, file, target, coverage, write, options, http);
}

async function fillXet(
  engine: DownloadEngine,
  file: CasFile,
  coverage: Coverage,
  write: (content: FileSpan) => Promise<void>,
  options: FillOptions,
  http: Http,
): Promise<Verified> {
  const { lanes, sequentialWrites } = engine.parts;
  // What is written at once is held for nobody, however often it is wanted.
  const how = { keep: false, maxHeldBytes: sequentialWrites ? undefined : Number.POSITIVE_INFINITY };
  const reading = await engine.begin(file, { start: 0, end: file.size }, options, http, how);
  const had = [...coverage.parts];
  if (sequentialWrites) {
    const lending = { ...reading, context: { ...reading.context, inPlace: true } };
    for await (const content of assembleAll(lending, had, () => lanes.limit, http.log)) await write(content);
  } else {
    await writeAllUnordered(reading, had, write, http);
  }
  await engine.seal(file, coverage.records(), reading.stages.terms);
  return 'xet';
}

async function fillOverHttp(
  engine: DownloadEngine,
  file: ResolvedFile,
  target: FillTarget,
  coverage: Coverage,
  write: (content: FileSpan) => Promise<void>,
  options: FillOptions,
  http: Http,
): Promise<Verified> {
  const before = lengthOf(coverage.parts);
  for (const { start, end } of target.unchecked) {
    for (const part of coverage.holes({ start, end })) coverage.add(part.start, part.end - part.start, NO_CHUNKS);
  }
  options.onFound?.(lengthOf(coverage.parts) - before);
  return fillPlain(engine.plainSource(http), file, {
    ...options,
    had: [...coverage.parts],
    read: (range) => target.read(range),
    write: async (at, bytes) => {
      if (engine.overXet(file)) http.log.add('fallback', bytes.length);
      await write({ at, bytes, chunks: NO_CHUNKS });
    },
  });
}
