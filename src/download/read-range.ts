import { MemoryBudget } from '../core/budget.ts';
import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import type { Verified } from '../core/content-hash.ts';
import { EventLoopYielder } from '../core/event-loop.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { readPlainChecked } from './checked-plain.ts';
import { Coverage } from './coverage.ts';
import type { DownloadEngine } from './engine.ts';
import { type Before, readPlain } from './plain.ts';
import { type CasFile, isWhole, type Read, type StreamOptions } from './read.ts';
import type { Reading } from './reading.ts';

/** Bytes that a cautious read fetches ahead at first; later a fraction of the bytes already read. */
const MIN_AHEAD_BYTES = 1024 * 1024;
const AHEAD_SHARE = 1 / 8;
/** A cautious read opens another connection for no less. */
const WORTH_A_LANE_BYTES = 4 * 1024 * 1024;

/**
 * The bytes of a half-open range, in order. When that is the whole file, the end is reached only after the
 * content was found to be what was asked for; otherwise `INTEGRITY` is thrown in its place.
 */
export async function* readRange(
  engine: DownloadEngine,
  file: ResolvedFile,
  range: ByteRange,
  options: StreamOptions,
): AsyncGenerator<FileSpan, void, undefined> {
  const read = engine.read(file, range, options);
  const { log } = read.http;
  const content = contentOf(engine, read, options);
  const turns = new EventLoopYielder();
  try {
    for (;;) {
      const { done, value } = await log.timed('waitingForData', () => content.next());
      if (done) return;
      log.add('content', value.bytes.length);
      yield value;
      await turns.after(value.bytes.length);
    }
  } finally {
    await content.return();
  }
}

async function* contentOf(
  engine: DownloadEngine,
  read: Read,
  options: StreamOptions,
): AsyncGenerator<FileSpan, void, undefined> {
  const { file, range } = read;
  if (!engine.overXet(file)) return yield* readOverHttp(engine, read, range.start, options);
  const ofCas = { ...read, file };
  const coverage = new Coverage();
  let first: Reading | undefined;
  let at = range.start;
  for (let way = 'xet'; way === 'xet'; ) {
    const begunAt = at;
    try {
      const reading = await engine.begin(ofCas, { ...options, keep: true });
      first ??= reading;
      for await (const content of readXet(engine, ofCas, reading, coverage, at, options)) {
        at = content.at + content.bytes.length;
        yield content;
      }
      return;
    } catch (error) {
      way = await engine.wayOn(ofCas, error, at > begunAt);
    }
  }
  const kept = first;
  yield* readOverHttp(engine, read, at, options, kept && ((part, fetched) => kept.kept(part, fetched)));
}

async function* readXet(
  engine: DownloadEngine,
  read: Read<CasFile>,
  reading: Reading,
  coverage: Coverage,
  from: number,
  options: StreamOptions,
): AsyncGenerator<FileSpan, void, undefined> {
  const { file, range } = read;
  const whole = isWhole(read);
  const had = from > range.start ? [{ start: range.start, end: from }] : [];
  const { lanes, requestBytes } = engine.transport;
  const ahead = options.cautious ? new MemoryBudget(MIN_AHEAD_BYTES, 0) : undefined;
  const adjusted = {
    inPlace: options.lent,
    backlog: ahead,
    // Browsers read to the end what they have asked for.
    stepBytes: ahead && requestBytes ? () => ahead.limitBytes : undefined,
  };
  const lookAhead = () =>
    Math.min(lanes.limit, Math.floor((ahead?.limitBytes ?? Number.POSITIVE_INFINITY) / WORTH_A_LANE_BYTES));
  let given = 0;
  for await (const content of reading.stream(had, lookAhead, adjusted)) {
    given += content.bytes.length;
    if (ahead) ahead.limitBytes = Math.max(MIN_AHEAD_BYTES, Math.floor(given * AHEAD_SHARE));
    if (whole) coverage.add(content.at, content.bytes.length, content.chunks);
    yield content;
  }
  if (!whole) return;
  await engine.seal(file, coverage.records(), reading.terms);
  options.onVerified?.('xet');
}

/** The bytes of a read from a place in it on, over plain HTTP. */
export async function* readOverHttp(
  engine: DownloadEngine,
  read: Read,
  from: number,
  options: StreamOptions,
  before?: Before,
): AsyncGenerator<FileSpan, void, undefined> {
  const { file, range, http } = read;
  const reading = await overHttp(engine, { ...read, range: { start: from, end: range.end } }, isWhole(read), before);
  let at = from;
  for (;;) {
    const { done, value } = await reading.next();
    if (done) {
      if (value) options.onVerified?.(value);
      return;
    }
    if (engine.overXet(file)) http.log.add('fallback', value.length);
    yield { at, bytes: value, chunks: NO_CHUNKS };
    at += value.length;
  }
}

/** A range is checked chunk by chunk if the recipe of its file is known; a whole file has its entity tag. */
async function overHttp(
  { transport }: DownloadEngine,
  rest: Read,
  whole: boolean,
  before: Before | undefined,
): Promise<AsyncGenerator<Uint8Array, Verified | undefined, undefined>> {
  const { xetHash } = rest.file;
  const known = whole || !xetHash ? undefined : await transport.caches?.chunksAround(xetHash, rest.range);
  return known ? readPlainChecked(transport, rest, known) : readPlain(transport, rest, whole, before);
}
