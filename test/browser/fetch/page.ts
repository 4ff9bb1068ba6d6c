import { onXetProgress } from '../../../src/entries/fetch.ts';
import { type Outcome, report, runCases, textOf } from '../outcomes.ts';
import {
  type Cases,
  type Given,
  inPage,
  leaving,
  onSlowNetwork,
  seeking,
  underDeafPage,
  underServiceWorker,
} from './cases.ts';

const values = new URLSearchParams(location.search);
const given = JSON.parse(values.get('given') ?? '{}') as Given;

/** Has a service worker take charge of this page, or throws. */
async function serviceWorker(script: string, type: WorkerType): Promise<void> {
  const lanes = values.get('cases') === 'slow network' ? '1' : 'auto';
  const asked = new URLSearchParams({ hub: given.hub, database: `worker-${given.run}`, lanes });
  const controlled = new Promise<void>((resolve) => {
    navigator.serviceWorker.addEventListener('controllerchange', () => resolve());
  });
  await navigator.serviceWorker.register(`${script}?${asked}`, { type });
  await controlled;
}

async function casesOf(name: string | null): Promise<Cases> {
  if (name === 'page') return inPage(given);
  if (name === 'seeking past Xet') return seeking(given);
  if (name === 'classic worker') await serviceWorker('/sw.classic.js', 'classic');
  else await serviceWorker('/sw.js', 'module');
  if (name === 'leaving') return leaving(given);
  if (name === 'seeking') return seeking(given);
  if (name === 'slow network') return onSlowNetwork(given);
  return name === 'deaf page' ? underDeafPage(given) : underServiceWorker(given);
}

async function run(): Promise<Outcome[]> {
  return runCases(Object.entries(await casesOf(values.get('cases'))), {
    onOutcome: ({ name, error = 'good' }, count) => {
      document.title = `${count} ${name} ${error}`;
    },
  });
}

if (values.get('cases') === 'idle') onXetProgress(() => undefined);
else await report(await run().catch((error: unknown) => [{ name: 'the page itself', error: textOf(error) }]));
