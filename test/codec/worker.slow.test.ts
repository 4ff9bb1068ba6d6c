import { transfer, wrap } from 'comlink';
import { afterAll } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import type { CodecWorker, TaskOutcome } from '../../src/codec/worker-api.ts';
import { XetError } from '../../src/core/errors.ts';
import { spawnNodeWorker } from '../../workers/spawn.node.ts';
import { readVectors } from '../support/read-vectors.ts';
import { concat } from '../support/vectors.ts';
import { vitestHooks } from './hooks.ts';
import { codecVectorSuite, type VectorCodec } from './suite.ts';

// The worker as it ships: a real thread that loads the built script and the real module.
const spawned = spawnNodeWorker(new URL('../../dist/codec.worker.node.js', import.meta.url));
const worker = wrap<CodecWorker>(spawned.endpoint);
afterAll(() => spawned.terminate());

async function value<T>(answer: Promise<TaskOutcome<T>>): Promise<T> {
  const given = await answer;
  if ('value' in given) return given.value;
  if ('error' in given) throw new XetError(given.error.code, given.error.message);
  throw new Error(given.trap);
}

/** A copy that can be moved away, as callers keep theirs here. */
const moved = (bytes: Uint8Array) => {
  const copy = bytes.slice();
  return transfer(copy, [copy.buffer]);
};

let streams = 0;
const remote: VectorCodec = {
  chunk: async (data, splits) => {
    const stream = streams++;
    const ends = [...splits, data.length];
    const pieces: Uint8Array[] = [];
    for (const [index, end] of ends.entries()) {
      const block = moved(data.subarray(ends[index - 1] ?? 0, end));
      pieces.push(await value(worker.chunk(stream, block, index === ends.length - 1)));
    }
    return concat(pieces);
  },
  chunkHash: (chunk) => value(worker.run('chunkHash', moved(chunk), [])) as Promise<Uint8Array>,
  xorbHash: (chunks) => value(worker.run('xorbHash', moved(chunks), [])) as Promise<Uint8Array>,
  fileHash: (chunks, salt) => value(worker.run('fileHash', moved(chunks), [salt])) as Promise<Uint8Array>,
  verificationHash: (hashes) => value(worker.run('verificationHash', moved(hashes), [])) as Promise<Uint8Array>,
  keyedHashes: (hashes, key) => value(worker.run('keyedHashes', moved(hashes), [key])) as Promise<Uint8Array>,
  decodeRun: (frames) => value(worker.run('decodeRun', moved(frames), [])) as ReturnType<VectorCodec['decodeRun']>,
  // Workers make parts of xorbs only.
  serializeXorb: async (...args) => (await loadCodec()).serializeXorb(...args),
};

codecVectorSuite('worker thread', async () => remote, await readVectors(), vitestHooks);
