import { hammer, loadFromTab, SUITES, tryWithout } from './chunk-store-cases.ts';
import { equal } from './equal.ts';
import { type Outcome, report, runCases, textOf } from './outcomes.ts';
import { RECIPE_SUITES } from './recipe-store-cases.ts';
import type { Suite } from './suites.ts';

const values = new URLSearchParams(location.search);
const suite = values.get('suite');
const task = values.get('task');

if (task === 'load') tell(loadFromTab(values.get('name') ?? '', Number(values.get('seed'))));
if (task === 'opaque') tell(tryWithout());
if (suite === 'hammer') {
  await report([]);
  await hammer(Number(values.get('seed')));
} else if (suite) {
  await report(await runSuite(suite));
}

/** A frame reports to its parent, a page shows the report. */
async function tell(said: Promise<string>): Promise<void> {
  const text = await said.catch(textOf);
  parent.postMessage(text, '*');
  document.title = text;
}

async function runSuite(name: string): Promise<Outcome[]> {
  const suites: Record<string, Suite> = { ...SUITES, ...RECIPE_SUITES };
  const run = suites[name];
  if (!run) throw new Error(`There is no suite '${name}'.`);
  const cases: [string, () => Promise<void>][] = [];
  run({ test: (title, run) => void cases.push([title, run]), equal });
  return runCases(cases);
}
