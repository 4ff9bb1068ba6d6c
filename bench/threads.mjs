// @ts-check
// CPU seconds per gigabyte, by thread, of a download to a file over loopback (Linux). Prints a line of JSON.
//   node bench/threads.mjs [megabytes] [client options as JSON]
import { createHash } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process, { argv, pid } from 'node:process';
import { XetClient } from 'xetkit';
import { startHub } from './hub.mjs';

const TICKS_PER_SECOND = 100;
const MIB = 1024 * 1024;

/** CPU seconds of each thread of this process so far. */
async function cpuByThread() {
  /** @type {Map<number, number>} */
  const seconds = new Map();
  for (const id of await readdir('/proc/self/task')) {
    const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8').catch(() => undefined);
    // The name, in brackets, may hold anything.
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields) seconds.set(Number(id), (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND);
  }
  return seconds;
}

/** Floats of a narrow range, as weights are: about four fifths are left of them. @param {string} path @param {number} megabytes */
async function writeWeights(path, megabytes) {
  const file = await open(path, 'w');
  const hash = createHash('sha256');
  let state = 1;
  for (let index = 0; index < megabytes; index++) {
    const floats = new Float32Array(MIB / 4);
    for (let at = 0; at < floats.length; at++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      floats[at] = (state / 2 ** 32 - 0.5) * 0.04;
    }
    const bytes = new Uint8Array(floats.buffer);
    hash.update(bytes);
    await file.write(bytes);
  }
  await file.close();
  return hash.digest('hex');
}

const megabytes = Number(argv[2] ?? 512);
const options = JSON.parse(argv[3] ?? '{}');
const folder = await mkdtemp(join(tmpdir(), 'xetkit-threads-'));
const hub = await startHub(join(folder, 'hub'));
try {
  const path = 'weights.bin';
  const source = join(folder, path);
  const right = await writeWeights(source, megabytes);
  await hub.commit('owner/model', { [path]: source }, { xet: 'always' });
  const client = new XetClient({
    endpoint: hub.url,
    accessToken: '',
    cacheDir: join(folder, 'cache'),
    recipes: false,
    ...options,
  });
  const before = await cpuByThread();
  const started = performance.now();
  const { localPath } = await client.downloadFile({ repo: 'owner/model', path, localDir: join(folder, 'out') });
  const seconds = (performance.now() - started) / 1000;
  const after = await cpuByThread();
  const { codec, requests } = client.metrics();
  const peakMegabytes = Math.round(process.resourceUsage().maxRSS / 1024);
  await client.close();
  if (
    createHash('sha256')
      .update(await readFile(localPath))
      .digest('hex') !== right
  )
    throw new Error('Wrong content');
  const gigabytes = (megabytes * MIB) / 1e9;
  const used = [...after].map(([id, cpu]) => ({ id, cpu: (cpu - (before.get(id) ?? 0)) / gigabytes }));
  const per = (/** @type {number} */ cpu) => Number(cpu.toFixed(3));
  console.log(
    JSON.stringify({
      options,
      megabytes,
      seconds: per(seconds),
      gbPerSecond: per(gigabytes / seconds),
      callingThread: per(used.find(({ id }) => id === pid)?.cpu ?? 0),
      otherThreads: used
        .filter(({ id, cpu }) => id !== pid && cpu > 0.01)
        .map(({ cpu }) => per(cpu))
        .sort((a, b) => b - a),
      all: per(used.reduce((sum, { cpu }) => sum + cpu, 0)),
      peakMegabytes,
      codec,
      requests,
    }),
  );
} finally {
  await hub.stop();
  await rm(folder, { recursive: true, force: true });
}
