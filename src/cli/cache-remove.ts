import type { BaseXetClient } from '../client/client.ts';
import { XetError } from '../core/errors.ts';
import type { CacheTarget, PlannedRemoval, RemovalKind, RemovalReport } from '../manage/types.ts';
import { type Confirm, onTerminal } from './confirm.ts';
import type { Output } from './output.ts';
import { formatBytes, formatCount } from './units.ts';

interface RemovalCommand {
  dryRun: boolean;
  /** Without asking. */
  yes: boolean;
}

export interface CachePruneCommand extends RemovalCommand {
  /** Size limit for chunks, in bytes. */
  maxBytes: number | undefined;
  detached: boolean;
}

export interface CacheRmCommand extends RemovalCommand {
  targets: CacheTarget[];
}

/** `xetkit cache prune`: what nothing needs. */
export function cachePrune(
  client: Pick<BaseXetClient, 'cache'>,
  { maxBytes, detached, ...command }: CachePruneCommand,
  output: Output,
  signal: AbortSignal,
  confirm: Confirm = onTerminal,
): Promise<void> {
  const prune = (dryRun: boolean) => client.cache.prune({ maxBytes, detached, dryRun, signal });
  return removing(prune, command, { output, signal, confirm });
}

/** `xetkit cache rm`: repositories and revisions that are named. */
export function cacheRm(
  client: Pick<BaseXetClient, 'cache'>,
  { targets, ...command }: CacheRmCommand,
  output: Output,
  signal: AbortSignal,
  confirm: Confirm = onTerminal,
): Promise<void> {
  const remove = (dryRun: boolean) => client.cache.remove(targets, { dryRun, signal });
  return removing(remove, command, { output, signal, confirm });
}

const NOTHING = { dryRun: false, freedBytes: 0, chunkBytes: 0, revisions: [], removals: [] };

interface RemovalContext {
  output: Output;
  signal: AbortSignal;
  confirm: Confirm;
}

async function removing(
  remove: (dryRun: boolean) => Promise<RemovalReport>,
  { dryRun, yes }: RemovalCommand,
  { output, signal, confirm }: RemovalContext,
): Promise<void> {
  const asking = !dryRun && !yes;
  if (asking && !confirm.possible()) {
    throw new XetError(
      'INVALID_ARGUMENT',
      'There is no terminal to ask on whether to remove it: add --yes, or --dry-run to see what would go.',
    );
  }
  if (asking) {
    const planned = await remove(true);
    show(planned, output);
    tellFailures(planned, output);
    if (isNothing(planned)) {
      output.record(summaryOf({ ...planned, ...NOTHING }));
      output.result('Nothing to remove.');
      return;
    }
    if (!(await confirm.ask(`Remove this, and free ${formatBytes(planned.freedBytes)}?`, signal))) {
      output.record(summaryOf({ ...planned, ...NOTHING }));
      output.note('Nothing was removed.');
      return;
    }
  }
  const report = await remove(dryRun);
  if (!asking) show(report, output);
  record(report, output);
  tellFailures(report, output);
  if (isNothing(report) && report.failures.length === 0) output.result('Nothing to remove.');
  else output.result(`${dryRun ? 'Would free' : 'Freed'} ${formatBytes(report.freedBytes)}.`);
  if (report.failures.length === 0) return;
  throw new XetError(
    'CACHE',
    `${formatCount(report.failures.length, 'thing')} could not be removed: see above why, and run the same again.`,
  );
}

function isNothing({ removals, freedBytes }: RemovalReport): boolean {
  return removals.length === 0 && freedBytes === 0;
}

/** Revisions that go, and then all that this frees, as amounts that add up. */
function show({ revisions, removals, chunkBytes }: RemovalReport, output: Output): void {
  for (const { repo, commit, refs, bytes: size } of revisions) {
    output.result(`${repo}@${commit}  ${formatBytes(size)}  ${refs.join(', ') || 'detached'}`);
  }
  const lines: [number, string][] = KINDS.flatMap(([kind, text]) => {
    const some = removals.filter((each) => each.kind === kind);
    const bytes = bytesOf(some);
    // Revisions have been named, and what goes with them as a matter of course would only be noise.
    const implied = bytes === 0 && revisions.length > 0 && (kind === 'snapshot' || kind === 'ref');
    return some.length === 0 || implied ? [] : [[bytes, text(some.length)]];
  });
  if (chunkBytes > 0) lines.push([chunkBytes, 'chunks of earlier reads']);
  for (const [bytes, text] of lines) output.result(`${formatBytes(bytes).padStart(9)}  ${text}`);
}

const KINDS: [RemovalKind, (count: number) => string][] = [
  ['repo', (count) => `all of ${formatCount(count, 'repository', 'repositories')}`],
  ['blob', (count) => `${formatCount(count, 'file')} that no other revision needs`],
  ['shared', (count) => `${formatCount(count, 'file')} that repositories shared`],
  ['unfinished', (count) => `${formatCount(count, 'file')} of unfinished downloads`],
  ['link', (count) => `${formatCount(count, 'link')} to nothing`],
  ['snapshot', (count) => `${formatCount(count, 'folder')} of revisions`],
  ['ref', (count) => `${formatCount(count, 'ref')} to nothing`],
];

function bytesOf(removals: readonly PlannedRemoval[]): number {
  return removals.reduce((sum, { bytes }) => sum + bytes, 0);
}

function record(report: RemovalReport, output: Output): void {
  for (const revision of report.revisions) output.record(revision);
  for (const { kind, localPath, bytes } of report.removals) output.record({ kind, localPath, bytes });
  output.record(summaryOf(report));
}

function summaryOf({ dryRun, freedBytes, chunkBytes, revisions, removals, failures }: RemovalReport): object {
  return {
    summary: true,
    dryRun,
    freedBytes,
    chunkBytes,
    revisions: revisions.length,
    removals: removals.length,
    failures,
  };
}

function tellFailures({ failures }: RemovalReport, output: Output): void {
  for (const { localPath, message } of failures) output.note(`warning: ${localPath} stays: ${message}`);
}
