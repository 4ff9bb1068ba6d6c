import { XetError } from '../errors.ts';
import { isOurFailure } from './refusal.ts';

type Bytes = ReadableStream<Uint8Array>;

/** How it ended with an answer: with all that was promised, with a failure or an abort, or unread. */
export type Ending = { how: 'whole' } | { how: 'failed'; error: unknown } | { how: 'cancelled' };

export interface BodyParts {
  /** Bytes that were promised. */
  length: number;
  /** The bytes as they come, verified. */
  read: () => Bytes;
  /**
   * The same bytes from elsewhere, or undefined if there is no such place. Asked once, and only while nothing
   * has been given out.
   */
  rescue: (error: unknown) => Promise<Bytes | undefined>;
  signal: AbortSignal | undefined;
  onBytes: (bytes: number) => void;
  onSettled: (ending: Ending) => void;
}

/** The body of an answer. Nothing is fetched before it is read; cancelling it stops the download. */
export function bodyOf(parts: BodyParts): Bytes {
  const { length, signal } = parts;
  let rescue: BodyParts['rescue'] | undefined = parts.rescue;
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
  };
  signal?.addEventListener('abort', onAbort, { once: true });

  const next = async (): Promise<Uint8Array | undefined> => {
    for (;;) {
      try {
        reader ??= parts.read().getReader();
        const { done, value } = await reader.read();
        if (done && given !== length) throw new XetError('PROTOCOL', `${given} bytes came of ${length}.`);
        if (done) return undefined;
        if (value.length > 0) return value;
      } catch (error) {
        if (!rescue || given > 0 || signal?.aborted || !isOurFailure(error)) throw error;
        const rescued = await rescue(error);
        rescue = undefined;
        signal?.throwIfAborted();
        if (!rescued) throw error;
        reader = rescued.getReader();
      }
    }
  };
  return byteStream({
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
      await reader?.cancel(reason);
    },
  });
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
