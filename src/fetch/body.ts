import { XetError } from '../core/errors.ts';

type Bytes = ReadableStream<Uint8Array>;

/** Outcome of a body. */
export type BodyOutcome = { how: 'whole' } | { how: 'failed'; error: unknown } | { how: 'cancelled' };

export interface BodyParts {
  /** Expected bytes. */
  length: number;
  /** Starts reading verified bytes. The signal ends all work started for them. */
  read: (signal: AbortSignal) => Bytes;
  signal: AbortSignal | undefined;
  /** Called with the number of bytes of each piece. */
  onBytes: (bytes: number) => void;
  /** Called once. */
  onSettled: (outcome: BodyOutcome) => void;
}

/**
 * Creates the body of a response. Nothing is fetched before it is read, and nothing is requested after it is cancelled
 * or aborted, whether or not a byte has arrived by then.
 */
export function createBody(parts: BodyParts): Bytes {
  const { length, signal } = parts;
  const stop = new AbortController();
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let given = 0;
  let settled = false;
  const settle = (outcome: BodyOutcome) => {
    if (settled) return;
    settled = true;
    signal?.removeEventListener('abort', onAbort);
    parts.onSettled(outcome);
  };
  let fail: (error: unknown) => void = () => undefined;
  // An abort fails the body even if no read is pending, and drops queued bytes.
  const onAbort = () => {
    settle({ how: 'failed', error: signal?.reason });
    fail(signal?.reason);
    stop.abort(signal?.reason);
  };

  const next = async (): Promise<Uint8Array | undefined> => {
    for (;;) {
      reader ??= parts.read(stop.signal).getReader();
      const { done, value } = await reader.read();
      stop.signal.throwIfAborted();
      if (done && given !== length) throw new XetError('PROTOCOL', `The body ended after ${given} of ${length} bytes.`);
      if (done) return undefined;
      if (value.length > 0) return value;
    }
  };
  const body = byteStream({
    start(failed) {
      fail = failed;
    },
    async pull() {
      try {
        const bytes = await next();
        if (bytes) {
          given += bytes.length;
          parts.onBytes(bytes.length);
        } else settle({ how: 'whole' });
        return bytes;
      } catch (error) {
        settle({ how: 'failed', error });
        throw error;
      }
    },
    async cancel(reason) {
      settle({ how: 'cancelled' });
      const cancelled = reader?.cancel(reason);
      stop.abort(reason ?? new XetError('CLOSED', 'The body was cancelled.'));
      await cancelled;
    },
  });
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  return body;
}

interface Source {
  /** Receives a function that fails the stream at once. */
  start(fail: (error: unknown) => void): void;
  /** The next bytes, undefined at the end. */
  pull(): Promise<Uint8Array | undefined>;
  cancel(reason: unknown): Promise<void>;
}

/** A byte stream, as network responses have: it can be read into the reader's own buffer. */
function byteStream({ start, pull, cancel }: Source): Bytes {
  try {
    return new ReadableStream({
      type: 'bytes',
      start: (controller) => start((error) => controller.error(error)),
      async pull(controller) {
        const bytes = await pull();
        // Enqueuing transfers the buffer, which others may share.
        if (bytes) controller.enqueue(bytes.slice());
        else {
          controller.close();
          // Returns the buffer of a pending read into the reader's memory.
          controller.byobRequest?.respond(0);
        }
      },
      cancel,
    });
  } catch {
    // Safari before 26 has no byte streams.
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => start((error) => controller.error(error)),
        async pull(controller) {
          const bytes = await pull();
          if (bytes) controller.enqueue(bytes);
          else controller.close();
        },
        cancel,
      },
      { highWaterMark: 0 },
    );
  }
}
