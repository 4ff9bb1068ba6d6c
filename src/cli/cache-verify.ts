import type { BaseXetClient } from '../client/client.ts';
import { XetError } from '../core/errors.ts';
import type { RepoDesignation } from '../hub/types.ts';
import type { CheckedBlob, VerifyReport } from '../manage/types.ts';
import { tellWarnings } from './cache-ls.ts';
import type { Output } from './output.ts';
import { formatBytes, formatCount, formatDuration } from './units.ts';

export interface CacheVerifyCommand {
  /** All, if there are none. */
  repos: RepoDesignation[];
  repair: boolean;
}

/** `xetkit cache verify`: hashes what is there, and names what is not what it should be. */
export async function cacheVerify(
  client: Pick<BaseXetClient, 'cache'>,
  { repos, repair }: CacheVerifyCommand,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const onFile = (checked: CheckedBlob) => {
    output.record(checked);
    if (isBad(checked) || checked.verdict === 'unreadable') output.result(lineOf(checked));
    if (checked.failure !== undefined)
      output.note(`warning: ${checked.localPath} could not be removed: ${checked.failure}`);
  };
  const options = { ...(repos.length > 0 && { repos }), repair, signal, onFile };
  const report = await client.cache
    .verify({ ...options, onProgress: output.progress.bind(output) })
    .finally(() => output.end());
  const seconds = (performance.now() - started) / 1000;
  const { checked, bytes, wrong, unknown, unreadable, recipes, warnings } = report;
  const places = unreadable.length + warnings.filter((warning) => warning.unreadable).length;
  output.record({
    summary: true,
    checked,
    bytes,
    wrong: wrong.length,
    removed: wrong.filter(({ removed }) => removed).length,
    unknown: unknown.length,
    unreadable: places,
    recipes,
    warnings,
    seconds: Math.round(seconds * 1000) / 1000,
  });
  tellWarnings(warnings, output);
  output.note(
    `${formatCount(checked, 'file')}, ${formatBytes(bytes)}, hashed in ${formatDuration(seconds)}: ` +
      (wrong.length > 0
        ? `${wrong.length} wrong or missing`
        : places > 0
          ? 'none of them wrong'
          : 'all as they should be'),
  );
  explain(report, output);
  if (places === 0) return;
  throw new XetError(
    'PERMISSION',
    `${formatCount(places, 'place')} could not be read, so what is there was not checked: see above which. ` +
      'Run it as the user to whom they belong, or change their permissions.',
  );
}

function isBad({ verdict }: CheckedBlob): boolean {
  return verdict === 'wrong' || verdict === 'missing';
}

function lineOf({ verdict, removed, repo, localPath, snapshotPaths }: CheckedBlob): string {
  const [first = localPath, ...more] = snapshotPaths;
  const others = more.length > 0 ? ` and ${more.length} more with the same content` : '';
  return `${verdict.padEnd(7)}  ${removed ? 'removed' : 'stays  '}  ${repo}  ${first}${others}`;
}

/** Prints advice. Throws if damaged files remain. */
function explain({ wrong, unknown, recipes }: VerifyReport, output: Output): void {
  if (unknown.length > 0) {
    output.note(`${formatCount(unknown.length, 'file')} could not be checked: nothing here says what they should be.`);
  }
  if (recipes.dropped > 0) {
    output.note(
      `${formatCount(recipes.dropped, 'damaged note', 'damaged notes')} on how files are built removed: the next download asks again.`,
    );
  }
  const stays = wrong.filter(({ removed }) => !removed);
  const repos = [...new Set(wrong.map(({ repo }) => repo))];
  if (stays.length === 0) {
    for (const repo of repos) output.note(`To fetch what was removed: xetkit download ${repo}`);
    return;
  }
  const failed = stays.some(({ failure }) => failure !== undefined);
  throw new XetError(
    'INTEGRITY',
    failed
      ? `${stays.length} of ${wrong.length} wrong files could not be removed: see above why, and run the same again.`
      : `${formatCount(stays.length, 'file is', 'files are')} wrong or missing. 'xetkit cache verify --repair' removes what is wrong, ` +
          'so that the next download fetches it.',
  );
}
