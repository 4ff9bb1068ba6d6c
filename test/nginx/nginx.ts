import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { freePort } from '../../scripts/reference-cas.mjs';
import { scratch } from '../support/hub.ts';

const published = fileURLToPath(new URL('../../examples/nginx/xorb-cache.conf', import.meta.url));

function nginxCommand(): string {
  const command = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/bin/nginx'].find((path) => existsSync(path));
  if (!command) throw new Error('These tests need nginx. Install it with: apt-get install nginx-light');
  return command;
}

/** What of the published file is different here. Each must be in it, once. */
function adapted(config: string, changes: [string, string][]): string {
  return changes.reduce((text, [from, to]) => {
    if (text.split(from).length !== 2) throw new Error(`'${from}' is not in ${published} once.`);
    return text.replace(from, () => to);
  }, config);
}

export interface RunningNginx {
  url: string;
  /** The folder that holds what is cached. */
  cache: string;
}

/** nginx with the published configuration in front of a Hub that is served over plain HTTP, until the test is over. */
export async function startNginx(hub: URL): Promise<RunningNginx> {
  const command = nginxCommand();
  const folder = await scratch();
  const port = await freePort();
  const cache = join(folder, 'cache');
  await mkdir(cache);
  const config = adapted(await readFile(published, 'utf8'), [
    ['/var/cache/nginx/xorbs', cache],
    ['listen 8080;', `listen 127.0.0.1:${port};`],
    ['# A local Hub, by address and port: 10.0.0.5:8080 http;', `${hub.host} http;`],
  ]);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  const main = [
    // Its workers must be able to write where this test can.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'daemon off;',
    'worker_processes 2;',
    `pid ${folder}/nginx.pid;`,
    'error_log stderr warn;',
    'events { worker_connections 512; }',
    'http {',
    'access_log off;',
    ...temporary,
    config,
    '}',
  ];
  const path = join(folder, 'nginx.conf');
  await writeFile(path, main.join('\n'));
  const child = spawn(command, ['-p', folder, '-e', 'stderr', '-c', path], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    const answer = await Promise.race([fetch(url).catch(() => undefined), ended.then(() => 'ended' as const)]);
    if (answer === 'ended') throw new Error(`nginx does not run: ${said}`);
    if (answer) return { url, cache };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
