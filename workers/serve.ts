import type { Endpoint } from 'comlink';
import { expose, transfer } from 'comlink';
import type { Codec } from '../src/codec/codec.ts';
import { isXetError } from '../src/errors.ts';
import type { Answer, CodecWorker } from './api.ts';

/** Puts a codec behind an endpoint. The same on every platform; only loading and the endpoint differ. */
export function serveCodec(load: () => Promise<Codec>, endpoint?: Endpoint): void {
  let trap: string | undefined;
  const giveBack = (input: Uint8Array, reason: string, guilty: boolean) =>
    transfer({ trap: reason, input, guilty }, [input.buffer]);
  const answer = async <T>(
    input: Uint8Array,
    work: (codec: Codec) => T,
    give: (value: T) => ArrayBufferLike[],
  ): Promise<Answer<T>> => {
    if (trap !== undefined) return giveBack(input, trap, false);
    try {
      const value = work(await load());
      return transfer({ value }, give(value) as Transferable[]);
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
    decodeRun: (frames) =>
      answer(
        frames,
        (codec) => codec.decodeRun(frames),
        (run) => [run.data.buffer, run.chunks.buffer],
      ),
    fileHash: (chunks) =>
      answer(
        chunks,
        (codec) => codec.fileHash(chunks),
        () => [],
      ),
  };
  expose(worker, endpoint);
}
