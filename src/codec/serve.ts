import type { Endpoint } from 'comlink';
import { expose, transfer } from 'comlink';
import { isXetError, XetError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import * as readOperations from './operations.ts';
import * as uploadOperations from './upload-operations.ts';
import type { CodecWorker, TaskOutcome } from './worker-api.ts';

type AnyOperation = { run(codec: Codec, input: Uint8Array, ...rest: readonly unknown[]): unknown };

const operations = new Map(
  [...Object.values(readOperations), ...Object.values(uploadOperations)].map(
    // The caller's types have checked the arguments.
    (operation) => [operation.name, operation as AnyOperation] as const,
  ),
);

/** Serves a codec at an endpoint. Platforms differ only in how they load the codec, and in the endpoint. */
export function serveCodec(load: () => Promise<Codec>, endpoint?: Endpoint): void {
  let trap: string | undefined;
  const giveBack = (input: Uint8Array, reason: string, guilty: boolean) =>
    transfer({ trap: reason, input, guilty }, [input.buffer]);
  const run: CodecWorker['run'] = async (name, input, rest): Promise<TaskOutcome<unknown>> => {
    if (trap !== undefined) return giveBack(input, trap, false);
    try {
      const operation = operations.get(name);
      if (!operation) throw new XetError('UNSUPPORTED', `The codec worker has no operation '${name}'.`);
      const value = operation.run(await load(), input, ...rest);
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
    run,
  };
  expose(worker, endpoint);
}

/** The buffers of a result, to be transferred: that of a byte array, or those of an object's byte arrays. */
function buffersOf(value: unknown): Transferable[] {
  const arrays =
    value instanceof Uint8Array ? [value] : Object.values(value ?? {}).filter((one) => one instanceof Uint8Array);
  return [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))];
}
