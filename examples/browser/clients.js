// @ts-check
// The clients of the page. Each download has one of its own, whose metrics are that download's; browsing and previews
// have another, and leave nothing in the cache that a download would seem to have had from elsewhere.
import { problemOf } from './advice.js';
import { bytes } from './format.js';
import { note, store } from './state.js';
import { XetClient } from './xetkit.js';

/** Name of the database. The cache takes this much at most, and never more than half of what the browser grants. */
const KEPT = { dir: 'xetkit-example', maxBytes: 4 * 1024 ** 3 };

/**
 * @param {string} endpoint
 * @param {import('./xetkit.js').XetClientOptions} options
 */
function clientOf(endpoint, options) {
  return new XetClient({
    endpoint,
    accessToken: tokenFor(endpoint),
    onRetry: ({ attempt, attempts, delayMs, error }) => {
      const wait = (delayMs / 1000).toFixed(1);
      note(`${error.code}: attempt ${attempt} of ${attempts} failed, the next one starts in ${wait} s.`, 'warn');
    },
    onWarning: (message) => note(message, 'warn'),
    ...options,
  });
}

/** The token was entered for one Hub, and no other one is to see it. @param {string} endpoint */
function tokenFor(endpoint) {
  const now = store.get();
  return now.endpoint === endpoint ? now.token : '';
}

/** @param {string} endpoint */
export const downloadClient = (endpoint) => clientOf(endpoint, { chunkCache: KEPT });

/** @type {{ key: string, client: XetClient } | undefined} */
let browsing;

/** For lists and previews. @param {string} endpoint */
export function browseClient(endpoint) {
  const key = `${endpoint} ${tokenFor(endpoint)}`;
  if (browsing?.key !== key) {
    browsing?.client.close();
    browsing = { key, client: clientOf(endpoint, { chunkCache: false, workers: 0 }) };
  }
  return browsing.client;
}

/** Looks after what is kept, whatever Hub it came from. */
const keeper = new XetClient({ chunkCache: KEPT, workers: 0 });

/** @returns {import('./xetkit.js').CacheControl | undefined} builds of before 0.2 have none */
const control = () => keeper.cache;

export async function lookAtKept() {
  try {
    const usage = await control()?.usage();
    // Not there without https, but for addresses of this machine.
    const estimate = await navigator.storage?.estimate?.();
    const persisted = await navigator.storage?.persisted?.();
    store.set({ kept: { usage, estimate, persisted } });
  } catch (error) {
    store.set({ kept: { problem: problemOf(error) } });
  }
}

/** Bytes of chunks in the cache; none where they cannot be counted. */
export async function keptBytes() {
  const usage = await control()
    ?.usage()
    .catch(() => undefined);
  return usage?.xetkit.chunks?.bytes ?? 0;
}

export async function clearKept() {
  const cleared = await control()?.clear();
  note(`Cleared what was kept: ${bytes(cleared?.freedBytes ?? 0)}.`);
}

export const canClear = control() !== undefined;
