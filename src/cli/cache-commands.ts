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
const JSON_LINES = ['--json', 'one JSON object a line on stdout, a summary last'] as const;
const DRY_RUN = ['--dry-run', 'say what would go, and remove nothing'] as const;
const YES = ['-y, --yes', 'do not ask'] as const;

/** Adds `cache` and what belongs to it to the command line. */
export function addCacheCommands(root: Command, { endpoint, signal, clientOptions }: CommandSurroundings): void {
  const cache = root
    .command('cache')
    .summary('see, verify and clean what is kept on this machine')
    .description(
      'See, verify and clean what is kept on this machine: the Hub cache folder, which other Hub clients use as well, ' +
        "and what xetkit remembers of chunks and files, in XETKIT_CACHE (default: 'xetkit' in HF_HOME).",
    );

  const withClient = async (flags: CacheFlags, step: (client: XetClient, output: Output) => Promise<void>) => {
    const output = new Output(flags);
    await using client = new XetClient({ ...clientOptions(output), cacheDir: flags.cacheDir });
    await step(client, output);
  };

  cache
    .command('ls')
    .summary('what is kept, the biggest first')
    .description(
      'List repositories with their sizes and revisions, what xetkit keeps beside them, and what a prune would free.',
    )
    .option('--revisions', 'a line for each revision, with its commit')
    .option(...CACHE_DIR)
    .option(...JSON_LINES)
    .addHelpText(
      'after',
      "\nA revision is 'detached' when no branch or tag stands for it any more. Revisions\n" +
        'share the files that are the same in both, so together they take less than the\n' +
        'sum of their sizes.',
    )
    .action((flags: CacheFlags & { revisions?: boolean }) =>
      withClient(flags, (client, output) => cacheLs(client, { revisions: flags.revisions ?? false }, output, signal)),
    );

  cache
    .command('verify')
    .summary('hash what is kept, and name what is wrong')
    .description(
      'Hash every file of the Hub cache folder again and compare it with its name, without asking any server. ' +
        'Ends with 1 if something is wrong or missing and still there.',
    )
    .argument('[repo...]', 'only these repositories')
    .option('--repair', 'remove what is wrong, and the links to it: the next download fetches it')
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
    .summary('remove what nothing needs')
    .description(
      'Remove revisions that neither a branch nor a tag stands for, downloads that were broken off, files that ' +
        'no revision uses, links to nothing, and chunks beyond their limit. What a branch or a tag stands for stays, and ' +
        'so does what is being downloaded.',
    )
    .option('--max-size <size>', 'what chunks may still take, such as 2GB; 0 for none (default: 10 GiB)', parseSize)
    .option('--keep-detached', 'leave revisions without a branch or tag, such as those fetched by their commits')
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
        '  xetkit cache rm owner/model datasets/owner/data   all revisions of both\n' +
        '  xetkit cache rm owner/model@main                  what main stands for\n' +
        "  xetkit cache rm 3160fef --dry-run                 one of 'cache ls --revisions'",
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
