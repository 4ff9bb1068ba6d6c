import type { Endpoint } from 'comlink';
import { expose, transfer } from 'comlink';
import { isXetError } from '../core/errors.ts';
import type { Chunker, Codec } from './codec.ts';
import { operate } from './operations.ts';
import { uploadOperations } from './upload-operations.ts';
import type { CodecWorker, TaskOutcome } from './worker-api.ts';

/** Puts a codec behind an endpoint. The same on every platform; only loading and the endpoint differ. */
export function serveCodec(load: () => Promise<Codec>, endpoint?: Endpoint): void {
  const streams = new Map<number, Chunker>();
  let trap: string | undefined;
  const giveBack = (input: Uint8Array, reason: string, guilty: boolean) =>
    transfer({ trap: reason, input, guilty }, [input.buffer]);
  const answer = async <T>(input: Uint8Array, work: (codec: Codec) => T): Promise<TaskOutcome<T>> => {
    if (trap !== undefined) return giveBack(input, trap, false);
    try {
      const value = work(await load());
      return transfer({ value, spent: input }, [...new Set([...buffersOf(value), input.buffer as ArrayBuffer])]);
    } catch (error) {
      if (isXetError(error)) {
        const { code, message, retryable } = error;
        return { error: { code, message, retryable } };
      }
      trap = String(error);
      return giveBack(input, trap, true);
    }
  };
  const worker: CodecWorker = {
    ready: async () => {
      await load();
    },
    run: (name, input, rest) => answer(input, (codec) => operate(codec, name, input, rest, uploadOperations)),
    chunk: (stream, block, last) =>
      answer(block, (codec) => {
        const chunker = streams.get(stream) ?? codec.chunker();
        if (!last) streams.set(stream, chunker);
        const records = chunker.push(block, last);
        if (last) {
          streams.delete(stream);
          chunker.free();
        }
        return records;
      }),
  };
  expose(worker, endpoint);
}

/** The memory behind a result, to be moved: of a byte array, or of those in an object. */
function buffersOf(value: unknown): Transferable[] {
  const arrays =
    value instanceof Uint8Array ? [value] : Object.values(value ?? {}).filter((one) => one instanceof Uint8Array);
  return [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))];
}
