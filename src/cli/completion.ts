import { Argument, type Command } from 'commander';
import { writeOut } from './streams.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** One command of the program, by the words that lead to it. */
interface Node {
  /** Without the program's own name; empty for the program. */
  words: string[];
  about: string;
  /** Those below it, and what they are for. */
  commands: [string, string][];
  /** Long and short flags, and what they are for. */
  flags: [string, string][];
}

/** Adds `completion` to the command line. It writes what it finds there, so it is added last. */
export function addCompletionCommand(root: Command): void {
  root
    .command('completion')
    .summary('print shell completions')
    .description('Print completions of commands and options for a shell.')
    .addArgument(new Argument('<shell>', 'shell').choices(SHELLS))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  xetkit completion bash > ~/.local/share/bash-completion/completions/xetkit\n' +
        '  xetkit completion zsh > ~/.zfunc/_xetkit        # with ~/.zfunc in fpath\n' +
        '  xetkit completion fish > ~/.config/fish/completions/xetkit.fish',
    )
    .action((shell: Shell) => writeOut(WRITE[shell](nodesOf(root))));
}

function nodesOf(command: Command, words: string[] = []): Node[] {
  const flags = command.createHelp().visibleOptions(command);
  return [
    {
      words,
      about: command.summary() || command.description(),
      commands: command.commands.map((each) => [each.name(), each.summary() || each.description()]),
      flags: flags.flatMap(({ long, short, description }) =>
        [long, short].filter((flag) => flag != null).map((flag): [string, string] => [flag, description]),
      ),
    },
    ...command.commands.flatMap((each) => nodesOf(each, [...words, each.name()])),
  ];
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
const names = (pairs: [string, string][]) => pairs.map(([name]) => name).join(' ');

const WRITE: Record<Shell, (nodes: Node[]) => string> = {
  bash: (nodes) =>
    [
      '# Completions of xetkit for bash',
      '_xetkit() {',
      `  local current="\${COMP_WORDS[COMP_CWORD]}" at="" word words`,
      `  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
      '    case "$at $word" in',
      ...nodes
        .filter(({ words }) => words.length > 0)
        .map(
          ({ words }) =>
            `      ${quoted(`${words.slice(0, -1).join(' ')} ${words.at(-1)}`)}) at=${quoted(words.join(' '))} ;;`,
        ),
      '    esac',
      '  done',
      '  case "$at" in',
      ...nodes.map(
        ({ words, commands, flags }) =>
          `    ${quoted(words.join(' '))}) words=${quoted([names(commands), names(flags)].filter(Boolean).join(' '))} ;;`,
      ),
      '  esac',
      '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
      '}',
      '# Where nothing of ours fits, files do.',
      'complete -o default -F _xetkit xetkit',
      '',
    ].join('\n'),

  zsh: (nodes) =>
    [
      '#compdef xetkit',
      '# Completions of xetkit for zsh',
      '_xetkit() {',
      '  local at="" word',
      '  local -a found',
      `  for word in "\${(@)words[2,CURRENT-1]}"; do`,
      '    case "$at $word" in',
      ...nodes
        .filter(({ words }) => words.length > 0)
        .map(
          ({ words }) =>
            `      (${quoted(`${words.slice(0, -1).join(' ')} ${words.at(-1)}`)}) at=${quoted(words.join(' '))} ;;`,
        ),
      '    esac',
      '  done',
      '  case "$at" in',
      ...nodes.map(({ words, commands, flags }) => {
        const described = [...commands, ...flags].map(([name, about]) =>
          quoted(`${name}:${about.replaceAll(':', '\\:')}`),
        );
        return `    (${quoted(words.join(' '))}) found=(${described.join(' ')}) ;;`;
      }),
      '  esac',
      "  _describe -o 'xetkit' found",
      '  _files',
      '}',
      '_xetkit "$@"',
      '',
    ].join('\n'),

  fish: (nodes) =>
    [
      '# Completions of xetkit for fish',
      ...nodes.flatMap(({ words, commands, flags }) => {
        const [last] = words.slice(-1);
        // Of 'cache ls' only what is below it; of the program only while no command is given.
        const when =
          last === undefined
            ? '__fish_use_subcommand'
            : words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
        return [
          ...commands.map(([name, about]) => `complete -c xetkit -n ${quoted(when)} -a ${name} -d ${quoted(about)}`),
          ...flags.map(([flag, about]) => {
            const named = flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
            return `complete -c xetkit -n ${quoted(when)} ${named} -d ${quoted(about)}`;
          }),
        ];
      }),
      '',
    ].join('\n'),
};
