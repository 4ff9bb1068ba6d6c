import { readFile } from 'node:fs/promises';
import { inspect } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { isXetError, type XetClient, type XetClientOptions } from 'xetkit';
import type { FaultRule, LocalHub } from 'xetkit/local-hub';
import { contentUnder, scratch, sha256 } from '../support/hub.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { FAULTS, type FaultName, faultAction } from './catalogue.ts';
import { Draw } from './draw.ts';
import { expectation } from './expectations.ts';
import { attempt, blindFetch, type Outcome, privateHub, told } from './harness.ts';
import { expectNoSecretsIn, watchHygiene } from './hygiene.ts';
import { SCENARIOS } from './scenarios.ts';

watchHygiene();

const BATCHES = 10;
const RUNS_PER_BATCH = 40;
/** Runs in which at least one fault was met; the others do not count. */
const COUNTED_RUNS = 300;
const ATTEMPTS = 4;
const FOR_EVER = 1e9;
/** Runs one seed only: `FAULTS_SEED=1234 npm run test:faults -- random`. */
const ONLY = process.env.FAULTS_SEED === undefined ? undefined : Number(process.env.FAULTS_SEED);

const REPO = 'owner/model';
const noise = randomBytes(900_000, 91);
const model = weights(2, 92);
const files: Record<string, Uint8Array> = {
  'config.json': text(300, 93),
  'empty.bin': new Uint8Array(),
  'tiny.bin': randomBytes(50, 94),
  'noise.bin': noise,
  'model.safetensors': model,
  'text.bin': Buffer.concat([Uint8Array.of(0), text(1_200_000, 95)]),
  'patchwork.bin': Buffer.concat([
    model.subarray(600_000, 1_400_000),
    text(150_000, 96),
    noise.subarray(200_000, 700_000),
    model.subarray(0, 900_000),
    model.subarray(600_000, 1_400_000),
  ]),
};

/** The requests that a thing to do consists of, as often as they matter. */
const KINDS = {
  xet: ['xorb', 'xorb', 'xorb', 'xorb', 'reconstruction', 'reconstruction', 'token', 'resolve', 'any'],
  http: ['bridge', 'bridge', 'bridge', 'resolve', 'any'],
  git: ['resolve-cache', 'resolve-cache', 'resolve', 'revision', 'paths-info', 'any'],
  list: ['tree', 'tree', 'any'],
} as const;

/** Faults after which the same request, asked again, gets the right answer; only their number decides. */
const PASSING = new Set<FaultName>(
  FAULTS.filter(
    (fault) => !['401', '403 expired', '404', '416', 'corrupt byte', 'garbage JSON', 'oversize JSON'].includes(fault),
  ),
);

type Drawn = FaultRule & { name: FaultName; times: number };

function drawRule(draw: Draw, kinds: readonly Drawn['kind'][]): Drawn {
  const name = draw.pick(FAULTS);
  const kind = draw.pick(kinds);
  const afterBytes = draw.pick([0, 1, draw.whole(2, 400), draw.whole(400, 5000), draw.whole(5000, 600_000)]);
  const body = {
    midBytes: afterBytes,
    stuckBytes: afterBytes,
    corruptOffset: draw.pick([0, draw.whole(0, 300), draw.whole(0, 50_000), draw.whole(0, 800_000)]),
    limitBytes: draw.whole(1, 200_000),
    bytesPerSecond: draw.whole(1_000_000, 5_000_000),
  };
  const times = draw.pick([1, 1, 1, 2, 3, FOR_EVER]);
  return { name, kind, times, after: draw.pick([0, 0, 0, 0, 1, 2, 5]), ...faultAction(name, body, 'always') };
}

function drawClient(draw: Draw): XetClientOptions {
  return {
    workers: draw.pick([0, 0, 0, 1, 2]),
    concurrency: draw.pick([1, 2, 8, 'auto'] as const),
    memoryBudget: draw.pick([16, 64, 256]) * 1024 * 1024,
    fallback: draw.pick(['http', 'never'] as const),
    timeouts: { connectMs: 800, stallMs: 400 },
    retry: { attempts: ATTEMPTS, baseDelayMs: 1, maxDelayMs: 3 },
    ...(draw.percent(15) && { fetch: blindFetch }),
    ...(draw.percent(10) && { xet: false }),
  };
}

/** One thing to do, giving the hash of what came of it; and what that must be. */
interface Task {
  what: string;
  kinds: readonly Drawn['kind'][];
  wanted: string;
  run: (client: XetClient) => Promise<string>;
}

function drawTask(draw: Draw, folder: string, { xet = true, fallback }: XetClientOptions): Task {
  const path = draw.pick(Object.keys(files));
  const content = files[path]!;
  const outside = path === 'config.json' || content.length === 0;
  const overXet = fallback === 'http' ? [...KINDS.xet, ...KINDS.http] : KINDS.xet;
  const kinds = outside ? KINDS.git : xet ? overXet : KINDS.http;
  const target = { repo: REPO, path };
  switch (draw.pick(['localDir', 'localDir', 'cache', 'cache', 'buffer', 'stream', 'range', 'list'] as const)) {
    case 'localDir':
      return {
        kinds,
        what: `${path} into a folder`,
        wanted: sha256(content),
        run: async (client) =>
          sha256(await readFile((await client.downloadFile({ ...target, localDir: folder })).localPath)),
      };
    case 'cache':
      return {
        kinds,
        what: `${path} into the cache`,
        wanted: sha256(content),
        run: async (client) => sha256(await readFile((await client.downloadFile(target)).localPath)),
      };
    case 'buffer':
      return {
        kinds,
        what: `${path} as a buffer`,
        wanted: sha256(content),
        run: async (client) => sha256(await (await client.open(target)).arrayBuffer()),
      };
    case 'stream':
      return {
        kinds,
        what: `${path} as a stream`,
        wanted: sha256(content),
        run: async (client) => sha256(await new Response((await client.open(target)).stream()).arrayBuffer()),
      };
    case 'range': {
      const start = draw.whole(0, content.length);
      const end = draw.whole(start, content.length);
      return {
        kinds,
        what: `${path}, bytes ${start} to ${end}`,
        wanted: sha256(content.subarray(start, end)),
        run: async (client) => sha256(await (await client.open(target)).read(start, end)),
      };
    }
    case 'list':
      return {
        kinds: KINDS.list,
        what: 'the list of files',
        wanted: Object.keys(files).sort().join(),
        run: async (client) => {
          const paths: string[] = [];
          for await (const entry of client.listFiles({ repo: REPO, recursive: true })) paths.push(entry.path);
          return paths.sort().join();
        },
      };
  }
}

function drawHub(draw: Draw): Promise<LocalHub> {
  return privateHub(REPO, files, {
    rangeRule: draw.pick(['exact', 'subset'] as const),
    reconstructionVersions: draw.pick<(1 | 2)[]>([[1], [2], [1, 2]]),
    mergeRanges: draw.percent(50),
    maxRangesPerUrl: draw.pick([1, 2, 1000]),
    chunksPerXorb: draw.pick([2, 5, 20, 8192]),
    compression: draw.pick(['none', 'lz4', 'bg4-lz4', 'auto'] as const),
  });
}

/** Codes that the drawn faults can come to, by the table of single faults. */
function possibleCodes(rules: Drawn[]): Set<string> {
  const codes = new Set<string>();
  for (const { kind, name } of rules) {
    for (const scenario of SCENARIOS.filter((one) => kind === 'any' || one.kind === kind)) {
      const { once, always } = expectation(scenario.name, name);
      for (const code of [once, always].flat()) codes.add(code);
    }
    // A changed byte of JSON can be one of an address, a hash or a token: then that is what is refused.
    if (name === 'corrupt byte')
      for (const code of ['PROTOCOL', 'INTEGRITY', 'UNAUTHORIZED', 'FORBIDDEN', 'ENTRY_NOT_FOUND', 'NETWORK'])
        codes.add(code);
  }
  return codes;
}

function mustSucceed(rules: Drawn[]): boolean {
  const hits = rules.reduce((sum, { times }) => sum + times, 0);
  return hits < ATTEMPTS && rules.every(({ name }) => PASSING.has(name));
}

/** What is wrong with a run, or nothing. */
async function judge(
  task: Task,
  rules: Drawn[],
  outcome: Outcome<string>,
  folder: string,
): Promise<string | undefined> {
  const { error, value } = outcome;
  await expectNoSecretsIn(folder);
  // Nobody can tell that a name in a list was changed.
  const listed = task.what.startsWith('the list') && rules.some(({ name }) => name === 'corrupt byte');
  if (error === undefined) return value === task.wanted || listed ? undefined : 'wrong content';
  if (mustSucceed(rules)) return `an error in place of success: ${told(outcome)}`;
  if (!isXetError(error)) return `not a typed error: ${told(outcome)}`;
  if (!possibleCodes(rules).has(error.code)) return `an error that none of the faults explains: ${told(outcome)}`;
  const named = (await contentUnder(folder)).filter(
    (name) => !name.endsWith('.incomplete') && !name.includes('.cache/'),
  );
  return named.some((name) => Object.keys(files).some((path) => name.endsWith(path)))
    ? `a file in spite of ${error.code}`
    : undefined;
}

let counted = 0;

async function run(hub: LocalHub, seed: number): Promise<string | undefined> {
  const draw = new Draw(seed);
  const folder = await scratch();
  const options = { cacheDir: folder, ...drawClient(draw) };
  const task = drawTask(draw, folder, options);
  const rules = Array.from({ length: draw.whole(1, 4) }, () => drawRule(draw, task.kinds));
  hub.faults.clear();
  const handles = rules.map(({ name: _, ...rule }) => hub.faults.add(rule));
  const first = await judge(task, rules, await attempt(hub, options, task.run), folder);
  if (handles.some(({ hits }) => hits > 0)) counted++;
  // Whatever came of it, the next call is served as if nothing had been.
  hub.faults.clear();
  const then = await attempt(hub, { ...options, fallback: 'http' }, task.run);
  const second = then.value === task.wanted ? undefined : `afterwards, without faults: ${told(then)}`;
  if (first === undefined && second === undefined) return undefined;
  return `seed ${seed}: ${[first, second].filter(Boolean).join('; ')}\n  ${task.what}\n  ${JSON.stringify(rules)}\n  ${inspect(options, { breakLength: Number.POSITIVE_INFINITY })}`;
}

test.each(Array.from({ length: BATCHES }, (_, index) => index + 1))(
  `random faults, batch %i of ${BATCHES}`,
  async (batch) => {
    const seeds = Array.from({ length: RUNS_PER_BATCH }, (_, index) => batch * 1000 + index);
    const wanted = seeds.filter((seed) => ONLY === undefined || seed === ONLY);
    if (wanted.length === 0) return;
    const hub = await drawHub(new Draw(batch));
    onTestFinished(() => hub.close());
    const failures: string[] = [];
    for (const seed of wanted) {
      const failure = await run(hub, seed).catch((error: unknown) => `seed ${seed}: ${String(error)}`);
      if (failure !== undefined) failures.push(failure);
    }
    expect(failures.join('\n\n')).toBe('');
  },
);

test('faults were met in enough runs', () => {
  if (ONLY === undefined) expect(counted).toBeGreaterThanOrEqual(COUNTED_RUNS);
});
