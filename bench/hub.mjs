// @ts-check
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} BenchHub
 * @property {string} url
 * @property {(repo: string, files: Record<string, string>, options?: object) => Promise<unknown>} commit files on the disk by their path in the repository
 * @property {(repo: string) => Promise<unknown>} create
 * @property {(shape: { latencyMs?: number, bytesPerSecond?: number }) => Promise<unknown>} shape the network from now on
 * @property {() => Promise<{ requests: Record<string, number>, bytes: number }>} counts since the last call
 * @property {() => Promise<void>} stop
 */

/**
 * Starts a Hub over a folder in a process of its own.
 * @param {string} folder @param {{ casUrl?: string }} [options] @returns {Promise<BenchHub>}
 */
export async function startHub(folder, options = {}) {
  const script = fileURLToPath(new URL('hub-process.mjs', import.meta.url));
  const child = fork(script, [JSON.stringify({ dir: folder, ...options })], { execArgv: [] });
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  let next = 0;
  /** @type {string} */
  const url = await new Promise((resolve, reject) => {
    child.on('message', (/** @type {any} */ message) => {
      if ('ready' in message) return resolve(message.ready);
      const caller = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error === undefined) caller?.resolve(message.value);
      else caller?.reject(new Error(message.error));
    });
    child.on('exit', (code) => {
      const error = new Error(`The Hub ended with code ${code}`);
      reject(error);
      for (const caller of waiting.values()) caller.reject(error);
    });
  });
  /** @param {string} name @param {unknown} [given] @returns {Promise<any>} */
  const ask = (name, given) =>
    new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      child.send({ id, name, given });
    });
  return {
    url,
    commit: (repo, files, options) => ask('commit', { repo, files, options }),
    create: (repo) => ask('create', { repo }),
    shape: (shape) => ask('shape', shape),
    counts: () => ask('counts'),
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.disconnect();
      }),
  };
}
