import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isXetError, XetClient, type XetClientOptions } from 'xetkit';
import { type LocalHub, type LocalHubOptions, type RequestKind, startLocalHub } from 'xetkit/local-hub';
import { contentUnder, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';
import { type BodyFacts, FAULTS, type FaultName, faultAction, timeoutsFor } from './catalogue.ts';
import { jsonLines, startCli, startNode, until } from './children.ts';
import { Draw } from './draw.ts';
import { expectation } from './expectations.ts';
import { attempt, told } from './harness.ts';
import { HUB_TOKEN, watchHygiene } from './hygiene.ts';

watchHygiene();

const REPO = 'owner/model';
const MIB = 1024 * 1024;
const FOR_EVER = 1e9;
/** Two blocks of chunks and a small file: every kind of request is made, most of them once. */
const FILES = { 'weights.bin': randomBytes(700_000, 201), 'notes.txt': text(400, 202) };
const MOST_REQUESTS = 100;

async function uploadHub(options: LocalHubOptions = {}): Promise<LocalHub> {
  const tokens = { [HUB_TOKEN]: { name: 'tester', write: true } };
  const hub = await startLocalHub({ tokens, openWrites: false, ...options });
  onTestFinished(() => hub.close());
  await hub.createRepo(REPO, { private: true });
  // An earlier version, by which one is asked for.
  await hub.commitFiles(REPO, { 'weights.bin': randomBytes(300_000, 203) });
  return hub;
}

const filesOf = (contents: Record<string, Uint8Array>) =>
  Object.entries(contents).map(([path, content]) => ({ path, content }));

/** Everything that the branch holds but its attributes, and how many commits made it. */
async function stateOf(hub: LocalHub): Promise<{ commits: number; files: Record<string, string> }> {
  const client = new XetClient({ endpoint: hub.url, accessToken: HUB_TOKEN, workers: 0, chunkCache: false });
  const files: Record<string, string> = {};
  for await (const { path } of client.listFiles({ repo: REPO })) {
    if (path === '.gitattributes') continue;
    files[path] = sha256(await (await client.open({ repo: REPO, path })).arrayBuffer());
  }
  await client.close();
  const headers = { authorization: `Bearer ${HUB_TOKEN}` };
  const commits = await (await fetch(`${hub.url}/api/models/${REPO}/commits/main?limit=1000`, { headers })).json();
  return { commits: (commits as unknown[]).length, files };
}

const hashesOf = (contents: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(contents).map(([path, bytes]) => [path, sha256(bytes)]));

interface UploadScenario {
  name: string;
  kind: RequestKind;
  hub?: LocalHubOptions;
  /** An upload is right without answers of this kind. */
  dispensable?: boolean;
  /** Answered in another way, the same is asked elsewhere. */
  elsewhere?: FaultName[];
  /** Of its answer only the status counts. */
  headOnly?: boolean;
}

const body: BodyFacts = { midBytes: 8, stuckBytes: 3, corruptOffset: 0, limitBytes: 5 * MIB, bytesPerSecond: 4000 };
const limits: Partial<Record<RequestKind, number>> = { 'paths-info': 256 * MIB, commits: 256 * MIB };

const SCENARIOS: UploadScenario[] = [
  { name: 'preupload', kind: 'preupload' },
  { name: 'write token', kind: 'token' },
  { name: 'earlier versions', kind: 'paths-info' },
  { name: 'chunk query', kind: 'chunk-query', dispensable: true },
  { name: 'grant', kind: 'grant', elsewhere: ['404'] },
  { name: 'xorb through a grant', kind: 'xorb-upload', headOnly: true },
  { name: 'xorb', kind: 'xorb-upload', hub: { grants: false } },
  { name: 'shard, as a stream', kind: 'shard-upload', elsewhere: ['404'] },
  { name: 'shard, the older call', kind: 'shard-upload', hub: { shardVersions: [1] } },
  { name: 'commit', kind: 'commit' },
];

/** Faults of an answer that has been given: a commit is there, and is found. */
const AFTER_THE_FACT = new Set<FaultName>([
  'reset mid-body',
  'stall mid-body',
  'truncated body',
  'corrupt byte',
  'wrong length',
  'garbage JSON',
  'oversize JSON',
]);

/** What may come of it; the ground is what comes of any JSON answer. */
function allowed(scenario: UploadScenario, fault: FaultName, often: 'once' | 'always'): unknown[] {
  const wanted = [expectation('tree', fault)[often]].flat() as string[];
  if (scenario.dispensable) return ['ok'];
  if ((scenario.kind === 'commit' || scenario.headOnly) && AFTER_THE_FACT.has(fault)) return ['ok'];
  // The first one is for questions about chunks, which nothing depends on.
  if (scenario.kind === 'token' && often === 'once') return ['ok'];
  const onCas = scenario.kind.includes('upload') || scenario.kind === 'grant';
  // The CAS token may have run out, so a new one is asked for; a signed address is asked for anew or done without.
  if (onCas && often === 'once') return [...wanted, 'ok'];
  if (scenario.elsewhere?.includes(fault)) return [...wanted, 'ok'];
  return scenario.kind === 'grant' ? [...wanted, 'ok'] : wanted;
}

async function run(hub: LocalHub, options: XetClientOptions) {
  const outcome = await attempt(hub, options, (client) => client.upload({ repo: REPO, files: filesOf(FILES) }));
  const { error } = outcome;
  if (error !== undefined && !isXetError(error))
    throw new Error(`Not a typed error: ${told(outcome)}`, { cause: error });
  return { outcome, verdict: error === undefined ? 'ok' : error.code };
}

describe.each(SCENARIOS.map((scenario): [string, UploadScenario] => [scenario.name, scenario]))('%s', (_, scenario) => {
  const cells = FAULTS.flatMap((fault) => (['once', 'always'] as const).map((often) => [fault, often] as const));
  test.each(cells)('%s, %s', async (fault, often) => {
    const hub = await uploadHub(scenario.hub);
    const before = await stateOf(hub);
    hub.resetRequests();
    const facts = { ...body, limitBytes: limits[scenario.kind] ?? body.limitBytes };
    const handle = hub.faults.add({
      kind: scenario.kind,
      times: often === 'once' ? 1 : FOR_EVER,
      ...faultAction(fault, facts, often),
    });
    const { outcome, verdict } = await run(hub, { timeouts: timeoutsFor(fault) });
    expect(handle.hits, 'the fault was met').toBeGreaterThan(0);
    expect(hub.requests.length, 'no storm of requests').toBeLessThan(MOST_REQUESTS);
    expect(allowed(scenario, fault, often), told(outcome)).toContain(verdict);
    hub.faults.clear();
    const after = await stateOf(hub);
    if (verdict === 'ok') {
      expect(after).toEqual({ commits: before.commits + 1, files: hashesOf(FILES) });
      return;
    }
    expect(after, 'nothing is committed').toEqual(before);
    expect((await run(hub, {})).verdict).toBe('ok');
    expect(await stateOf(hub)).toEqual({ commits: before.commits + 1, files: hashesOf(FILES) });
  });
});

describe('an abort', () => {
  const moments = Array.from({ length: 40 }, (_, index) => index + 1);
  test.each(moments)('at a random moment (%i) commits nothing or all, and frees everything', async (seed) => {
    const draw = new Draw(seed);
    const hub = await uploadHub({ grants: draw.percent(50), shardVersions: draw.percent(50) ? [1] : [1, 2] });
    const before = await stateOf(hub);
    const stop = new AbortController();
    const reason = new Error('enough');
    /** At which request, and whether before it is sent, while it is under way or when it is answered. */
    const at = draw.whole(1, 14);
    const when = draw.pick(['before', 'during', 'after'] as const);
    let requests = 0;
    const watching = async (url: string, init?: RequestInit) => {
      const mine = ++requests === at;
      if (mine && when === 'before') stop.abort(reason);
      const answer = fetch(url, init);
      if (mine && when === 'during') stop.abort(reason);
      const response = await answer;
      if (mine && when === 'after') stop.abort(reason);
      return response;
    };
    const contents = { ...FILES, 'more.bin': randomBytes(5_000_000, seed) };
    const options = { fetch: watching, memoryBudget: 16 * MIB };
    const outcome = await attempt(hub, options, async (client) => {
      try {
        return await client.upload({ repo: REPO, files: filesOf(contents), signal: stop.signal });
      } finally {
        expect(client.metrics().memory.usedNowBytes).toBe(0);
      }
    });
    if (outcome.error !== undefined) expect(outcome.error).toBe(reason);
    const after = await stateOf(hub);
    const all = { commits: before.commits + 1, files: hashesOf(contents) };
    expect([before, all], told(outcome)).toContainEqual(after);
    if (outcome.error === undefined) expect(after).toEqual(all);
    const again = await attempt(hub, {}, (client) => client.upload({ repo: REPO, files: filesOf(contents) }));
    expect(again.error, told(again)).toBeUndefined();
    expect((await stateOf(hub)).files).toEqual(all.files);
  });
});

describe('kill -9, then the same command', () => {
  test.each(Array.from({ length: 20 }, (_, index) => index + 1))('at a random moment (%i)', async (seed) => {
    const draw = new Draw(seed + 100);
    const hub = await uploadHub({ grants: draw.percent(50) });
    const folder = await scratch();
    const content = randomBytes(40_000_000, 300 + seed);
    await writeFile(join(folder, 'weights.bin'), content);
    const args = ['upload', REPO, folder, '--memory', '32MB', '--json', '--quiet'];
    const accepted = () =>
      hub.requests.filter(({ kind, status }) => kind === 'xorb-upload' && status === 200).map(({ path }) => path);
    const child = await startCli(hub, args);
    const moment = draw.whole(0, 8);
    await until(() => accepted().length >= moment, child);
    child.process.kill('SIGKILL');
    await child.ended;
    const stored = new Set(accepted().filter((path) => path.includes('/v1/xorbs/')));
    hub.resetRequests();
    const last = await (await startCli(hub, args)).ended;
    expect(last.code, last.stderr).toBe(0);
    expect((await stateOf(hub)).files).toEqual(hashesOf({ 'weights.bin': content }));
    expect(
      accepted().filter((path) => stored.has(path)),
      'nothing that is stored is sent again',
    ).toEqual([]);
    expect((await contentUnder(folder)).sort()).toEqual(['weights.bin']);
    const [file] = jsonLines(last.stdout);
    expect(file).toMatchObject({ file: 'weights.bin', sha256: sha256(content) });
  });
});

describe('a process ends by itself', () => {
  const script = fileURLToPath(new URL('one-upload.mjs', import.meta.url));
  test.each(SCENARIOS.filter(({ dispensable }) => !dispensable).map((scenario) => [scenario.name, scenario] as const))(
    'where %s fails for ever',
    async (_, { kind, hub: options }) => {
      const hub = await uploadHub(options);
      hub.faults.add({ kind, action: 'status', status: 503, times: FOR_EVER });
      const settings = JSON.stringify({ repo: REPO, megabytes: 3, client: { retry: { attempts: 2, baseDelayMs: 1 } } });
      const { code, stdout, stderr } = await (await startNode([script, settings], { HF_ENDPOINT: hub.url })).ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(jsonLines(stdout).at(-1)).toMatchObject({ done: false, code: 'SERVER' });
      expect(seen(hub, 'commit').every(({ status }) => status === 503)).toBe(true);
    },
  );
});
