import type { Command } from 'commander';
import { XetClient } from '../client/xet-client.ts';
import { XetError } from '../core/errors.ts';
import { repoText } from '../hub/repo.ts';
import type { UploadResult } from '../upload/upload-types.ts';
import type { CommandSurroundings } from './cache-commands.ts';
import { Output } from './output.ts';
import { parseTarget } from './target.ts';
import { formatBytes, parseSeconds, TIMEOUT_HELP } from './units.ts';

interface EditFlags {
  at: string;
  message?: string;
  revision?: string;
  repoType?: string;
  createPr?: boolean;
  timeout?: number;
  json?: boolean;
  quiet?: boolean;
}

/** Parses `A-B`, the half-open range of an edit. Throws `INVALID_ARGUMENT`. */
export function parseAt(text: string): { start: number; end: number } {
  const [, from = '', to = ''] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  const [start, end] = [Number(from), Number(to)];
  if (from !== '' && Number.isSafeInteger(start) && Number.isSafeInteger(end) && start <= end) return { start, end };
  throw new XetError(
    'INVALID_ARGUMENT',
    `--at takes the first replaced byte and the first byte after them, such as 1024-2048, not '${text.slice(0, 100)}'. Write 1024-1024 to insert.`,
  );
}

/** Adds `edit` and `append` to the command line. */
export function addEditCommands(root: Command, { endpoint, signal, clientOptions }: CommandSurroundings): void {
  const run = async (repo: string, path: string, flags: Omit<EditFlags, 'at'>, at?: { start: number; end: number }) => {
    const output = new Output(flags);
    await using client = new XetClient(clientOptions(output, flags));
    const { repo: id, revision: branch } = parseTarget(repo, flags, endpoint);
    const { message: title, createPr } = flags;
    const common = { repo: id, path, branch, title, createPr, signal };
    const result = at
      ? await client.edit({ ...common, edits: [{ ...at, content: process.stdin }] })
      : await client.append({ ...common, content: process.stdin });
    report(result, `${repoText(id)}/${path}`, output);
  };
  const withOptions = (command: Command) =>
    command
      .argument('<repo>', 'repository or bucket')
      .argument('<file>', 'path in the repository')
      .option('--message <text>', 'first line of the commit message')
      .option('--revision <branch>', 'branch to commit to (default: main)')
      .option('--repo-type <type>', 'model, dataset, space, kernel or bucket')
      .option('--create-pr', 'open a pull request instead of committing to the branch')
      .option('--timeout <seconds>', TIMEOUT_HELP, parseSeconds)
      .option('--json', 'one JSON object per line on stdout')
      .option('--quiet', 'no progress and no messages');
  withOptions(root.command('edit'))
    .summary('replace a part of a file with standard input')
    .description(
      'Replace bytes of a file with standard input. Only the parts around the change are sent. Empty input deletes the ' +
        'bytes; a range up to the end of the file truncates it.',
    )
    .requiredOption('--at <A-B>', 'bytes A (included) to B (excluded); A-A inserts before A')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  xetkit edit owner/model model.gguf --at 1024-2048 < new.bin\n' +
        '  xetkit edit datasets/owner/data log.csv --at 0-0 < header.csv\n' +
        '  xetkit edit buckets/owner/store data.bin --at 4096-8192 < /dev/null',
    )
    .action((repo: string, file: string, flags: EditFlags) => run(repo, file, flags, parseAt(flags.at)));
  withOptions(root.command('append'))
    .summary('append standard input to a file')
    .description('Append standard input to a file. Only the new bytes and the chunk before them are sent.')
    .addHelpText('after', '\nExamples:\n  xetkit append datasets/owner/data log.jsonl < new-lines.jsonl')
    .action((repo: string, file: string, flags: Omit<EditFlags, 'at'>) => run(repo, file, flags));
}

function report({ commit, url, files, bytes, requests, seconds }: UploadResult, name: string, output: Output): void {
  const [file] = files;
  output.record({ ...file });
  output.record({ summary: true, commit, url, bytes, requests, seconds });
  output.end();
  output.note(`${file?.status === 'unchanged' ? 'unchanged' : 'changed'} ${name}: sent ${formatBytes(bytes.sent)}`);
}
