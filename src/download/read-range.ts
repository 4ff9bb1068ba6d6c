import { MemoryBudget } from '../core/budget.ts';
import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import type { Verified } from '../core/content-hash.ts';
import { EventLoopYielder } from '../core/event-loop.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { assembleAll, type Reading } from './assemble.ts';
import { type CheckChunks, readPlainChecked } from './checked-plain.ts';
import { Coverage } from './coverage.ts';
import { type CasFile, type DownloadEngine, isWhole } from './engine.ts';
import type { StreamOptions } from './engine-types.ts';
import { readLocal } from './local-part.ts';
import { type Before, readPlain } from './plain.ts';

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
  const { http, log } = engine.counted(options);
  const content = contentOf(engine, file, range, options, http);
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
  file: ResolvedFile,
  range: ByteRange,
  options: StreamOptions,
  http: Http,
): AsyncGenerator<FileSpan, void, undefined> {
  let at = range.start;
  if (engine.overXet(file)) {
    const coverage = new Coverage();
    const begun: Reading[] = [];
    for (let way = 'xet'; way === 'xet'; ) {
      const begunAt = at;
      try {
        for await (const content of readXet(engine, file, range, coverage, at, begun, options, http)) {
          at = content.at + content.bytes.length;
          yield content;
        }
        return;
      } catch (error) {
        way = await engine.wayOn(file, error, options, http, at > begunAt);
      }
    }
    return yield* readOverHttp(engine, file, range, at, options, http, begun[0] && keptBy(begun[0]));
  }
  yield* readOverHttp(engine, file, range, at, options, http);
}

async function* readXet(
  engine: DownloadEngine,
  file: CasFile,
  range: ByteRange,
  coverage: Coverage,
  from: number,
  begun: Reading[],
  options: StreamOptions,
  http: Http,
): AsyncGenerator<FileSpan, void, undefined> {
  const whole = isWhole(file, range);
  const had = from > range.start ? [{ start: range.start, end: from }] : [];
  const reading = await engine.begin(file, range, options, http, { keep: true });
  begun.push(reading);
  const { lanes, requestBytes } = engine.parts;
  const ahead = options.cautious ? new MemoryBudget(MIN_AHEAD_BYTES, 0) : undefined;
  const context = {
    ...reading.context,
    inPlace: options.lent,
    backlog: ahead,
    // Browsers read to the end what they have asked for.
    stepBytes: ahead && requestBytes ? () => ahead.limitBytes : undefined,
  };
  const lookAhead = () =>
    Math.min(lanes.limit, Math.floor((ahead?.limitBytes ?? Number.POSITIVE_INFINITY) / WORTH_A_LANE_BYTES));
  let given = 0;
  for await (const content of assembleAll({ ...reading, context }, had, lookAhead, http.log)) {
    given += content.bytes.length;
    if (ahead) ahead.limitBytes = Math.max(MIN_AHEAD_BYTES, Math.floor(given * AHEAD_SHARE));
    if (whole) coverage.add(content.at, content.bytes.length, content.chunks);
    yield content;
  }
  if (!whole) return;
  await engine.seal(file, coverage.records(), reading.stages.terms);
  options.onVerified?.('xet');
}

/** The bytes of a range from a place in it on, over plain HTTP. */
export async function* readOverHttp(
  engine: DownloadEngine,
  file: ResolvedFile,
  range: ByteRange,
  from: number,
  options: StreamOptions,
  http: Http,
  before?: Before,
): AsyncGenerator<FileSpan, void, undefined> {
  const rest = { start: from, end: range.end };
  const reading = await overHttp(engine, file, rest, isWhole(file, range), options, http, before);
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
  engine: DownloadEngine,
  file: ResolvedFile,
  rest: ByteRange,
  whole: boolean,
  options: StreamOptions,
  http: Http,
  before: Before | undefined,
): Promise<AsyncGenerator<Uint8Array, Verified | undefined, undefined>> {
  const { caches, pool } = engine.parts;
  const source = engine.plainSource(http);
  const known = whole || !file.xetHash ? undefined : await caches?.chunksAround(file.xetHash, rest);
  if (!known) return readPlain(source, file, rest, whole, options, before);
  const check: CheckChunks = (bytes, records) => pool.checkChunks(bytes, records, options.signal);
  return readPlainChecked(source, file, rest, known, check, options) as AsyncGenerator<
    Uint8Array,
    undefined,
    undefined
  >;
}

/** Content of a read over Xet that this machine has kept, so that plain HTTP fetches nothing twice. */
function keptBy({ stages, running }: Reading): Before {
  return async function* (part, fetched) {
    let at = part.start;
    const elsewhere = async function* (rest: ByteRange): AsyncGenerator<FileSpan, void, undefined> {
      for await (const bytes of fetched(rest)) yield { at: 0, bytes, chunks: NO_CHUNKS };
    };
    for (const local of await stages.here(part)) {
      if (local.start > at) yield* fetched({ start: at, end: local.start });
      const wanted = { start: Math.max(at, local.start), end: part.end };
      for await (const { bytes } of readLocal(local, wanted, { ...running, elsewhere, onLocal: () => undefined }))
        yield bytes;
      at = Math.max(at, Math.min(local.end, part.end));
    }
    if (at < part.end) yield* fetched({ start: at, end: part.end });
  };
}
