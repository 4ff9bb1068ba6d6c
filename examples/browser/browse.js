// @ts-check
// Opens repositories and lists their folders.
import { problemOf } from './advice.js';
import { browseClient } from './clients.js';
import { rememberRepo } from './remembered.js';
import { store } from './state.js';
import { parseLocation, parseRepo } from './xetkit.js';

const PAGE_ENTRIES = 300;

let latest = new AbortController();

/**
 * What somebody entered as a repository: a name, an `hf://` address, or that of a page of the Hub.
 * @param {string} text
 * @param {string} endpoint
 */
export function readLocation(text, endpoint) {
  const { repo, revision, path } = parseLocation(text.trim(), endpoint) ?? { repo: parseRepo(text.trim()) };
  const prefix = repo.type === 'model' ? '' : `${repo.type}s/`;
  return { repo: prefix + repo.name, revision, path };
}

/**
 * @param {{ repo: string, revision: string, folder: string }} place
 * @param {number} [most] entries to take at most
 */
export async function openFolder({ repo, revision, folder }, most = PAGE_ENTRIES) {
  latest.abort();
  latest = new AbortController();
  const { signal } = latest;
  const place = { repo, revision, folder, entries: [], more: false };
  store.set({ listing: { ...place, status: 'loading' } });
  try {
    /** @type {import('./xetkit.js').ListEntry[]} */
    const entries = [];
    let more = false;
    const path = folder === '' ? undefined : folder;
    for await (const entry of browseClient(store.get().endpoint).listFiles({ repo, revision, path, signal })) {
      more = entries.length === most;
      if (more) break;
      entries.push(entry);
    }
    entries.sort((a, b) => Number(a.type === 'file') - Number(b.type === 'file') || a.path.localeCompare(b.path));
    store.set({ listing: { ...place, status: 'ready', entries, more } });
    rememberRepo(store.get().endpoint, repo);
  } catch (error) {
    if (!signal.aborted) store.set({ listing: { ...place, status: 'failed', problem: problemOf(error) } });
  }
}

/** More of the folder that is shown. */
export function showMore() {
  const { listing } = store.get();
  return openFolder(listing, listing.entries.length + PAGE_ENTRIES);
}
