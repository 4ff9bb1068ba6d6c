import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { scratchFolder } from './scratch.ts';

export interface Child {
  kill(signal: NodeJS.Signals): void;
  /** Asks it to end, and gives what it said. */
  stop(): Promise<{ code: number | null; output: string }>;
}

/** Processes that use one folder as a recipe store, for as long as they are let. */
export async function startChildren(folder: string, count: number): Promise<Child[]> {
  const outfile = join(await scratchFolder(), 'child.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('./recipe-child.ts', import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  return Promise.all(Array.from({ length: count }, (_, index) => start(outfile, folder, index)));
}

async function start(script: string, folder: string, index: number): Promise<Child> {
  const child: ChildProcess = spawn(process.execPath, [script, folder, String(index)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  const ended = once(child, 'close');
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (output += text));
  await once(child.stdout!, 'data');
  return {
    kill: (signal) => void child.kill(signal),
    stop: async () => {
      child.stdin?.end();
      await ended;
      return { code: child.exitCode, output };
    },
  };
}
