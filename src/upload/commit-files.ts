import type { MemoryBudget } from '../core/budget.ts';
import type { CommitLine } from '../hub/operations.ts';
import type { CommitTarget, HubWriter, MadeCommit } from '../hub/writer.ts';

/** Larger commits take the Hub longer than its servers' timeouts allow. */
const MAX_OPERATIONS = 1000;
const MAX_COMMIT_BYTES = 64 * 1024 * 1024;

interface CommitContext {
  writer: HubWriter;
  budget: MemoryBudget;
  onWarning: (message: string) => void;
}

interface CommitPlan {
  title: string;
  description: string;
  /** Head that the commit must be based on. */
  parentCommit: string | undefined;
  /** Known head of the branch. */
  head: string | undefined;
}

/** Commits operations, in several commits if the Hub would not accept them in one. */
export async function commitAll(
  { writer, budget, onWarning }: CommitContext,
  firstTarget: CommitTarget,
  { title, description, parentCommit, head }: CommitPlan,
  operations: AsyncIterable<CommitLine>,
  signal: AbortSignal,
): Promise<(MadeCommit & { title: string })[]> {
  const limits = { operations: MAX_OPERATIONS, bytes: Math.min(MAX_COMMIT_BYTES, budget.limitBytes / 8) };
  const made: (MadeCommit & { title: string })[] = [];
  let target = firstTarget;
  for await (const batch of commitBatches(operations, limits)) {
    const before = made.at(-1);
    const text = {
      title: batch.last && !before ? title : `${title} (part ${batch.part})`,
      description,
      // With parentCommit, no other commit may come between the parts.
      parent: parentCommit && (before?.oid ?? parentCommit),
    };
    // The operations, and the request body made of them.
    const heldBytes = 2 * batch.bytes;
    await budget.acquire(heldBytes, () => true, signal);
    try {
      const commit = await writer.commit(target, text, batch.operations, before?.oid ?? head, signal);
      made.push({ ...commit, title: text.title });
      if (target.createPr && commit.pullRequestUrl === undefined) {
        onWarning(
          `The server does not support pull requests, and made commit ${commit.oid} on '${target.branch}' instead.`,
        );
      }
    } finally {
      budget.release(heldBytes);
    }
    const pullRequest = /\/discussions\/(\d+)$/.exec(made[0]?.pullRequestUrl ?? '')?.[1];
    if (pullRequest !== undefined) target = { ...target, branch: `refs/pr/${pullRequest}`, createPr: false };
  }
  return made;
}

/** Operations of one commit. */
interface CommitBatch {
  operations: CommitLine[];
  /** Approximate size of their lines. */
  bytes: number;
  /** Counted from 1. */
  part: number;
  last: boolean;
}

/** Divides operations into non-empty batches within limits. */
async function* commitBatches(
  operations: AsyncIterable<CommitLine>,
  limits: { operations: number; bytes: number },
): AsyncGenerator<CommitBatch, void, undefined> {
  let batch: CommitLine[] = [];
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

function sizeOf(operation: CommitLine): number {
  return 200 + operation.path.length + ('content' in operation ? operation.content.length : 0);
}

/** Commit title of an upload that has none. */
export function defaultTitle(files: readonly { path: string }[], deletions: readonly { path: string }[]): string {
  const summary = (all: readonly { path: string }[]) => (all.length === 1 ? all[0]?.path : `${all.length} files`);
  return `${files.length > 0 ? `Upload ${summary(files)}` : `Delete ${summary(deletions)}`} with xetkit`;
}
