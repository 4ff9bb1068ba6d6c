import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { scratch } from '../support/hub.ts';
import { expectNoSecrets, HUB_TOKEN } from './hygiene.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export interface Ended {
  /** Exit code; null where a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Child {
  process: ChildProcess;
  ended: Promise<Ended>;
}

/**
 * Starts a script of Node as a process of its own, with nothing of this one's environment but what it needs.
 * @param under a command that runs another one, before Node and its arguments.
 */
export async function startNode(
  args: string[],
  env: Record<string, string> = {},
  under: readonly string[] = [],
): Promise<Child> {
  const home = await scratch();
  const [command = '', ...rest] = [...under, process.execPath, ...args];
  const child = spawn(command, rest, {
    env: { PATH: process.env.PATH, HOME: home, HF_HOME: join(home, 'hf'), HF_TOKEN: HUB_TOKEN, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // A test that fails must not leave it behind.
  onTestFinished(() => void child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      try {
        expectNoSecrets(stdout, stderr);
        resolve({ code, signal, stdout, stderr });
      } catch (error) {
        reject(error);
      }
    });
  });
  // The error reaches whoever waits for the end; a test that ends earlier has nobody who does.
  ended.catch(() => undefined);
  return { process: child, ended };
}

export const startCli = (hub: { url: string }, args: string[], env: Record<string, string> = {}) =>
  startNode([CLI, ...args], { HF_ENDPOINT: hub.url, ...env });

/** The objects that `--json` printed: one a file, and the summary. */
export function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Resolves as soon as the condition holds, or the process has ended. */
export async function until(condition: () => boolean, child?: Child): Promise<void> {
  let over = false;
  child?.ended.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  while (!over && !condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
