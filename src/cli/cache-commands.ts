import type { Command } from 'commander';
import type { XetClientOptions } from '../client/options.ts';
import { DEFAULT_ENDPOINT } from '../client/options.ts';
import { XetClient } from '../client/xet-client.ts';
import { XetError } from '../core/errors.ts';
import { parseLocation } from '../hub/repo.ts';
import type { RepoDesignation } from '../hub/types.ts';
import type { CacheTarget } from '../manage/types.ts';
import { cacheLs } from './cache-ls.ts';
import { cachePrune, cacheRm } from './cache-remove.ts';
import { cacheVerify } from './cache-verify.ts';
import { Output } from './output.ts';
import { folderOf, parseSize } from './units.ts';

interface CacheFlags {
  cacheDir?: string;
  json?: boolean;
}

interface RemovalFlags extends CacheFlags {
  dryRun?: boolean;
  yes?: boolean;
}

export interface CommandSurroundings {
  endpoint: string;
  signal: AbortSignal;
  clientOptions: (output: Output, flags?: { timeout?: number | undefined }) => XetClientOptions;
}

const CACHE_DIR: [string, string, (text: string) => string] = [
  '--cache-dir <dir>',
  'Hub cache folder (default: as HF_HUB_CACHE and HF_HOME say)',
  folderOf('--cache-dir'),
];
const JSON_LINES = ['--json', 'one JSON object per line on stdout, a summary last'] as const;
const DRY_RUN = ['--dry-run', 'show what would be removed; remove nothing'] as const;
const YES = ['-y, --yes', 'do not ask for confirmation'] as const;

/** Adds `cache` and what belongs to it to the command line. */
export function addCacheCommands(root: Command, { endpoint, signal, clientOptions }: CommandSurroundings): void {
  const cache = root
    .command('cache')
    .summary('show, verify and clean the caches on this machine')
    .description(
      'Show, verify and clean the caches on this machine: the Hub cache folder, which other Hub clients also use, ' +
        "and xetkit's own folder of chunks and recipes, XETKIT_CACHE (default: 'xetkit' in HF_HOME).",
    );

  const withClient = async (flags: CacheFlags, step: (client: XetClient, output: Output) => Promise<void>) => {
    const output = new Output(flags);
    await using client = new XetClient({ ...clientOptions(output), cacheDir: flags.cacheDir });
    await step(client, output);
  };

  cache
    .command('ls')
    .summary('list cached repositories, largest first')
    .description(
      "List cached repositories with sizes and revisions, the size of xetkit's own caches, and what a prune would free.",
    )
    .option('--revisions', 'one line per revision, with its commit')
    .option(...CACHE_DIR)
    .option(...JSON_LINES)
    .addHelpText(
      'after',
      "\nA revision is 'detached' if no branch or tag points to it any more. Revisions share\n" +
        'identical files, so together they take less than the sum of their sizes.',
    )
    .action((flags: CacheFlags & { revisions?: boolean }) =>
      withClient(flags, (client, output) => cacheLs(client, { revisions: flags.revisions ?? false }, output, signal)),
    );

  cache
    .command('verify')
    .summary('hash all cached files and report damage')
    .description(
      'Hash every file of the Hub cache folder and compare it with its name, without contacting a server. ' +
        'Exits with 1 if damage is found and not repaired.',
    )
    .argument('[repo...]', 'only these repositories')
    .option('--repair', 'remove damaged files and links to them, so the next download fetches them')
    .option(...CACHE_DIR)
    .option(...JSON_LINES)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  xetkit cache verify\n' +
        '  xetkit cache verify owner/model --repair && xetkit download owner/model',
    )
    .action((texts: string[], flags: CacheFlags & { repair?: boolean }) => {
      const repos = texts.map((text) => wholeRepo(text, endpoint));
      const command = { repos, repair: flags.repair ?? false };
      return withClient(flags, (client, output) => cacheVerify(client, command, output, signal));
    });

  cache
    .command('prune')
    .summary('remove unneeded files')
    .description(
      'Remove revisions without a branch or tag, interrupted downloads, files that no revision uses, broken links, and ' +
        'chunks beyond their limit. Revisions with a branch or tag and running downloads are kept.',
    )
    .option('--max-size <size>', 'size limit for chunks, such as 2GB; 0 removes all (default: 10 GiB)', parseSize)
    .option('--keep-detached', 'keep revisions without a branch or tag, such as those downloaded by commit')
    .option(...DRY_RUN)
    .option(...YES)
    .option(...CACHE_DIR)
    .option(...JSON_LINES)
    .addHelpText('after', "\nSee what would go with 'xetkit cache prune --dry-run'.")
    .action((flags: RemovalFlags & { maxSize?: number; keepDetached?: boolean }) => {
      const { dryRun = false, yes = false, maxSize: maxBytes, keepDetached = false } = flags;
      const command = { maxBytes, detached: !keepDetached, dryRun, yes };
      return withClient(flags, (client, output) => cachePrune(client, command, output, signal));
    });

  cache
    .command('rm')
    .summary('remove repositories or revisions')
    .description(
      'Remove repositories or single revisions from the Hub cache folder. Files that other revisions need stay.',
    )
    .argument('<target...>', 'REPO, REPO@REVISION, or a commit (its first seven digits are enough)')
    .option(...DRY_RUN)
    .option(...YES)
    .option(...CACHE_DIR)
    .option(...JSON_LINES)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  xetkit cache rm owner/model datasets/owner/data   all revisions of both repositories\n' +
        '  xetkit cache rm owner/model@main                  the revision of main\n' +
        "  xetkit cache rm 3160fef --dry-run                 a commit listed by 'cache ls --revisions'",
    )
    .action((texts: string[], flags: RemovalFlags) => {
      const { dryRun = false, yes = false } = flags;
      const targets = texts.map((text) => targetOf(text, endpoint));
      return withClient(flags, (client, output) => cacheRm(client, { targets, dryRun, yes }, output, signal));
    });
}

/** A target as people write it: `hf://` and addresses of the Hub become names, the rest is looked up in the cache. */
export function targetOf(text: string, endpoint: string): CacheTarget {
  const location = parseLocation(text, endpoint) ?? parseLocation(text, DEFAULT_ENDPOINT);
  if (!location) return text;
  const { repo, revision, path } = location;
  if (path !== undefined) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `'${text}' is a part of a repository. A cache has whole revisions: leave '${path}' off.`,
    );
  }
  return { repo, revision };
}

function wholeRepo(text: string, endpoint: string): RepoDesignation {
  const target = targetOf(text, endpoint);
  if (typeof target === 'string') return target;
  if (target.revision === undefined) return target.repo;
  throw new XetError('INVALID_ARGUMENT', `Whole repositories are verified: leave '${target.revision}' off '${text}'.`);
}
