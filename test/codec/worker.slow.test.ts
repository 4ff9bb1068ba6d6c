import { transfer, wrap } from 'comlink';
import { afterAll } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import type { CutBytes } from '../../src/codec/upload-operations.ts';
import type { CodecWorker, TaskOutcome } from '../../src/codec/worker-api.ts';
import { totalLength } from '../../src/core/chunks.ts';
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

const remote: VectorCodec = {
  // The bytes of an incomplete chunk are sent again with the next piece, as uploads do.
  chunk: async (data, splits) => {
    const ends = [...splits, data.length];
    const records: Uint8Array[] = [];
    let at = 0;
    for (const [index, end] of ends.entries()) {
      const last = index === ends.length - 1;
      const { chunks } = (await value(worker.run('cutChunks', moved(data.subarray(at, end)), [last]))) as CutBytes;
      records.push(chunks);
      at += totalLength(chunks);
    }
    return concat(records);
  },
  xorbHash: (chunks) => value(worker.run('xorbHash', moved(chunks), [])) as Promise<Uint8Array>,
  fileHash: (chunks, salt) => value(worker.run('fileHash', moved(chunks), [salt])) as Promise<Uint8Array>,
  keyedHashes: (hashes, key) => value(worker.run('keyedHashes', moved(hashes), [key])) as Promise<Uint8Array>,
  decodeRun: (frames) => value(worker.run('decodeRun', moved(frames), [])) as ReturnType<VectorCodec['decodeRun']>,
  // Workers have no operations for these.
  chunkHash: async (chunk) => (await loadCodec()).chunkHash(chunk),
  verificationHash: async (hashes) => (await loadCodec()).verificationHash(hashes),
  serializeXorb: async (...args) => (await loadCodec()).serializeXorb(...args),
};

codecVectorSuite('worker thread', async () => remote, await readVectors(), vitestHooks);
