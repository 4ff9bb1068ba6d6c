import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { isXetError, type XetClientOptions } from 'xetkit';
import type { LocalHub, LocalHubOptions, RequestKind } from 'xetkit/local-hub';
import { seen } from '../support/hub.ts';
import { type BodyFacts, FAULTS, type FaultName, faultAction, timeoutsFor } from './catalogue.ts';
import { jsonLines, startNode } from './children.ts';
import { expectation } from './expectations.ts';
import { attempt, told } from './harness.ts';
import { watchHygiene } from './hygiene.ts';
import { FILES, filesOf, hashesOf, MIB, REPO, stateOf, uploadHub } from './upload-harness.ts';

watchHygiene();

const FOR_EVER = 1e9;
const MAX_REQUESTS = 100;

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

/** Faults that look like a server that does not know Xet. */
const NO_TOKENS = new Set<FaultName>(['404', 'corrupt byte', 'wrong length', 'garbage JSON', 'oversize JSON']);

/** Faults of answers about parts of something, which no request of an upload asks for. */
const ABOUT_RANGES = new Set<FaultName>([
  '416',
  'wrong range',
  '200 instead of 206',
  'missing part',
  'reordered parts',
]);
const UPLOAD_FAULTS = FAULTS.filter((fault) => !ABOUT_RANGES.has(fault));

/** What may come of it; the ground is what comes of any JSON answer. */
function allowed(scenario: UploadScenario, fault: FaultName, often: 'once' | 'always'): unknown[] {
  const wanted = [expectation('tree', fault)[often]].flat() as string[];
  if (scenario.dispensable) return ['ok'];
  if ((scenario.kind === 'commit' || scenario.headOnly) && AFTER_THE_FACT.has(fault)) return ['ok'];
  // The first one is for questions about chunks, which nothing depends on.
  if (scenario.kind === 'token' && often === 'once') return ['ok'];
  // A server without such tokens, or with a page in their place, takes no uploads over Xet.
  if (scenario.kind === 'token' && NO_TOKENS.has(fault)) return ['UNSUPPORTED'];
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
  const cells = UPLOAD_FAULTS.flatMap((fault) => (['once', 'always'] as const).map((often) => [fault, often] as const));
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
    expect(hub.requests.length, 'no storm of requests').toBeLessThan(MAX_REQUESTS);
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
