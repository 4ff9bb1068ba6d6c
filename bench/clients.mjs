// @ts-check
// Who is measured, and how one measured run of theirs is started: always a process of its own.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { env, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { root } from './tools.mjs';

/** @typedef {'xetkit' | 'native' | 'hub-js'} ClientName */

/**
 * What a run measured; `wallSeconds` is the whole life of its process, all else is about the work alone.
 * @typedef {{ seconds: number, cpuSeconds: number, peakBytes: number, wallSeconds: number, size?: number, latencies?: number[], [more: string]: unknown }} Measured
 */

/** Where a run finds the Hub, and the folder that is its whole memory of earlier runs. @typedef {{ url: string, home: string }} Place */

/**
 * @typedef {object} Client
 * @property {ClientName} name
 * @property {(place: Place, job: Record<string, unknown>) => Promise<Measured | undefined>} run nothing where it cannot do that
 * @property {((place: Place, repo: string, path: string) => Promise<number>) | undefined} command the seconds that its command takes to download a file
 */

const MAX_RUN_MS = 10 * 60_000;

/** @param {string} name */
const runner = (name) => fileURLToPath(new URL(`runners/${name}`, import.meta.url));

/** @param {Place} place @returns {NodeJS.ProcessEnv} */
const environment = ({ url, home }) => ({
  PATH: env.PATH,
  HOME: home,
  TMPDIR: env.TMPDIR,
  HF_ENDPOINT: url,
  HF_HOME: home,
  HF_HUB_CACHE: join(home, 'hub'),
  HF_TOKEN: 'hf_local',
  HF_HUB_DISABLE_PROGRESS_BARS: '1',
  HF_HUB_DISABLE_TELEMETRY: '1',
  DO_NOT_TRACK: '1',
  NO_COLOR: '1',
});

/** @param {string} command @param {string[]} args @param {NodeJS.ProcessEnv} environment */
function start(command, args, environment) {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: MAX_RUN_MS,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const wallSeconds = (performance.now() - started) / 1000;
      if (code === 0) resolve({ stdout, wallSeconds });
      else
        reject(new Error(`${command} ${args.join(' ').slice(0, 200)} ended with code ${code}: ${stderr.slice(-800)}`));
    });
  });
}

/**
 * @param {string} command @param {string[]} args @param {Record<string, string>} more
 * @returns {Client['run']}
 */
const runsJobs =
  (command, args, more = {}) =>
  async (place, job) => {
    const { stdout, wallSeconds } = await start(command, [...args, JSON.stringify(job)], {
      ...environment(place),
      ...more,
    });
    const measured = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}');
    return measured.unsupported ? undefined : { ...measured, wallSeconds };
  };

/** @param {string} command @param {string[]} args @returns {Client['command']} */
const runsCommand = (command, args) => async (place, repo, path) => {
  const { wallSeconds } = await start(command, [...args, 'download', repo, path], environment(place));
  return wallSeconds;
};

/** @param {import('./tools.mjs').Tools} tools @returns {Client[]} */
export function findClients(tools) {
  /** What it does in a page, where there is a browser, and all else in Node. @param {ClientName} name @param {Client['run']} inNode @returns {Client['run']} */
  const alsoInPages = (name, inNode) => {
    const more = { BENCH_WHO: name, BENCH_MODULES: tools.modules ?? root, CHROMIUM: tools.chromium ?? '' };
    const inPage = tools.chromium ? runsJobs(execPath, [runner('chromium.mjs')], more) : async () => undefined;
    return (place, job) => (job.work === 'page' ? inPage : inNode)(place, job);
  };
  /** @type {Client[]} */
  const clients = [
    {
      name: 'xetkit',
      run: alsoInPages('xetkit', runsJobs(execPath, [runner('xetkit.mjs')])),
      command: runsCommand(execPath, [join(root, 'dist', 'cli.js')]),
    },
  ];
  if (tools.python) {
    clients.push({
      name: 'native',
      run: runsJobs(tools.python, [runner('native.py')]),
      command: tools.hf ? runsCommand(tools.hf, []) : undefined,
    });
  }
  if (tools.modules) {
    clients.push({
      name: 'hub-js',
      run: alsoInPages('hub-js', runsJobs(execPath, [runner('hub-js.mjs')], { BENCH_MODULES: tools.modules })),
      command: undefined,
    });
  }
  return clients;
}
