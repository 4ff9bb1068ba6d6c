import { crc32 } from 'node:zlib';
import type { FetchRange } from '../../cas/reconstruction.ts';
import type { Codec } from '../../codec/codec.ts';
import { isXetError } from '../../core/errors.ts';
import { rangeHeader } from '../../core/ranges.ts';
import { FrameCutter, type FrameRun } from '../../xorb/frames.ts';
import { pause } from '../http/pause.ts';
import { HubError } from '../hub-error.ts';
import { frameEnds } from '../store/xorb-index.ts';
import type { MirrorMetrics } from './metrics.ts';
import { type OpenAnswer, type Upstream, UpstreamUnavailable } from './upstream.ts';
import { runEnd, type StoredRun } from './xorb-runs.ts';

/** Source of a xorb: signed URLs of the upstream, which expire. */
export interface XorbSource {
  xorb: string;
  /** The address that serves a range; `renew` asks for another one, as this one was refused. */
  url(range: FetchRange, refused?: string): Promise<string>;
}

/** A run with its frames. */
export interface RunWithFrames {
  run: StoredRun;
  frames: Uint8Array;
}

/** A run ends after so many bytes: readers stream along at this distance. */
const RUN_BYTES = 512 * 1024;
const ATTEMPTS = 4;
const RETRY_MS = 300;

/** Receives ranges of xorbs from the upstream's storage. */
export class XorbReceiver {
  readonly #upstream: Upstream;
  readonly #codec: Codec;
  readonly #metrics: MirrorMetrics;

  constructor(upstream: Upstream, codec: Codec, metrics: MirrorMetrics) {
    this.#upstream = upstream;
    this.#codec = codec;
    this.#metrics = metrics;
  }

  /** The checked runs of a range from the upstream. A broken connection is resumed after the last whole frame. */
  async *receive(
    source: XorbSource,
    outer: FetchRange,
    range: FetchRange,
    signal: AbortSignal,
  ): AsyncGenerator<RunWithFrames, void, undefined> {
    let left = structuredClone(range);
    let refused: string | undefined;
    for (let attempt = 1; ; attempt++) {
      const url = await source.url(outer, refused);
      const answer = await this.#upstream.open(url, { headers: { range: rangeHeader(left.bytes) }, signal });
      if (answer.status !== 206) {
        answer.drop();
        const isRefusal = [400, 403, 416].includes(answer.status);
        const isPassing = answer.status === 429 || answer.status >= 500;
        if (!(isRefusal || isPassing) || attempt >= ATTEMPTS) throw refusal(answer);
        if (isPassing) {
          await pause(attempt * RETRY_MS, signal);
          continue;
        }
        // The URL may have expired; and some storage serves a signed range as a whole only.
        if (refused !== undefined) left = structuredClone(outer);
        refused = url;
        continue;
      }
      let failure: unknown;
      try {
        for await (const one of this.#cut(answer, left)) {
          left.chunks.start = runEnd(one.run, 'chunks');
          left.bytes.start = runEnd(one.run, 'bytes');
          yield one;
        }
      } catch (error) {
        if (!(error instanceof UpstreamUnavailable) && !isXetError(error, 'PROTOCOL')) throw error;
        failure = error;
      } finally {
        answer.drop();
      }
      const isWhole = left.bytes.start === left.bytes.end;
      if (isWhole && left.chunks.start === left.chunks.end) return;
      if (isWhole || attempt >= ATTEMPTS) throw failure instanceof UpstreamUnavailable ? failure : lying(source.xorb);
    }
  }

  /** The runs of an answer, decoded once, so that nothing malformed is stored or handed on. */
  async *#cut(answer: OpenAnswer, { chunks, bytes }: FetchRange): AsyncGenerator<RunWithFrames, void, undefined> {
    const length = bytes.end - bytes.start;
    const cutter = new FrameCutter({ firstChunk: chunks.start, start: bytes.start, length, runBytes: RUN_BYTES });
    const checked = ({ firstChunk, start, frames }: FrameRun): RunWithFrames => {
      const records = this.#codec.recordsOf(frames);
      const ends = Uint32Array.from(frameEnds(frames, records));
      return { run: { firstChunk, start, ends, chunks: records, crc: crc32(frames) }, frames };
    };
    let failure: unknown;
    try {
      for await (const piece of answer.pieces) {
        this.#metrics.add('xorb_bytes_fetched', piece.length);
        for (const run of cutter.push(piece)) yield checked(run);
      }
    } catch (error) {
      failure = error;
    }
    for (const run of cutter.takeComplete()) yield checked(run);
    if (failure !== undefined) throw failure;
  }
}

function refusal({ status }: OpenAnswer): Error {
  if (status >= 500) {
    return new UpstreamUnavailable(502, `The storage of the upstream answered ${status}. Try again later.`);
  }
  return new HubError(502, `The storage of the upstream answered ${status} to a range of a xorb.`);
}

/** Error of an upstream that sends something else than it announced. */
export function lying(xorb: string): Error {
  return new HubError(502, `The upstream sent something else than the announced chunks of xorb ${xorb}.`);
}
