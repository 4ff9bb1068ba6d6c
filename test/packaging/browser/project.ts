import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

// A project as a user has it: some files of its own, and the packed package in node_modules.

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const app = fileURLToPath(new URL('./app', import.meta.url));

/** What a module imports the package by where nothing resolves names of packages. */
export const PACKAGE_PATH = '/node_modules/xetkit/dist/index.js';

/** Packs the package once, and gives the folder that it unpacks to. */
export async function packPackage(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const scratch = await mkdtemp(join(tmpdir(), 'xetkit-pack-'));
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', scratch], { cwd: root });
  const [tarball = ''] = (await readdir(scratch)).filter((name) => name.endsWith('.tgz'));
  await run('tar', ['-xzf', join(scratch, tarball), '-C', scratch]);
  return { folder: join(scratch, 'package'), remove: () => rm(scratch, { recursive: true, force: true }) };
}

/** An empty project with the package in it. */
export async function makeProject(packed: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-project-'));
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  await mkdir(join(folder, 'node_modules'));
  await cp(packed, join(folder, 'node_modules/xetkit'), { recursive: true });
  return folder;
}

/** Copies the app into a folder, with another address for the package where names mean nothing. */
export async function copyApp(folder: string, specifier = 'xetkit'): Promise<void> {
  await cp(app, folder, { recursive: true });
  for (const name of await readdir(app, { recursive: true })) {
    if (!name.endsWith('.mjs')) continue;
    const source = await readFile(join(app, name), 'utf8');
    await writeFile(
      join(folder, name),
      source.replaceAll("from 'xetkit'", () => `from '${specifier}'`),
    );
  }
}

/** A page that runs one module, or a script as there were before modules. */
export function htmlFor(script: string, type: 'module' | 'classic' = 'module'): string {
  const attributes = type === 'module' ? 'type="module"' : 'defer';
  return `<!doctype html>\n<meta charset="utf-8">\n<title>xetkit</title>\n<script ${attributes} src="${script}"></script>\n`;
}

export const removeFolder = (folder: string) => rm(folder, { recursive: true, force: true, maxRetries: 3 });
