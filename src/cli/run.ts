import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { endpointOf, isOffline } from '../client/environment.node.ts';
import type { XetClientOptions } from '../client/options.ts';
import { DEFAULT_ENDPOINT } from '../client/options.ts';
import { platform } from '../client/platform.node.ts';
import { XetClient } from '../client/xet-client.ts';
import { loadOriginal } from '../compat/platform.node.ts';
import { isXetError } from '../core/errors.ts';
import { rememberUrl } from '../core/secrets.ts';
import { VERSION } from '../version.ts';
import { addCacheCommands } from './cache-commands.ts';
import { compare, type OriginalPackage } from './compare.ts';
import { addCompletionCommand } from './completion.ts';
import { addDoctorCommand } from './doctor.ts';
import { download } from './download.ts';
import { addEditCommands } from './edit-commands.ts';
import { hash } from './hash.ts';
import { addInspectCommand } from './inspect.ts';
import { ls } from './ls.ts';
import { Output, plainLines, plainText } from './output.ts';
import { addServeCommand } from './serve.ts';
import { writeError, writeOut } from './streams.ts';
import { parseTarget } from './target.ts';
import { folderOf, formatDuration, parseSeconds, parseSize, TIMEOUT_HELP } from './units.ts';
import { addUploadCommand } from './upload-command.ts';

const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

class Interrupted extends Error {}

/** Runs the command line and gives its exit code. `lost` ends it when nobody reads what it prints. */
export async function run(args: string[], lost?: AbortSignal): Promise<number> {
  const interrupt = new AbortController();
  const onInterrupt = () => {
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
    interrupt.abort(new Interrupted('interrupted'));
  };
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onInterrupt);
  lost?.addEventListener('abort', () => interrupt.abort(lost.reason));
  try {
    await program(interrupt.signal).parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    return explain(error, interrupt.signal);
  } finally {
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
  }
}

function explain(error: unknown, signal: AbortSignal): number {
  // Commander has already said what is wrong with the words of the command, or printed the help.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (signal.aborted) {
    if (signal.reason instanceof Interrupted) {
      writeError('Interrupted. What was transferred is kept: run the same command to resume.\n');
    }
    return EXIT.interrupted;
  }
  if (isXetError(error)) {
    const request = error.requestId === undefined ? '' : ` [request ${error.requestId}]`;
    writeError(`xetkit: ${plainText(`${error.message}${request}`)}\n`);
    return error.code === 'INVALID_ARGUMENT' ? EXIT.usage : EXIT.failed;
  }
  writeError(`xetkit: ${plainLines(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
  return EXIT.failed;
}

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('Expected a non-negative integer.');
  return value;
}

interface RepoFlags {
  timeout?: number;
  repoType?: string;
  revision?: string;
  json?: boolean;
  quiet?: boolean;
}

function program(signal: AbortSignal): Command {
  const endpoint = process.env.HF_ENDPOINT || DEFAULT_ENDPOINT;
  rememberUrl(endpoint);
  const root = new Command('xetkit')
    .description('Move files to and from Hugging Face repositories over the Xet protocol, verified.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeOut, writeErr: writeError })
    .configureHelp({ sortSubcommands: false })
    .addHelpText(
      'after',
      '\nREPO is owner/name, datasets/owner/name, spaces/owner/name, hf://… or a URL of the Hub.\n' +
        'HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_HUB_DISABLE_XET have the same meaning\n' +
        'as for other Hub clients.',
    );

  // What asks a Hub needs to know which. The other commands work with a wrong address as well.
  root.hook('preAction', (_, command) => {
    if (['download', 'upload', 'edit', 'append', 'ls', 'compare', 'inspect'].includes(command.name()))
      endpointOf(process.env);
  });

  root
    .command('download')
    .summary('download files of a repository')
    .description('Download files into the Hub cache folder or a local folder. Without FILE, the whole repository.')
    .argument('<repo>', 'repository')
    .argument('[file...]', "paths in the repository; a folder ends in '/'")
    .option('--include <glob>', 'include only matching files (repeatable)', collect)
    .option('--exclude <glob>', 'exclude matching files (repeatable)', collect)
    .option('--revision <rev>', 'branch, tag or commit (default: main)')
    .option('--repo-type <type>', 'model, dataset or space')
    .option('--local-dir <dir>', 'folder that mirrors the repository', folderOf('--local-dir'))
    .option('--cache-dir <dir>', 'Hub cache folder to use', folderOf('--cache-dir'))
    .option('--force', 'fetch files again even if they are local')
    .option('--offline', 'contact no server; fail if a file is not local')
    .option('--dry-run', 'show what would be fetched; change nothing')
    .option('--concurrency <n>', 'concurrent requests', whole)
    .option('--timeout <seconds>', TIMEOUT_HELP, parseSeconds)
    .option('--memory <size>', 'memory budget, such as 64MB', parseSize)
    .option('--no-xet', 'plain HTTP only')
    .option('--json', 'one JSON object per line on stdout')
    .option('--quiet', 'no progress and no messages')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  xetkit download owner/model\n' +
        '  xetkit download owner/model model.safetensors --local-dir models\n' +
        "  xetkit download datasets/owner/data --include '*.parquet' --dry-run",
    )
    .action(async (repo: string, files: string[], flags: RepoFlags & DownloadFlags) => {
      if (flags.localDir !== undefined && flags.cacheDir !== undefined) {
        throw new CommanderError(EXIT.usage, 'usage', say('--local-dir and --cache-dir exclude each other.'));
      }
      const output = new Output(flags);
      await using client = new XetClient({
        ...clientOptions(output, flags),
        cacheDir: flags.cacheDir,
        memoryBudget: flags.memory,
        concurrency: flags.concurrency,
        ...(flags.xet === false && { xet: false }),
      });
      const target = parseTarget(repo, flags, endpoint);
      const { include, exclude, localDir, force = false, offline = isOffline(process.env), dryRun = false } = flags;
      const command = { target, files, include, exclude, localDir, force, offline, dryRun };
      await download(client, command, output, signal);
    });

  addUploadCommand(root, { endpoint, signal, clientOptions });
  addEditCommands(root, { endpoint, signal, clientOptions });

  root
    .command('ls')
    .summary('list files of a repository')
    .argument('<repo>', 'repository')
    .argument('[path]', 'folder in the repository')
    .option('--recursive', 'include everything below')
    .option('--revision <rev>', 'branch, tag or commit (default: main)')
    .option('--repo-type <type>', 'model, dataset or space')
    .option('--timeout <seconds>', TIMEOUT_HELP, parseSeconds)
    .option('--json', 'one JSON object per line on stdout')
    .addHelpText(
      'after',
      '\nExamples:\n  xetkit ls owner/model\n  xetkit ls datasets/owner/data train --recursive --json',
    )
    .action(async (repo: string, path: string | undefined, flags: RepoFlags & { recursive?: boolean }) => {
      const output = new Output(flags);
      await using client = new XetClient(clientOptions(output, flags));
      const target = parseTarget(repo, flags, endpoint);
      await ls(client, { ...target, path: path ?? target.path, recursive: flags.recursive ?? false }, output, signal);
    });

  root
    .command('hash')
    .summary('print the hashes of local files')
    .argument('<file...>', 'files')
    .option('--json', 'one JSON object per line on stdout: xetHash, sha256, size, chunks')
    .addHelpText('after', '\nExamples:\n  xetkit hash model.safetensors\n  xetkit hash *.safetensors --json')
    .action(async (files: string[], flags: { json?: boolean }) => hash(files, new Output(flags), signal));

  root
    .command('compare')
    .summary('fetch files with xetkit and @huggingface/hub, and compare')
    .description(
      'Fetch files with xetkit and with @huggingface/hub, if it is installed, and compare content, time and traffic. ' +
        'Writes nothing and uses no local files.',
    )
    .argument('<repo>', 'repository')
    .argument('[file...]', 'paths in the repository (default: all files)')
    .option('--revision <rev>', 'branch, tag or commit (default: main)')
    .option('--repo-type <type>', 'model, dataset or space')
    .option('--timeout <seconds>', TIMEOUT_HELP, parseSeconds)
    .option('--json', 'one JSON object per line on stdout')
    .addHelpText('after', '\nExamples:\n  xetkit compare owner/model\n  xetkit compare owner/model config.json --json')
    .action(async (repo: string, files: string[], flags: RepoFlags) => {
      const output = new Output(flags);
      const accessToken = await platform.defaultToken();
      const original = (await loadOriginal()) as OriginalPackage | undefined;
      const target = parseTarget(repo, flags, endpoint);
      const options = clientOptions(output, flags);
      await compare({ target, files, endpoint, accessToken, clientOptions: options, original }, output, signal);
    });

  addInspectCommand(root, { endpoint, signal, clientOptions });
  addCacheCommands(root, { endpoint, signal, clientOptions });

  addServeCommand(root, signal);
  addDoctorCommand(root, { endpoint, signal, clientOptions });
  addCompletionCommand(root);

  return root;
}

interface DownloadFlags {
  include?: string[];
  exclude?: string[];
  localDir?: string;
  cacheDir?: string;
  force?: boolean;
  offline?: boolean;
  dryRun?: boolean;
  concurrency?: number;
  xet?: boolean;
  memory?: number;
}

/** Retries and warnings are shown as they happen: silence is what people take for a hang. */
function clientOptions(output: Output, { timeout }: { timeout?: number | undefined } = {}): XetClientOptions {
  return {
    ...(timeout !== undefined && { timeouts: { connectMs: timeout, stallMs: timeout } }),
    onRetry: ({ attempt, attempts, delayMs, error }) =>
      output.note(
        `retrying: ${error.message} (attempt ${attempt} of ${attempts}, again in ${formatDuration(delayMs / 1000)})`,
      ),
    onWarning: (message) => output.note(`warning: ${message}`),
  };
}

function say(text: string): string {
  writeError(`error: ${text}\n`);
  return text;
}
