import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import type { Verified } from '../core/content-hash.ts';
import { lengthOf } from '../core/ranges.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { Coverage } from './coverage.ts';
import type { DownloadEngine } from './engine.ts';
import { fillPlain } from './plain.ts';
import { type CasFile, type FillOptions, type FillTarget, type Read, wholeOf } from './read.ts';
import type { RemoteTarget } from './transfer/transfers.ts';
import { fill } from './write-unordered.ts';

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
  const read = engine.read(file, wholeOf(file), options);
  const { report, http } = read;
  const coverage = new Coverage();
  for (const { start, end, chunks } of target.held) coverage.add(start, end - start, chunks);
  report.placed?.(lengthOf(target.held));
  const write = async (content: FileSpan) => {
    await http.log.timed('writing', () => target.write(content.at, content.bytes, content.chunks));
    coverage.add(content.at, content.bytes.length, content.chunks);
    http.log.add('content', content.bytes.length);
  };
  const remote = await remoteTarget(engine, target, coverage, file, http);
  if (engine.overXet(file) && !options.plain) {
    const ofCas = { ...read, file };
    for (let way = 'xet'; way === 'xet'; ) {
      const before = lengthOf(coverage.parts);
      try {
        return await fillXet(engine, ofCas, coverage, write, remote, options);
      } catch (error) {
        way = await engine.wayOn(ofCas, error, lengthOf(coverage.parts) > before);
      }
    }
    options.onFallback?.();
  }
  return fillOverHttp(engine, read, target, coverage, write);
}

/** A shorter file is done before a worker has started. */
const WORTH_A_TRANSFER_BYTES = 8 * 1024 * 1024;

/** The target as transfer workers write to it, if there are any and it is worth their while. */
async function remoteTarget(
  { transport, transfers }: DownloadEngine,
  target: FillTarget,
  coverage: Coverage,
  file: ResolvedFile,
  http: Http,
): Promise<RemoteTarget | undefined> {
  const { sequentialWrites } = transport;
  if (!transfers?.isAvailable || sequentialWrites || file.size < WORTH_A_TRANSFER_BYTES) return undefined;
  const destination = await target.destination?.();
  return (
    destination && {
      transfers,
      destination,
      note: async ({ at, length, chunks }) => {
        await target.note?.(at, length, chunks);
        coverage.add(at, length, chunks);
        http.log.add('content', length);
      },
    }
  );
}

async function fillXet(
  engine: DownloadEngine,
  read: Read<CasFile>,
  coverage: Coverage,
  write: (content: FileSpan) => Promise<void>,
  remote: RemoteTarget | undefined,
  { ahead }: FillOptions,
): Promise<Verified> {
  const { lanes, sequentialWrites } = engine.transport;
  // What is written at once is held for nobody, however often it is wanted.
  const maxHeldBytes = sequentialWrites ? undefined : Number.POSITIVE_INFINITY;
  const reading = await engine.begin(read, { keep: false, maxHeldBytes, ahead });
  const had = [...coverage.parts];
  if (sequentialWrites) {
    for await (const content of reading.stream(had, () => lanes.limit, { inPlace: true })) await write(content);
  } else {
    await fill(reading, had, write, remote);
  }
  await engine.seal(read.file, coverage.records(), reading.terms);
  return 'xet';
}

async function fillOverHttp(
  engine: DownloadEngine,
  read: Read,
  target: FillTarget,
  coverage: Coverage,
  write: (content: FileSpan) => Promise<void>,
): Promise<Verified> {
  const { file, report, http } = read;
  const before = lengthOf(coverage.parts);
  for (const { start, end } of target.unchecked) {
    for (const part of coverage.holes({ start, end })) coverage.add(part.start, part.end - part.start, NO_CHUNKS);
  }
  report.placed?.(lengthOf(coverage.parts) - before);
  return fillPlain(engine.transport, read, {
    had: [...coverage.parts],
    read: (range) => target.read(range),
    write: async (at, bytes) => {
      if (engine.overXet(file)) http.log.add('fallback', bytes.length);
      await write({ at, bytes, chunks: NO_CHUNKS });
    },
  });
}
