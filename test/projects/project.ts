import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Project {
  folder: string;
  /** Runs a command there, as somebody whose machine knows nothing of Hub clients. Rejects if it fails. */
  run(command: string, args: string[], env?: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }>;
  write(path: string, text: string): Promise<void>;
  remove(): Promise<void>;
}

/** A new project in an empty folder, with nothing in it but the packed package. */
export async function newProject(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-project-'));
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: root });
  const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--silent', join(folder, tarball)], {
    cwd: folder,
  });
  return {
    folder,
    run: (command, args, env) =>
      run(command, args, {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: folder, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...env },
      }),
    write: (path, text) => writeFile(join(folder, path), text),
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}
