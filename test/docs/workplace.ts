import { spawn } from 'node:child_process';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LocalHub } from 'xetkit/local-hub';
import { scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { root } from './blocks.ts';

/** What the repositories of the guides hold. */
export const MODEL = {
  'config.json': new TextEncoder().encode('{ "hidden_size": 8 }\n'),
  'model.safetensors': safetensors(1_200_000),
  'model.gguf': gguf(),
  'model.onnx': randomBytes(300_000, 8),
  'README.md': new TextEncoder().encode('# A model\n'),
};

function safetensors(bytes: number): Uint8Array {
  const header = JSON.stringify({ weight: { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] } });
  const text = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
  const size = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
  return Buffer.concat([size, text, randomBytes(bytes, 9)]);
}

/** No tensors, and one key. */
function gguf(): Uint8Array {
  const number = (value: bigint) => new Uint8Array(new BigUint64Array([value]).buffer);
  const text = (value: string) => [number(BigInt(value.length)), new TextEncoder().encode(value)];
  const [version, string] = [Uint8Array.of(3, 0, 0, 0), Uint8Array.of(8, 0, 0, 0)];
  const start = [new TextEncoder().encode('GGUF'), version, number(0n), number(1n)];
  return Buffer.concat([...start, ...text('general.architecture'), string, ...text('llama')]);
}

export async function seedForGuides(hub: LocalHub): Promise<void> {
  await hub.commitFiles('owner/model', MODEL);
  await hub.commitFiles('openai-community/gpt2', { 'config.json': MODEL['config.json'] });
  await hub.commitFiles('datasets/owner/data', { 'train/0.parquet': randomBytes(400_000, 10) });
}

/** An empty project with the package installed, the command at hand, and the files that guides speak of. */
export async function workplace(): Promise<string> {
  const folder = await scratch();
  await mkdir(join(folder, 'node_modules'));
  await symlink(root, join(folder, 'node_modules/xetkit'), 'junction');
  await symlink(join(root, 'node_modules/@huggingface'), join(folder, 'node_modules/@huggingface'), 'junction');
  await mkdir(join(folder, 'bin'));
  const command = join(folder, 'bin/xetkit');
  await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'test/docs/command.mjs')}' "$@"\n`);
  await chmod(command, 0o755);
  await mkdir(join(folder, 'repositories/owner/model'), { recursive: true });
  await writeFile(join(folder, 'repositories/owner/model/config.json'), '{}\n');
  await mkdir(join(folder, 'checkpoint'));
  await writeFile(join(folder, 'checkpoint/weights.bin'), randomBytes(200_000, 12));
  await mkdir(join(folder, 'my-model'));
  await writeFile(join(folder, 'my-model/model.safetensors'), randomBytes(500_000, 11));
  await writeFile(join(folder, 'my-model/config.json'), '{}\n');
  await writeFile(join(folder, 'model.safetensors'), MODEL['model.safetensors']);
  return folder;
}

export interface Ran {
  code: number | null;
  /** What it said, on both ways. */
  said: string;
}

/** Runs something there, against a Hub. */
export function runThere(folder: string, command: string, args: string[], hub: LocalHub): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const env = {
      PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
      HOME: folder,
      HF_HOME: join(folder, 'hf'),
      HF_ENDPOINT: hub.url,
      HF_TOKEN: 'hf_local',
      NO_COLOR: '1',
    };
    const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    const hear = (chunk: Buffer) => {
      said += chunk;
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, said }));
  });
}
