import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../scripts/reference-cas.mjs';
import { hfPath, run, tools } from '../interop/tools.ts';

const command = join(tools, 'cargo', 'bin', 'shardline');

/** Defines tests where all is there that they need; else says what is not, which fails in CI. */
function where(needed: string, install: string, define: () => void): void {
  if (existsSync(needed)) {
    define();
    return;
  }
  console.warn(`NOT TESTED with shardline: there is no ${needed}. Install it with: ${install}`);
  test.skipIf(!process.env.CI)(`${needed} is installed`, () => expect(existsSync(needed)).toBe(true));
}

export const withShardline = (define: () => void): void =>
  where(command, 'cargo install shardline --locked --root …', define);

export const withPython = (define: () => void): void =>
  where(hfPath, 'python3 -m venv … && pip install huggingface_hub hf_xet', define);

export interface Shardline {
  url: string;
  /** A token for one repository, as shardline has no others. */
  token(repo: string, scope?: 'read' | 'write'): Promise<string>;
  stop(): Promise<void>;
}

/** shardline with its Hub and its CAS in one process, over a folder that goes with it. */
export async function startShardline(): Promise<Shardline> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-shardline-'));
  await mkdir(join(folder, 'data'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    // It looks for configurations of the user's.
    HOME: folder,
    SHARDLINE_BIND_ADDR: `127.0.0.1:${port}`,
    SHARDLINE_PUBLIC_BASE_URL: url,
    SHARDLINE_ROOT_DIR: join(folder, 'data'),
    SHARDLINE_TOKEN_SIGNING_KEY: 'a key that is good for tests only',
    // Without one it does not start, though there are no webhooks here.
    SHARDLINE_HUB_WEBHOOK_SECRET_KEY: 'thirty-two bytes, for tests only',
    RUST_LOG: 'warn',
  };
  const child = spawn(command, ['serve', '--frontend', 'xet,hub'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const hear = (chunk: Buffer) => {
    said = (said + chunk).slice(-10_000);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise<'ended'>((resolve) => {
    child.once('exit', () => resolve('ended'));
    child.once('error', (error) => {
      said += error.message;
      resolve('ended');
    });
  });
  for (;;) {
    const answer = await Promise.race([fetch(`${url}/readyz`).catch(() => undefined), ended]);
    if (answer === 'ended') throw new Error(`shardline does not run: ${said}`);
    if (answer?.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    token: async (repo, scope = 'write') => {
      const [owner = '', name = ''] = repo.replace(/^(datasets|spaces)\//, '').split('/');
      const claims = ['--issuer', 'tests', '--subject', 'tester', '--provider', 'generic', '--scope', scope];
      const where = ['--owner', owner, '--repo', name, '--key-env', 'SHARDLINE_TOKEN_SIGNING_KEY'];
      const { code, stdout, stderr } = await run(command, ['admin', 'token', ...claims, ...where], {
        env,
        cwd: folder,
      });
      if (code !== 0) throw new Error(`shardline gives no token: ${stderr}`);
      return stdout.trim();
    },
    stop: async () => {
      // It waits for connections that clients keep, and there is nothing here to be kept.
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
