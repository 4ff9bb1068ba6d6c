import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run } from '../interop/tools.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const xetkit = async (...args: string[]) => {
  const { code, stdout, stderr } = await run(process.execPath, [command, ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};
const commandsOf = (help: string) =>
  Array.from((help.split('Commands:\n')[1] ?? '').matchAll(/^ {2}([a-z]+) /gm), ([, name = '']) => name).filter(
    (name) => name !== 'help',
  );

test('every command teaches by an example', async () => {
  const names = commandsOf(await xetkit('--help'));
  expect(names).toEqual(
    expect.arrayContaining(['download', 'upload', 'ls', 'hash', 'cache', 'serve', 'doctor', 'completion']),
  );
  const helps = await Promise.all(names.map(async (name) => [name, await xetkit(name, '--help')] as const));
  for (const [name, help] of helps) {
    if (name !== 'cache') expect(help, name).toMatch(new RegExp(`Examples?:[\\s\\S]*xetkit ${name}`));
  }
});

const bash = async (words: string[]) => {
  const script = await xetkit('completion', 'bash');
  const ask = `COMP_WORDS=(xetkit ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _xetkit; echo "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await run('bash', ['-c', `${script}\n${ask}`]);
  expect(stderr).toBe('');
  return stdout.trim().split(' ');
};

test('bash completes commands, those below them, and options', async () => {
  expect(await bash(['do'])).toEqual(['download', 'doctor']);
  expect(await bash(['cache', 'pr'])).toEqual(['prune']);
  expect(await bash(['cache', 'prune', '--max'])).toEqual(['--max-size']);
  expect(await bash(['download', 'owner/cache', '--inc'])).toEqual(['--include']);
  expect(await bash(['download', 'own'])).toEqual(['']);
});

test('zsh and fish get the same words, with what they are for', async () => {
  const zsh = await xetkit('completion', 'zsh');
  const fish = await xetkit('completion', 'fish');
  expect(zsh).toMatch(/^#compdef xetkit\n/);
  for (const word of ['download', 'prune', 'doctor']) {
    expect(zsh).toContain(`'${word}:`);
    expect(fish).toContain(`-a ${word} -d '`);
  }
  expect(zsh).toContain("'--local-dir:");
  expect(fish).toMatch(/__fish_seen_subcommand_from download' -l local-dir -d '/);
});
