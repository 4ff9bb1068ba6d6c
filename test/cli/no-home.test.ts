import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { type ForOthers, forOthers } from '../support/for-others.ts';
import { scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

let others: ForOthers;
const built = (name: string) => others.built(name);
const repo = 'owner/model';
/** Nobody has this number. */
const STRANGER = 12_345;

async function asStranger(args: string[], env: Record<string, string> = {}) {
  const child = spawn(others.node, args, {
    uid: STRANGER,
    gid: STRANGER,
    cwd: '/',
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, stdout, stderr };
}

/** Only root may become somebody else. */
describe.skipIf(process.getuid?.() !== 0)('for a user without a home directory', () => {
  let hub: LocalHub;
  let folder: string;
  const files = { 'small.txt': new TextEncoder().encode('hello\n'), 'big.bin': randomBytes(1_500_000, 5) };
  const xetkit = (...args: string[]) => asStranger([built('cli'), ...args], { HF_ENDPOINT: hub.url });

  beforeAll(async () => {
    others = await forOthers();
    const { startLocalHub } = await import('xetkit/local-hub');
    hub = await startLocalHub();
    await hub.commitFiles(repo, files);
    return async () => {
      await hub.close();
      await others.remove();
    };
  });
  const openFolder = async () => {
    folder = await scratch();
    await chmod(folder, 0o777);
    return folder;
  };

  test('what writes to no folder of theirs works', async () => {
    for (const args of [
      ['ls', repo],
      ['hash', built('cli')],
      ['doctor'],
      ['download', repo, '--local-dir', join(await openFolder(), 'x'), '--dry-run'],
    ]) {
      const { code, stderr } = await xetkit(...args);
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
    }
  });

  test('files and snapshots come into a folder that is named', async () => {
    const localDir = join(await openFolder(), 'model');
    expect(await xetkit('download', repo, 'small.txt', '--local-dir', localDir, '--quiet')).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await xetkit('download', repo, '--local-dir', localDir, '--quiet')).toMatchObject({ code: 0, stderr: '' });
    expect(new Uint8Array(await readFile(join(localDir, 'big.bin')))).toEqual(files['big.bin']);
  });

  test('what needs the cache folder says what to set', async () => {
    for (const args of [
      ['download', repo],
      ['cache', 'ls'],
    ]) {
      const { code, stdout, stderr } = await xetkit(...args);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^xetkit: There is no home directory .* Set HF_HOME .*\n$/);
    }
    const home = await openFolder();
    const set = await asStranger([built('cli'), 'download', repo, '--quiet'], { HF_ENDPOINT: hub.url, HF_HOME: home });
    expect(set).toMatchObject({ code: 0, stderr: '' });
  });

  test('a program reads files, and again, without a warning', async () => {
    const script = `
      import { XetClient } from ${JSON.stringify(built('node'))};
      const client = new XetClient({ onWarning: (warning) => console.log(warning) });
      for (let round = 0; round < 2; round++) {
        const file = await client.open({ repo: '${repo}', path: 'big.bin' });
        console.log((await file.read(1000, 3000)).length);
      }
      await client.snapshot({ repo: '${repo}' }).catch(({ code }) => console.log(code));
      await client.close();`;
    const { code, stdout, stderr } = await asStranger(['--input-type=module', '-e', script], { HF_ENDPOINT: hub.url });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '2000\n2000\nCACHE\n', stderr: '' });
  });
});
