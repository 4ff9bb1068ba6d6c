import { describe, expect, test, vi } from 'vitest';
import { XetError } from '../../src/core/errors.ts';
import { type BodyOutcome, type BodyParts, createBody } from '../../src/fetch/body.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);

/** A stream of these pieces; an error in the place of one ends it. */
function streamOf(...pieces: (Uint8Array | Error)[]): ReadableStream<Uint8Array> {
  const left = [...pieces];
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const piece = left.shift();
        if (piece === undefined) controller.close();
        else if (piece instanceof Error) controller.error(piece);
        else controller.enqueue(piece);
      },
    },
    { highWaterMark: 0 },
  );
}

function body(parts: Partial<BodyParts> & Pick<BodyParts, 'read'>) {
  const onSettled = vi.fn<(ending: BodyOutcome) => void>();
  const stream = createBody({ length: 4, signal: undefined, onBytes: () => undefined, ...parts, onSettled });
  const read = async () => [...new Uint8Array(await new Response(stream).arrayBuffer())];
  return { stream, read, endings: () => onSettled.mock.calls.map(([ending]) => ending) };
}

describe('createBody', () => {
  test('a body passes on all non-empty pieces, and reports that it is complete', async () => {
    const counts: number[] = [];
    const { read, endings } = body({
      read: () => streamOf(bytes(1), bytes(), bytes(2, 3, 4)),
      onBytes: (count) => counts.push(count),
    });
    expect(await read()).toEqual([1, 2, 3, 4]);
    expect([counts, endings()]).toEqual([[1, 3], [{ how: 'whole' }]]);
  });

  test('a body does not detach the buffers of its source', async () => {
    const shared = bytes(9, 1, 2, 3, 4, 9);
    const { read } = body({ read: () => streamOf(shared.subarray(1, 5)) });
    expect(await read()).toEqual([1, 2, 3, 4]);
    expect([...shared]).toEqual([9, 1, 2, 3, 4, 9]);
  });

  test('a body of an unexpected length fails', async () => {
    for (const piece of [bytes(1, 2, 3), bytes(1, 2, 3, 4, 5)]) {
      const { read, endings } = body({ read: () => streamOf(piece) });
      await expect(read()).rejects.toMatchObject({ code: 'PROTOCOL' });
      expect(endings()).toMatchObject([{ how: 'failed' }]);
    }
  });

  test('a body fails with the error of its source', async () => {
    for (const reason of [new XetError('CODEC_CRASHED', 'The codec crashed.'), new TypeError('a bug')]) {
      for (const pieces of [[reason], [bytes(1), reason]]) {
        const { read, endings } = body({ read: () => streamOf(...pieces) });
        await expect(read()).rejects.toBe(reason);
        expect(endings()).toEqual([{ how: 'failed', error: reason }]);
      }
    }
  });

  test.each(['cancelled', 'aborted'])(
    'that is %s before its first byte ends what it started, and is settled once',
    async (how) => {
      const stop = new AbortController();
      let started: AbortSignal | undefined;
      const cancel = vi.fn();
      const { stream, endings } = body({
        // Ends as a stream of the client's does: with an error, as soon as its signal aborts.
        read: (signal) => {
          started = signal;
          return new ReadableStream<Uint8Array>({
            pull: () => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
            cancel,
          });
        },
        signal: stop.signal,
      });
      const reader = stream.getReader();
      const reading = reader.read().catch((error: unknown) => error);
      await vi.waitFor(() => expect(started).toBeDefined());
      if (how === 'cancelled') await reader.cancel('enough');
      else stop.abort('enough');
      expect(started?.reason).toBe('enough');
      expect(await reading).toEqual(how === 'cancelled' ? { done: true, value: undefined } : 'enough');
      expect(endings()).toEqual([how === 'cancelled' ? { how: 'cancelled' } : { how: 'failed', error: 'enough' }]);
    },
  );

  test('a cancelled body passes the reason to its source', async () => {
    const cancel = vi.fn();
    const { stream, endings } = body({
      read: () => new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(bytes(1)), cancel }),
    });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel('enough');
    expect(cancel).toHaveBeenCalledWith('enough');
    expect(endings()).toEqual([{ how: 'cancelled' }]);
  });

  test('an unread body is settled by an abort, and starts no reading when cancelled', async () => {
    const stop = new AbortController();
    const read = vi.fn(() => streamOf(bytes(1, 2, 3, 4)));
    const aborted = body({ read, signal: stop.signal });
    stop.abort('enough');
    expect(aborted.endings()).toEqual([{ how: 'failed', error: 'enough' }]);
    const cancelled = body({ read });
    await cancelled.stream.cancel();
    expect(cancelled.endings()).toEqual([{ how: 'cancelled' }]);
    expect(read).not.toHaveBeenCalled();
  });

  test('a body works without byte streams', async () => {
    const without = new Proxy(ReadableStream, {
      construct(target, [source, ...rest]) {
        if (source?.type === 'bytes') throw new TypeError('not here');
        return Reflect.construct(target, [source, ...rest]);
      },
    });
    vi.stubGlobal('ReadableStream', without);
    try {
      const { read, endings } = body({ read: () => streamOf(bytes(1, 2), bytes(3, 4)) });
      expect(await read()).toEqual([1, 2, 3, 4]);
      expect(endings()).toEqual([{ how: 'whole' }]);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
