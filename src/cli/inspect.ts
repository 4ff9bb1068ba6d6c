import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { XetClientOptions } from '../client/options.ts';
import { XetError } from '../core/errors.ts';
import { diskErrors } from '../fs/disk-errors.node.ts';
import { repoText } from '../hub/repo.ts';
import type { CommandSurroundings } from './cache-commands.ts';
import { pageOf, ratio } from './inspect/page.ts';
import { type Inspected, type InspectedFile, inspectFile } from './inspect/read-layout.ts';
import { Output } from './output.ts';
import { tableLines } from './table.ts';
import { parseTarget } from './target.ts';
import { folderOf, formatBytes, formatCount, parseSeconds, TIMEOUT_HELP } from './units.ts';

interface InspectFlags {
  against?: string;
  html?: string;
  cacheDir?: string;
  revision?: string;
  repoType?: string;
  timeout?: number;
  json?: boolean;
  quiet?: boolean;
}

/** Adds `inspect` to the command line. */
export function addInspectCommand(root: Command, { endpoint, signal, clientOptions }: CommandSurroundings): void {
  root
    .command('inspect')
    .summary('show how a file is stored, and what is local or shared')
    .description(
      'Show the terms and xorbs of a file, its compression, how much of it is on this machine, and how much it shares ' +
        'with another file. Fetches no content.',
    )
    .argument('<repo>', 'repository')
    .argument('[file]', 'path in the repository')
    .option('--against <file>', 'path in the same repository, hf://… or a URL of a file to compare with')
    .option('--html <file>', 'write a page with a map of the file', folderOf('--html'))
    .option('--cache-dir <dir>', 'Hub cache folder to use', folderOf('--cache-dir'))
    .option('--revision <rev>', 'branch, tag or commit (default: main)')
    .option('--repo-type <type>', 'model, dataset or space')
    .option('--timeout <seconds>', TIMEOUT_HELP, parseSeconds)
    .option('--json', 'one JSON object per line on stdout: terms, xorbs, summary')
    .option('--quiet', 'no messages')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  xetkit inspect owner/model model.safetensors\n' +
        '  xetkit inspect owner/model model.safetensors --against hf://owner/base/model.safetensors\n' +
        '  xetkit inspect owner/model model.safetensors --html map.html',
    )
    .action(async (text: string, path: string | undefined, flags: InspectFlags) => {
      const output = new Output(flags);
      const { repo, revision, path: named } = parseTarget(text, flags, endpoint);
      const file = {
        repo,
        revision,
        path: path ?? named ?? missing('FILE is missing: name a path in the repository.'),
      };
      const against = flags.against === undefined ? undefined : otherFile(flags.against, file, endpoint);
      const options = { ...clientOptions(output, flags), cacheDir: flags.cacheDir };
      await inspect({ clientOptions: options, file, against, html: flags.html }, output, signal);
    });
}

function otherFile(text: string, { repo, revision }: InspectedFile, endpoint: string): InspectedFile {
  if (!/^(hf|https?):\/\//.test(text)) return { repo, revision, path: text };
  const other = parseTarget(text, {}, endpoint);
  return { ...other, path: other.path ?? missing(`--against names no file: '${text}'. Add the path of a file.`) };
}

function missing(message: string): never {
  throw new XetError('INVALID_ARGUMENT', message);
}

export interface InspectCommand {
  clientOptions: XetClientOptions;
  file: InspectedFile;
  against: InspectedFile | undefined;
  /** File that the page is written to. */
  html: string | undefined;
}

/** Xorbs shown to people at most. */
const MAX_XORB_ROWS = 20;

/** `xetkit inspect`: the structure of a file in the CAS, and how much of it is local or shared with another file. */
export async function inspect(command: InspectCommand, output: Output, signal: AbortSignal): Promise<void> {
  const { clientOptions, file, against, html } = command;
  const inspected = await inspectFile(clientOptions, file, against, signal);
  const { terms, xorbs, repo, chunks, ...summary } = inspected;
  for (const term of terms) output.record(term);
  for (const xorb of xorbs) output.record(xorb);
  const counts = { terms: terms.length, xorbs: xorbs.length, chunks };
  output.record({ summary: true, repo: repoText(repo), ...summary, ...counts });

  const facts = factsOf(inspected, against);
  const width = Math.max(...facts.map(([name]) => name.length));
  output.result(`${file.path} of ${repoText(repo)}`);
  for (const [name, value] of facts) output.result(`  ${name.padEnd(width)}  ${value}`);
  for (const line of xorbLines(inspected)) output.result(line);
  if (html !== undefined) {
    const title = `${file.path} of ${repoText(repo)}`;
    const page = pageOf({ title, facts, layout: inspected, against: against && nameOf(against) });
    await diskErrors(html, () => writeFile(html, page));
    output.note(`Wrote ${html}.`);
  }
}

function factsOf(inspected: Inspected, against: InspectedFile | undefined): (readonly [string, string])[] {
  const { size, chunks, terms, xorbs, distinctBytes, storedBytes, localBytes, sharedBytes } = inspected;
  const repeated = size - distinctBytes;
  return [
    ['Size', `${formatBytes(size)} (${size} bytes)`],
    ['Xet hash', inspected.xetHash],
    ['Commit', inspected.commit],
    [
      'Structure',
      `${formatCount(chunks, 'chunk')} in ${formatCount(terms.length, 'term')} of ${formatCount(xorbs.length, 'xorb')}`,
    ],
    ['Compressed', `${formatBytes(storedBytes)}, ${ratio(storedBytes, distinctBytes)} of the content`],
    ['Repeated', repeated > 0 ? `${formatBytes(repeated)} occur more than once in the file` : 'nothing'],
    ['Local', `${formatBytes(localBytes)}, ${ratio(localBytes, size)}`],
    ...(sharedBytes === undefined || !against
      ? []
      : [['Shared', `${formatBytes(sharedBytes)}, ${ratio(sharedBytes, size)}, with ${nameOf(against)}`] as const]),
  ];
}

function xorbLines({ xorbs }: Inspected): string[] {
  if (xorbs.length === 0) return [];
  const right = { right: true };
  const columns = [
    { title: 'XORB' },
    { title: 'TERMS', ...right },
    { title: 'CHUNKS', ...right },
    { title: 'CONTENT', ...right },
    { title: 'STORED', ...right },
  ];
  const rows = xorbs
    .slice(0, MAX_XORB_ROWS)
    .map(({ xorb, terms, chunks, bytes, storedBytes }) => [
      xorb.slice(0, 16),
      String(terms),
      String(chunks),
      formatBytes(bytes),
      formatBytes(storedBytes),
    ]);
  const more = xorbs.length - rows.length;
  return [
    ...tableLines(columns, rows),
    ...(more > 0 ? [`${formatCount(more, 'more xorb')}; --json lists them all`] : []),
  ];
}

function nameOf({ repo, revision, path }: InspectedFile): string {
  return `${path} of ${repoText(repo)}${revision === undefined ? '' : `@${revision}`}`;
}
