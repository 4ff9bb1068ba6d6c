import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import { type ByteRange, lengthOf } from '../core/ranges.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { Coverage } from './coverage.ts';
import type { DownloadEngine } from './engine.ts';
import { fillPlain } from './plain.ts';
import { type CasFile, isWhole, type Read, type StreamOptions } from './read.ts';
import { readOverHttp } from './read-range.ts';
import { fill } from './write-unordered.ts';

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
  const read = engine.read(file, range, options);
  const { log } = read.http;
  const coverage = new Coverage();
  const whole = isWhole(read);
  const write = async (content: FileSpan) => {
    log.add('content', content.bytes.length);
    coverage.add(content.at, content.bytes.length, whole ? content.chunks : NO_CHUNKS);
    take(content);
  };
  if (engine.overXet(file)) {
    const ofCas = { ...read, file };
    for (let way = 'xet'; way === 'xet'; ) {
      const before = lengthOf(coverage.parts);
      try {
        return await bringXet(engine, ofCas, coverage, write, options);
      } catch (error) {
        way = await engine.wayOn(ofCas, error, lengthOf(coverage.parts) > before);
      }
    }
  }
  if (!whole) {
    for (const hole of coverage.holes(range)) {
      for await (const content of readOverHttp(engine, { ...read, range: hole }, hole.start, options))
        await write(content);
    }
    return;
  }
  const verified = await fillPlain(engine.transport, read, {
    had: [...coverage.parts],
    read: async function* (part) {
      yield held(part);
    },
    write: async (at, bytes) => {
      if (engine.overXet(file)) log.add('fallback', bytes.length);
      await write({ at, bytes, chunks: NO_CHUNKS });
    },
  });
  options.onVerified?.(verified);
}

async function bringXet(
  engine: DownloadEngine,
  read: Read<CasFile>,
  coverage: Coverage,
  write: (content: FileSpan) => Promise<void>,
  options: StreamOptions,
): Promise<void> {
  const reading = await engine.begin(read, { ...options, keep: true, maxHeldBytes: Number.POSITIVE_INFINITY });
  await fill(reading, [...coverage.parts], write);
  if (!isWhole(read)) return;
  await engine.seal(read.file, coverage.records(), reading.terms);
  options.onVerified?.('xet');
}
