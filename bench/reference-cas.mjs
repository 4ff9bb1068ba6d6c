// @ts-check
// HF's own CAS server: content only, no repositories, no tokens.
import { spawn, spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';

const STORE = `
import sys, hf_xet
commit = hf_xet.XetSession().new_upload_commit(endpoint=sys.argv[1], token="none", token_expiry_unix_secs=2**33)
commit.start_upload_file(sys.argv[2])
commit.wait_to_finish()
`;

/** @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });

/** @param {string} command @param {string} folder */
export async function startReferenceCas(command, folder) {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(command, ['--host', '127.0.0.1', '--port', String(port), '--data-directory', folder], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (let tries = 0; !(await fetch(`${url}/health`).catch(() => undefined))?.ok; tries++) {
    if (tries > 200 || child.exitCode !== null) throw new Error('local_cas_server does not answer');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    /** Stores a file there, by the native client. @param {string} python @param {string} file */
    store: async (python, file) => {
      const { status, stderr } = spawnSync(python, ['-c', STORE, url, file], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`${file} cannot be stored: ${stderr.slice(-500)}`);
    },
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}
