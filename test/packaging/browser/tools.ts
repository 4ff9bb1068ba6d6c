import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { required } from './harness.ts';

/** Where `.ci/run` installs bundlers that the project has no use for otherwise. */
const folder = join(process.env.XETKIT_TOOLS ?? join(homedir(), '.cache', 'xetkit'), 'bundlers');

export type Vite = typeof import('vite');

/** As much of webpack as is used. */
export type Webpack = (
  options: object,
  done: (error: Error | null, stats?: { toJson(): Record<keyof Told, { message: string }[]> }) => void,
) => void;

export interface Told {
  errors: string[];
  warnings: string[];
}

/** How to load a bundler; undefined, and told, where it is not installed. */
export async function toolAtHand<T>(name: string): Promise<(() => Promise<T>) | undefined> {
  const package_ = join(folder, 'node_modules', name, 'package.json');
  try {
    await access(package_);
  } catch {
    if (required) throw new Error(`${name} is not installed in ${folder}: .ci/run does that.`);
    console.warn(`MISSING ${name}: nothing is tested with it. .ci/run installs it.`);
    return undefined;
  }
  return async () => {
    const loaded = await import(pathToFileURL(createRequire(package_).resolve(name)).href);
    return (loaded.default ?? loaded) as T;
  };
}
