import type { Operation } from '../hub/operations.ts';

/** Operations that go into one commit. */
export interface CommitBatch {
  operations: Operation[];
  /** Of its lines, more or less. */
  bytes: number;
  /** Counted from 1. */
  part: number;
  last: boolean;
}

export interface BatchLimits {
  operations: number;
  /** Of the lines, as UTF-8 more or less. */
  bytes: number;
}

/** Puts operations into commits of a size that the Hub takes; none of them is empty. */
export async function* inCommits(
  operations: AsyncIterable<Operation>,
  limits: BatchLimits,
): AsyncGenerator<CommitBatch, void, undefined> {
  let batch: Operation[] = [];
  let bytes = 0;
  let part = 1;
  for await (const operation of operations) {
    const length = sizeOf(operation);
    if (batch.length > 0 && (batch.length >= limits.operations || bytes + length > limits.bytes)) {
      yield { operations: batch, bytes, part: part++, last: false };
      [batch, bytes] = [[], 0];
    }
    batch.push(operation);
    bytes += length;
  }
  if (batch.length > 0) yield { operations: batch, bytes, part, last: true };
}

function sizeOf(operation: Operation): number {
  return 200 + operation.path.length + ('content' in operation ? operation.content.length : 0);
}
