import { XetError } from '../core/errors.ts';

type Bytes = ReadableStream<Uint8Array>;

/** The end of an answer: complete, failed, aborted or unread. */
export type Ending = { how: 'whole' } | { how: 'failed'; error: unknown } | { how: 'cancelled' };

export interface BodyParts {
  /** Bytes that were promised. */
  length: number;
  /** The verified bytes as they arrive. The signal ends everything that was started for them. */
  read: (signal: AbortSignal) => Bytes;
  signal: AbortSignal | undefined;
  onBytes: (bytes: number) => void;
  onSettled: (ending: Ending) => void;
}

/**
 * The body of an answer. Nothing is fetched before it is read, and nothing is requested after it was cancelled or
 * aborted, whether or not a byte had arrived by then.
 */
export function bodyOf(parts: BodyParts): Bytes {
  const { length, signal } = parts;
  const stop = new AbortController();
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let given = 0;
  let settled = false;
  const settle = (ending: Ending) => {
    if (settled) return;
    settled = true;
    signal?.removeEventListener('abort', onAbort);
    parts.onSettled(ending);
  };
  let fail: (error: unknown) => void = () => undefined;
  // Nobody may be reading when it happens, and what waits to be read is void.
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
      if (done && given !== length) throw new XetError('PROTOCOL', `${given} of ${length} bytes arrived.`);
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
  /** Takes what makes the stream fail at once. */
  start(fail: (error: unknown) => void): void;
  /** The next bytes, undefined at the end. */
  pull(): Promise<Uint8Array | undefined>;
  cancel(reason: unknown): Promise<void>;
}

/** A stream like that of a real answer, which can also be read into memory of the reader's own. */
function byteStream({ start, pull, cancel }: Source): Bytes {
  try {
    return new ReadableStream({
      type: 'bytes',
      start: (controller) => start((error) => controller.error(error)),
      async pull(controller) {
        const bytes = await pull();
        // Its memory goes with it, and others may hold the same.
        if (bytes) controller.enqueue(bytes.slice());
        else {
          controller.close();
          // Whoever waits with memory of his own gets it back.
          controller.byobRequest?.respond(0);
        }
      },
      cancel,
    });
  } catch {
    // Safari before 26 has no such streams.
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
