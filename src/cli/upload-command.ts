import { type Command, Option } from 'commander';
import { XetClient } from '../client/xet-client.ts';
import { XetError } from '../core/errors.ts';
import type { CreateRepoOptions } from '../upload/upload-backend.ts';
import type { CommandSurroundings } from './cache-commands.ts';
import { Output } from './output.ts';
import { parseTarget } from './target.ts';
import { parseSeconds, parseSize, TIMEOUT_HELP } from './units.ts';
import { upload } from './upload.ts';

interface UploadFlags {
  include?: string[];
  exclude?: string[];
  delete?: string[];
  message?: string;
  description?: string;
  revision?: string;
  repoType?: string;
  createPr?: boolean;
  create?: boolean;
  private?: boolean;
  public?: boolean;
  force?: boolean;
  sdk?: CreateRepoOptions['sdk'];
  memory?: number;
  timeout?: number;
  json?: boolean;
  quiet?: boolean;
}

const SDKS = ['gradio', 'docker', 'static', 'streamlit'];

/** Options for creating the repository; undefined without `--create`. */
function creationOf(flags: UploadFlags): Pick<CreateRepoOptions, 'visibility' | 'sdk'> | undefined {
  const { create, private: hidden, public: open, sdk } = flags;
  if (!create && (hidden || open || sdk !== undefined)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      '--private, --public and --sdk say how --create creates a repository: add --create.',
    );
  }
  if (hidden && open) throw new XetError('INVALID_ARGUMENT', '--private and --public exclude each other.');
  return create ? { visibility: hidden ? 'private' : open ? 'public' : undefined, sdk } : undefined;
}

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];

/** Adds `upload` to the command line. */
export function addUploadCommand(root: Command, { endpoint, signal, clientOptions }: CommandSurroundings): void {
  root
    .command('upload')
    .summary('upload a file or a folder in one commit')
    .description(
      'Upload a file, or all files of a folder. Only chunks that the Hub lacks are sent: repeat the command after an ' +
        'interruption to resume it; a changed file costs only its changes.',
    )
    .argument('<repo>', 'repository')
    .argument('<local>', "file or folder; '-' is standard input")
    .argument('[path-in-repo]', 'path in the repository (default: the name of the file; the root for a folder)')
    .option('--include <glob>', 'include only matching files of a folder (repeatable)', collect)
    .option('--exclude <glob>', 'exclude matching files of a folder (repeatable)', collect)
    .option(
      '--delete <path>',
      "delete a file, a folder with '/' at its end, or with * ? [ what matches below PATH-IN-REPO, in the same commit; " +
        'what is uploaded stays (may be repeated)',
      collect,
    )
    .option('--message <text>', 'first line of the commit message')
    .option('--description <text>', 'rest of the commit message')
    .option('--revision <branch>', 'branch to commit to (default: main)')
    .option('--repo-type <type>', 'model, dataset or space')
    .option('--create-pr', 'open a pull request instead of committing to the branch')
    .option('--create', "create the repository if it does not exist, with the account's default visibility")
    .option('--private', 'with --create: visible only to its owners')
    .option('--public', 'with --create: visible to everyone')
    .addOption(new Option('--sdk <sdk>', 'with --create: runtime of a space').choices(SDKS))
    .option('--force', 'allow uploading a root or home folder, and follow links out of the folder')
    .option('--memory <size>', 'memory budget, such as 64MB', parseSize)
    .option('--timeout <seconds>', TIMEOUT_HELP, parseSeconds)
    .option('--json', 'one JSON object per line on stdout')
    .option('--quiet', 'no progress and no messages')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  xetkit upload owner/model ./model.safetensors\n' +
        "  xetkit upload datasets/owner/data ./data train --include '*.parquet' --message 'Add the training set'\n" +
        '  xetkit upload owner/model ./new weights --delete weights/\n' +
        '  tar c logs | xetkit upload owner/model - logs.tar',
    )
    .action(async (repo: string, local: string, pathInRepo: string | undefined, flags: UploadFlags) => {
      const output = new Output(flags);
      await using client = new XetClient({ ...clientOptions(output, flags), memoryBudget: flags.memory });
      const target = parseTarget(repo, flags, endpoint);
      const { include, exclude, message, description, delete: deletions } = flags;
      const { createPr = false, force = false } = flags;
      const what = { target, local, pathInRepo, include, exclude, deletions, message, description };
      await upload(client, { ...what, createPr, force, create: creationOf(flags) }, output, signal);
    });
}
