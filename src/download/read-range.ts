import { NO_CHUNKS } from '../chunks.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { ByteRange } from '../ranges.ts';
import { assembleAll } from './assembled.ts';
import { Coverage } from './coverage.ts';
import { type CasFile, type DownloadEngine, isWhole } from './engine.ts';
import type { StreamOptions } from './engine-types.ts';
import { readPlain } from './plain.ts';
import type { Content } from './shares.ts';
import { TaskTurns } from './task-turns.ts';

/**
 * The bytes of a half-open range, in order. When that is the whole file, the end is reached only after the
 * content was found to be what was asked for; otherwise `INTEGRITY` is thrown in its place.
 */
export async function* readRange(
  engine: DownloadEngine,
  file: ResolvedFile,
  range: ByteRange,
  options: StreamOptions,
): AsyncGenerator<Content, void, undefined> {
  const { http, log } = engine.counted(options);
  const content = contentOf(engine, file, range, options, http);
  const turns = new TaskTurns();
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
): AsyncGenerator<Content, void, undefined> {
  let at = range.start;
  if (engine.overXet(file)) {
    try {
      for await (const content of readXet(engine, file, range, options, http)) {
        at = content.at + content.bytes.length;
        yield content;
      }
      return;
    } catch (error) {
      engine.fallBack(file, error, options);
    }
  }
  yield* readOverHttp(engine, file, range, at, options, http);
}

async function* readXet(
  engine: DownloadEngine,
  file: CasFile,
  range: ByteRange,
  options: StreamOptions,
  http: Http,
): AsyncGenerator<Content, void, undefined> {
  const whole = isWhole(file, range);
  const coverage = new Coverage();
  const reading = await engine.begin(file, range, options, http, { keep: true });
  const { lanes } = engine.parts;
  const lending = { ...reading, context: { ...reading.context, inPlace: options.lent } };
  for await (const content of assembleAll(lending, [], () => lanes.limit, http.log)) {
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
): AsyncGenerator<Content, void, undefined> {
  const whole = isWhole(file, range);
  const reading = readPlain(engine.plainSource(http), file, { start: from, end: range.end }, whole, options);
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
