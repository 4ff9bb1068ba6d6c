import { saveFile } from '../../../src/entries/index.ts';
import { type Outcome, report, runCases, textOf } from '../outcomes.ts';
import {
  type Cases,
  clearStorage,
  clientOf,
  elsewhere,
  type Given,
  inStorage,
  stored,
  withinMemory,
  withLittleRoom,
} from './cases.ts';
import { hub } from './page-hub.ts';
import { repositories } from './repository-cases.ts';

const isPage = typeof document !== 'undefined';
const values = new URLSearchParams(location.search);
const given = JSON.parse(values.get('given') ?? '{}') as Given;
const say = (text: string) => {
  if (isPage) document.title = text;
};

function casesOf(name: string | null): Cases {
  if (name === 'elsewhere') return { ...elsewhere(given), ...withinMemory(given) };
  if (name === 'repositories') return repositories(given);
  if (name === 'quota') return withLittleRoom(given);
  return inStorage(given, name !== 'parts');
}

async function run(): Promise<Outcome[]> {
  const only = values.get('only') ?? '';
  const cases = Object.entries(casesOf(values.get('cases'))).filter(([name]) => name.includes(only));
  return runCases(cases, {
    before: async () => {
      await clearStorage();
      await hub({ clear: true, reset: true, bytesPerSecond: 0 });
    },
    onOutcome: ({ name, error = 'good' }, count) => say(`${count} ${name} ${error}`),
  });
}

/** Saves one file, and tells by its title how far it is. */
async function saveOne(): Promise<Outcome[]> {
  const name = values.get('file') ?? '';
  const client = clientOf(given, { concurrency: 2 });
  const file = await client.open({ repo: 'owner/model', path: name });
  const result = await saveFile(
    file,
    { opfs: `saved/${name}` },
    { onProgress: ({ bytes }) => say(`at ${bytes.done}`) },
  );
  const bytes = await (await stored(`saved/${name}`))?.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes ?? new ArrayBuffer(0)));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  await client.close();
  return [{ name: JSON.stringify({ ...result.bytes, verified: result.verified, sha256 }) }];
}

if (isPage && values.has('inWorker')) {
  // The same script in a worker, where files are written without another one.
  const inWorker = new URLSearchParams(values);
  inWorker.delete('inWorker');
  new Worker(`/page.js?${inWorker}`, { type: 'module' });
} else {
  const work = values.get('cases') === 'save' ? saveOne() : run();
  await report(await work.catch((error: unknown) => [{ name: 'the page itself', error: textOf(error) }]));
  say('done');
}
