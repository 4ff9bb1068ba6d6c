import type { BaseXetClient } from '../client/client.ts';
import type { CacheUsage, RepoUsage } from '../manage/cache-control.ts';
import type { CacheProblem } from '../manage/usage.ts';
import type { Output } from './output.ts';
import { tableLines } from './table.ts';
import { formatAgo, formatBytes, formatCount } from './units.ts';

const MOST_WARNINGS = 20;

/** `xetkit cache ls`: what is kept on this machine, the biggest first. */
export async function cacheLs(
  client: Pick<BaseXetClient, 'cache'>,
  command: { revisions: boolean },
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const usage = await client.cache.usage({ signal });
  const repos = [...usage.repos].sort((a, b) => b.size - a.size);
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

/** What is damaged, on stderr: not so much of it that it hides the rest. */
export function tellWarnings(warnings: readonly CacheProblem[], output: Output): void {
  for (const { path, message } of warnings.slice(0, MOST_WARNINGS)) output.note(`warning: ${path}: ${message}`);
  const more = warnings.length - MOST_WARNINGS;
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
    repos.map(({ repo, type, size, lastAccessed, revisions }) => {
      const refs = revisions.flatMap((revision) => revision.refs);
      const detached = revisions.filter((revision) => revision.refs.length === 0).length;
      const named = [...refs, ...(detached > 0 ? [`${detached} detached`] : [])].join(', ');
      return [repo, type, formatBytes(size), formatAgo(lastAccessed, now), named || 'none'];
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
      revisions.map(({ commit, refs, size, files, lastModified }) => [
        repo,
        commit,
        formatBytes(size),
        String(files),
        formatAgo(lastModified, now),
        refs.join(', ') || 'detached',
      ]),
    ),
  );
}

/** Amounts that add up to all of it. */
function totalsOf({ path, repos, unfinished, hubBytes, tiers, totalBytes }: CacheUsage): [number, string][] {
  const sum = (sizes: number[]) => sizes.reduce((total, size) => total + size, 0);
  const unfinishedBytes = sum(unfinished.map(({ size }) => size));
  const unusedBytes = sum(repos.map((repo) => repo.unusedBytes));
  const sharedBytes = sum(repos.map((repo) => repo.sharedBytes));
  const sharing = sharedBytes > 0 ? `; revisions share ${formatBytes(sharedBytes)} of it` : '';
  const { shards, chunks, files } = tiers;
  const parts: [number, string][] = [
    [
      hubBytes - unfinishedBytes - unusedBytes,
      `${formatCount(repos.length, 'repository', 'repositories')} in ${path ?? 'no folder'}${sharing}`,
    ],
    [unfinishedBytes, 'of downloads that are unfinished'],
    [unusedBytes, 'that no revision uses'],
    [chunks?.bytes ?? 0, `of chunks that were read, ${formatBytes(chunks?.maxBytes ?? 0)} at most, in ${tiers.path}`],
    [shards.bytes, `that say how ${formatCount(shards.recipes, 'file')} ${shards.recipes === 1 ? 'is' : 'are'} built`],
    [files.bytes, `that say which ${formatCount(files.files, 'file')} ${files.files === 1 ? 'was' : 'were'} verified`],
  ];
  const present = parts.filter(([bytes], index) => index === 0 || bytes > 0);
  return present.length > 1 ? [...present, [totalBytes, 'in all']] : present;
}

const date = (milliseconds: number) => new Date(milliseconds).toISOString();

function recordOf(repo: RepoUsage): object {
  return {
    ...repo,
    lastAccessed: date(repo.lastAccessed),
    lastModified: date(repo.lastModified),
    revisions: repo.revisions.map((revision) => ({ ...revision, lastModified: date(revision.lastModified) })),
  };
}

function summaryOf({ repos, path, tiers, ...rest }: CacheUsage): object {
  return {
    summary: true,
    path: path ?? null,
    repos: repos.length,
    ...rest,
    tiers: { ...tiers, path: tiers.path ?? null, chunks: tiers.chunks ?? null },
  };
}
