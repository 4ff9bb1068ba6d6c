import { execFile, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { hasEnded, markIn, ownMark, type ProcessMark } from '../../src/fs/process-mark.node.ts';
import { scratch } from '../support/hub.ts';

const run = promisify(execFile);
const onLinux = process.platform === 'linux';

/** No process has this number: they are smaller. */
const NO_PID = 2 ** 30;

/** A script that prints the mark of the process that runs it. */
async function markScript(): Promise<string> {
  const outfile = join(await scratch(), 'mark.mjs');
  const module = JSON.stringify(fileURLToPath(new URL('../../src/fs/process-mark.node.ts', import.meta.url)));
  await build({
    stdin: {
      contents: `import { ownMark } from ${module}; console.log(JSON.stringify(await ownMark()));`,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
    },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  return outfile;
}

const isPossible = async (command: string, args: string[]) =>
  run(command, args).then(
    () => true,
    () => false,
  );

test('this process runs', async () => {
  expect(await hasEnded(await ownMark())).toBe(false);
  expect(markIn(JSON.parse(JSON.stringify(await ownMark())))).toEqual(await ownMark());
});

test('a process that has exited has ended, also if another one has its number now', async () => {
  const mark = JSON.parse((await run(process.execPath, [await markScript()])).stdout) as ProcessMark;
  expect(mark.machine).toBe((await ownMark()).machine);
  expect(await hasEnded(mark)).toBe(true);
  expect(await hasEnded({ ...mark, pid: process.pid })).toBe(onLinux);
});

test.runIf(onLinux)('a process of which only the exit code is left has ended', async () => {
  // The shell becomes a program that never asks what has become of its child.
  const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60']);
  onTestFinished(() => void parent.kill('SIGKILL'));
  const pid = Number(await new Promise<string>((resolve) => parent.stdout.once('data', (text) => resolve(`${text}`))));
  const started = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[19];
  const mark = { ...(await ownMark()), pid, started: started! };
  while (!(await hasEnded(mark))) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await readFile(`/proc/${pid}/stat`, 'utf8')).toContain(') Z ');
});

test('nothing is said of a process on another machine, or where its numbers mean something else', async () => {
  const mark = { ...(await ownMark()), pid: NO_PID };
  expect(await hasEnded(mark)).toBe(true);
  expect(await hasEnded({ ...mark, machine: 'another' })).toBe(false);
  const { machine: _, ...unknown } = mark;
  expect(await hasEnded(unknown)).toBe(false);
});

test.runIf(onLinux)('a container with the same host name is another place', async (context) => {
  const unshare = ['--pid', '--fork', '--mount-proc'];
  context.skip(!(await isPossible('unshare', [...unshare, 'true'])), 'no namespaces can be made here');
  const { stdout } = await run('unshare', [...unshare, process.execPath, await markScript()]);
  const inside = JSON.parse(stdout) as ProcessMark;
  expect(inside.host).toBe((await ownMark()).host);
  expect(inside.machine).not.toBe((await ownMark()).machine);
  expect(await hasEnded({ ...inside, pid: NO_PID })).toBe(false);
});

test('anything but a mark is none', () => {
  for (const value of [null, 1, 'x', [], {}, { pid: 1 }, { pid: 1.5, host: 'x' }, { pid: 0, host: 'x' }]) {
    expect(markIn(value)).toBeUndefined();
  }
  expect(markIn({ pid: 1, host: 'x', machine: 5, started: {} })).toEqual({ pid: 1, host: 'x' });
});
