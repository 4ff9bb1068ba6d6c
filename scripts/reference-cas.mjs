// @ts-check
// HF's own CAS server, for tests and benchmarks: content only, no repositories, no tokens.
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';

/** A port that nobody listens to just now. @returns {Promise<number>} */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });

/**
 * Starts it on a free port.
 * @param {string} command where it is @param {string} folder for what it keeps; made if it is not there
 */
export async function startReferenceCas(command, folder) {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(command, ['--host', '127.0.0.1', '--port', String(port), '--data-directory', folder], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (let tries = 0; !(await fetch(`${url}/health`).catch(() => undefined))?.ok; tries++) {
    if (child.exitCode !== null) throw new Error(`local_cas_server ended with code ${child.exitCode}`);
    if (tries > 200) throw new Error('local_cas_server does not answer');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}
