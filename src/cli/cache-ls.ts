import type { BaseXetClient } from '../client/client.ts';
import type { CacheProblem, CacheUsage, RepoUsage } from '../manage/types.ts';
import type { Output } from './output.ts';
import { tableLines } from './table.ts';
import { formatAgo, formatBytes, formatCount } from './units.ts';

const MAX_WARNINGS = 20;

/** `xetkit cache ls`: what is kept on this machine, the biggest first. */
export async function cacheLs(
  client: Pick<BaseXetClient, 'cache'>,
  command: { revisions: boolean },
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const usage = await client.cache.usage({ signal });
  const repos = [...usage.repos].sort((a, b) => b.bytes - a.bytes);
  for (const repo of repos) output.record(recordOf(repo));
  output.record(summaryOf(usage));
  const now = Date.now();
  if (repos.length > 0) {
    for (const line of command.revisions ? revisionTable(repos, now) : repoTable(repos, now)) output.result(line);
    output.result('');
  }
  for (const [bytes, text] of totalsOf(usage)) output.result(`${formatBytes(bytes).padStart(9)}  ${text}`);
  tellWarnings(usage.warnings, output);
  const { bytes, revisions } = usage.prunable;
  if (bytes === 0 && revisions === 0) return;
  const detached = revisions > 0 ? `, ${formatCount(revisions, 'revision')} without a branch or tag among them` : '';
  output.note(`'xetkit cache prune' would free ${formatBytes(bytes)}${detached}.`);
}

/** Prints damaged entries to stderr, up to a limit. */
export function tellWarnings(warnings: readonly CacheProblem[], output: Output): void {
  for (const { localPath, message } of warnings.slice(0, MAX_WARNINGS))
    output.note(`warning: ${localPath}: ${message}`);
  const more = warnings.length - MAX_WARNINGS;
  if (more > 0) output.note(`warning: … and ${formatCount(more, 'more thing')}; --json lists them all.`);
}

function repoTable(repos: readonly RepoUsage[], now: number): string[] {
  return tableLines(
    [
      { title: 'REPO' },
      { title: 'TYPE' },
      { title: 'SIZE', right: true },
      { title: 'LAST USED' },
      { title: 'REVISIONS' },
    ],
    repos.map(({ repo, type, bytes, lastAccessedMs, revisions }) => {
      const refs = revisions.flatMap((revision) => revision.refs);
      const detached = revisions.filter((revision) => revision.refs.length === 0).length;
      const named = [...refs, ...(detached > 0 ? [`${detached} detached`] : [])].join(', ');
      return [repo, type, formatBytes(bytes), formatAgo(lastAccessedMs, now), named || 'none'];
    }),
  );
}

function revisionTable(repos: readonly RepoUsage[], now: number): string[] {
  return tableLines(
    [
      { title: 'REPO' },
      { title: 'COMMIT' },
      { title: 'SIZE', right: true },
      { title: 'FILES', right: true },
      { title: 'CHANGED' },
      { title: 'REFS' },
    ],
    repos.flatMap(({ repo, revisions }) =>
      revisions.map(({ commit, refs, bytes, fileCount, lastModifiedMs }) => [
        repo,
        commit,
        formatBytes(bytes),
        String(fileCount),
        formatAgo(lastModifiedMs, now),
        refs.join(', ') || 'detached',
      ]),
    ),
  );
}

/** Amounts that add up to all of it. */
function totalsOf({ folder, repos, unfinished, hubBytes, xetkit, totalBytes }: CacheUsage): [number, string][] {
  const sum = (sizes: number[]) => sizes.reduce((total, size) => total + size, 0);
  const unfinishedBytes = sum(unfinished.map(({ bytes }) => bytes));
  const unusedBytes = sum(repos.map((repo) => repo.unusedBytes));
  const sharedBytes = sum(repos.map((repo) => repo.sharedBytes));
  const sharing = sharedBytes > 0 ? `; revisions share ${formatBytes(sharedBytes)} of it` : '';
  const { recipes, chunks, verifiedFiles } = xetkit;
  const parts: [number, string][] = [
    [
      hubBytes - unfinishedBytes - unusedBytes,
      `${formatCount(repos.length, 'repository', 'repositories')} in ${folder ?? 'no folder'}${sharing}`,
    ],
    [unfinishedBytes, 'of downloads that are unfinished'],
    [unusedBytes, 'that no revision uses'],
    [
      chunks?.bytes ?? 0,
      `of chunks that were read, ${formatBytes(chunks?.maxBytes ?? 0)} at most, in ${chunks?.folder}`,
    ],
    [recipes.bytes, `of recipes of ${formatCount(recipes.count, 'file')}`],
    [verifiedFiles.bytes, `of notes on ${formatCount(verifiedFiles.count, 'verified file')}`],
  ];
  const present = parts.filter(([bytes], index) => index === 0 || bytes > 0);
  return present.length > 1 ? [...present, [totalBytes, 'in all']] : present;
}

const date = (milliseconds: number) => new Date(milliseconds).toISOString();

function recordOf({ lastAccessedMs, lastModifiedMs, revisions, ...repo }: RepoUsage): object {
  return {
    ...repo,
    lastAccessed: date(lastAccessedMs),
    lastModified: date(lastModifiedMs),
    revisions: revisions.map(({ lastModifiedMs: changed, ...revision }) => ({
      ...revision,
      lastModified: date(changed),
    })),
  };
}

function summaryOf({ repos, folder, xetkit, ...rest }: CacheUsage): object {
  return {
    summary: true,
    folder: folder ?? null,
    repos: repos.length,
    ...rest,
    xetkit: { ...xetkit, chunks: xetkit.chunks ?? null },
  };
}
