import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DownloadResult, XetClientOptions } from 'xetkit';
import type { LocalHub } from 'xetkit/local-hub';
import { scratch } from '../support/hub.ts';
import { FAULTS, type FaultName, faultAction, timeoutsFor } from './catalogue.ts';
import { expectation, type Verdict, withFallback } from './expectations.ts';
import { attempt, blindFetch, expectFile, type Outcome, privateHub, told, verdictOf } from './harness.ts';
import { watchHygiene } from './hygiene.ts';
import { CHUNKS_PER_XORB, FILES, HUBS, REPO, SCENARIOS, type Scenario, type ScenarioName } from './scenarios.ts';

watchHygiene();

/** A few calls, some xorbs, each with its attempts: far more than this means that something goes round in circles. */
const MAX_REQUESTS = 100;

const hubs = new Map<Scenario['hub'], LocalHub>();
beforeAll(async () => {
  for (const name of ['whole', 'without CAS'] as const)
    hubs.set(name, await privateHub(REPO, FILES, { ...HUBS[name], chunksPerXorb: CHUNKS_PER_XORB }));
});
afterAll(async () => {
  for (const hub of hubs.values()) await hub.close();
});
beforeEach(() => {
  for (const hub of hubs.values()) {
    hub.faults.clear();
    hub.resetRequests();
  }
});

async function call(scenario: Scenario, hub: LocalHub, localDir: string, options: XetClientOptions): Promise<Verdict> {
  const settings = { ...options, ...(scenario.blind && { fetch: blindFetch }) };
  if (scenario.call === 'list') {
    const outcome = await attempt(hub, settings, async (client) => {
      const paths: string[] = [];
      for await (const entry of client.listFiles({ repo: REPO, recursive: true })) paths.push(entry.path);
      return paths.sort();
    });
    last = told(outcome);
    if (outcome.error === undefined) expect(outcome.value).toEqual(Object.keys(FILES).sort());
    return verdictOf(hub, outcome);
  }
  const { path } = scenario;
  const outcome: Outcome<DownloadResult> = await attempt(hub, settings, (client) =>
    client.downloadFile({ repo: REPO, path, localDir }),
  );
  await expectFile(localDir, path, FILES[path]!, outcome);
  const verdict = verdictOf(hub, outcome);
  if (verdict === 'http') expect(outcome.value?.verified).toBe('sha256');
  if (verdict === 'ok') expect(outcome.value?.verified).toBe(path === 'weights.bin' ? 'xet' : 'git-sha1');
  last = told(outcome);
  return verdict;
}

/** What was said by the latest call, to explain a verdict that was not expected. */
let last = '';

async function runCell(
  scenario: Scenario,
  fault: FaultName,
  often: 'once' | 'always',
  fallback: 'http' | 'never',
  wanted: Verdict | Verdict[],
): Promise<void> {
  const hub = hubs.get(scenario.hub)!;
  const localDir = await scratch();
  const timeouts = timeoutsFor(fault);
  const handle = hub.faults.add({
    kind: scenario.kind,
    after: scenario.after ?? 0,
    times: often === 'once' ? 1 : 1e9,
    ...faultAction(fault, scenario.body, often),
  });
  const verdict = await call(scenario, hub, localDir, { timeouts, fallback });
  expect(handle.hits, 'the fault was met').toBeGreaterThan(0);
  expect(hub.requests.length, 'no storm of requests').toBeLessThan(MAX_REQUESTS);
  expect([wanted].flat(), last).toContain(verdict);
  if (verdict === 'ok' || verdict === 'http') return;
  // Whatever a failed call leaves behind must not harm the next one.
  hub.faults.clear();
  hub.resetRequests();
  const settled = await call(scenario, hub, localDir, { timeouts });
  expect(settled, last).toBe(scenario.hub === 'whole' ? 'ok' : 'http');
}

/** Where the Hub has no CAS, plain HTTP is the normal way. */
const onHub = (scenario: Scenario, wanted: Verdict | Verdict[]): Verdict[] =>
  [wanted].flat().map((verdict) => (verdict === 'ok' && scenario.hub === 'without CAS' ? 'http' : verdict));

describe.each(SCENARIOS.map((scenario): [ScenarioName, Scenario] => [scenario.name, scenario]))(
  '%s',
  (name, scenario) => {
    test.each(FAULTS)('%s, once', async (fault) => {
      await runCell(scenario, fault, 'once', 'http', onHub(scenario, expectation(name, fault).once));
    });

    if (!scenario.onceOnly) {
      test.each(FAULTS)('%s, always', async (fault) => {
        const fallback = scenario.hub === 'without CAS' ? 'http' : 'never';
        await runCell(scenario, fault, 'always', fallback, onHub(scenario, expectation(name, fault).always));
      });
    }

    if (scenario.fallsBack) {
      test.each(FAULTS)('%s, always, with plain HTTP to fall back on', async (fault) => {
        await runCell(scenario, fault, 'always', 'http', withFallback(name, fault));
      });
    }
  },
);
