// @ts-check
// `npm run bench`: xetkit, and the other clients as far as they are here. `npm run bench:peers` installs them first, and
// measures more. See bench/README.md.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { XetClient } from 'xetkit';
import { findClients } from './clients.mjs';
import { startHub } from './hub.mjs';
import { describeMachine } from './machine.mjs';
import { writeReport } from './report.mjs';
import { prepare, SIZES } from './repositories.mjs';
import { findTools, installPeers, root } from './tools.mjs';
import { ALL_WORKS, QUICK_WORKS } from './works.mjs';

const USAGE = `npm run bench [-- OPTIONS]        npm run bench:peers [-- OPTIONS]

  --only TEXT    only works with this in their name (may be repeated)
  --client NAME  only xetkit, native or hub-js (may be repeated)
  --rounds N     turns of each client (default 3, with peers 5)
  --minutes N    starts nothing new after that; what was measured is reported
  --all          also those works that the quick run leaves out
  --long         with a file of 4 GB
  --out DIR      where results go (default bench/results)
  --print        writes no files`;

const { values } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    client: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    all: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    out: { type: 'string' },
    print: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}

const { peers } = values;
const tell = (/** @type {string} */ text) => process.stderr.write(`${text}\n`);
if (peers) installPeers();
const tools = findTools();
const clients = findClients(tools).filter(({ name }) => values.client?.includes(name) ?? true);
const all = peers || values.all || values.long;
const works = (all ? ALL_WORKS : QUICK_WORKS).filter(
  ({ name }) => values.only?.some((part) => name.includes(part)) ?? true,
);
const sizes = SIZES[values.long ? 'long' : all ? 'peers' : 'quick'];
const work = env.XETKIT_BENCH ?? join(tmpdir(), 'xetkit-bench');
await mkdir(work, { recursive: true });
const { hubFolder, files } = await prepare(work, sizes, tools, tell);
const scratch = await mkdtemp(join(work, 'run-'));
const hub = await startHub(hubFolder);
const started = new Date();

/** @type {Record<string, Record<string, import('./works.mjs').Entry[]>>} */
const results = {};
const uploads = 'upload' in XetClient.prototype;
try {
  const bench = {
    clients,
    hub,
    files,
    sizes,
    scratch,
    rounds: Number(values.rounds ?? (peers ? 5 : 3)),
    tools,
    uploads,
    until: started.getTime() + Number(values.minutes ?? Number.POSITIVE_INFINITY) * 60_000,
    tell,
    /** @type {import('./works.mjs').Bench['note']} */
    note: (name, client, entry) => {
      results[name] ??= {};
      const of = results[name];
      of[client] ??= [];
      of[client]?.push(entry);
      const rate = entry.size && entry.seconds ? ` ${(entry.size / 1e6 / entry.seconds).toFixed(0)} MB/s` : '';
      tell(`${name.padEnd(40)} ${client.padEnd(7)} ${entry.seconds.toFixed(3).padStart(8)} s${rate}`);
    },
  };
  for (const { name, run } of works) {
    if (Date.now() < bench.until) await run(bench);
    else tell(`${name}: left out, as the time is up`);
  }
} finally {
  await hub.stop();
  await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
}

const report = {
  date: started.toISOString().slice(0, 10),
  machine: describeMachine(),
  minutes: (Date.now() - started.getTime()) / 60_000,
  versions: tools.versions,
  mode: peers ? 'peers' : all ? 'all' : 'quick',
  rounds: values.rounds,
  sizes: Object.fromEntries(Object.entries(files).map(([name, { bytes }]) => [name, bytes])),
  results,
};
await writeReport(report, values.print ? undefined : (values.out ?? join(root, 'bench', 'results')));
