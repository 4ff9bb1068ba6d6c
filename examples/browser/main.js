// @ts-check
// Brings the parts together: views tell what the user wants, this says what comes of it.
import { problemOf } from './advice.js';
import { openFolder, readLocation, showMore } from './browse.js';
import { clearKept, lookAtKept } from './clients.js';
import * as downloads from './downloads.js';
import { forgetSeen, recall, rememberJob } from './remembered.js';
import { note, store } from './state.js';
import { identityOf } from './transfer.js';
import { announcer } from './views/announcer.js';
import { downloadView } from './views/download-view.js';
import { filesView } from './views/files-view.js';
import { hubView } from './views/hub-view.js';
import { journalView } from './views/journal-view.js';
import { keptView } from './views/kept-view.js';
import { previewView } from './views/preview-view.js';
import { DEFAULT_ENDPOINT } from './xetkit.js';

const hub = hubView({ onOpen: open });
filesView({ onFolder: (folder) => openFolder({ ...store.get().listing, folder }), onFile: choose, onMore: showMore });
const { map } = downloadView({ onStart: downloads.start, onPause: downloads.pause, onCancel: downloads.cancel });
previewView(map);
keptView({ onClear: clear, onPersist: persist });
journalView();
announcer();
await begin();

/** What the address says, what was under way, or what is at hand: in this order. */
async function begin() {
  const asked = new URLSearchParams(location.search);
  const local = await localHub();
  const isGone = (/** @type {string} */ endpoint) => isLocal(endpoint) && endpoint !== local?.endpoint;
  const before = recall();
  if (before.job && isGone(before.job.endpoint)) rememberJob(undefined);
  const usual = before.endpoint && !isGone(before.endpoint) ? before.endpoint : (local?.endpoint ?? DEFAULT_ENDPOINT);
  const endpoint = asked.get('endpoint') ?? usual;
  store.set({ endpoint });
  hub.offer({
    endpoints: [...new Set([local?.endpoint, DEFAULT_ENDPOINT])].filter((one) => one !== undefined),
    places: local ? local.repos.map((repo) => ({ endpoint: local.endpoint, repo })) : [],
    isGone,
  });
  hub.fill({ endpoint });
  void lookAtKept();
  const repo = asked.get('repo');
  const path = asked.get('path');
  const { job } = recall();
  const isUnderWay = job && (!path || (job.path === path && job.repo === repo));
  if (isUnderWay && downloads.takeUp()) {
    hub.fill({ endpoint: job.endpoint, repo: job.repo });
    await openFolder({ repo: job.repo, revision: job.revision, folder: folderOf(job.path) });
  } else if (repo) {
    hub.fill({ repo, revision: asked.get('revision') ?? '' });
    await openFolder({ repo, revision: asked.get('revision') ?? 'main', folder: folderOf(path ?? '') });
    const entry = store.get().listing.entries.find((one) => one.path === path);
    if (entry) await choose(entry);
  }
}

/** The Hub that was started together with the page, if one was. */
async function localHub() {
  try {
    const answer = await fetch('local-hub.json');
    return answer.ok ? /** @type {{ endpoint: string, repos: string[] }} */ (await answer.json()) : undefined;
  } catch {
    return undefined;
  }
}

/** A Hub on this machine has another port each time: one of an earlier time is gone. @param {string} endpoint */
function isLocal(endpoint) {
  return /^http:\/\/(127\.0\.0\.1|localhost)(:|$)/.test(endpoint);
}

/** @param {{ endpoint: string, token: string, repo: string, revision: string }} asked */
async function open({ endpoint, token, repo: text, revision }) {
  store.set({ endpoint, token, problem: undefined });
  try {
    const found = readLocation(text, endpoint);
    const place = { repo: found.repo, revision: found.revision ?? revision };
    hub.fill(place.revision === 'main' ? { repo: place.repo } : place);
    showInAddress({ ...place, path: '' });
    await openFolder({ ...place, folder: folderOf(found.path ?? '') });
    const entry = store.get().listing.entries.find((one) => one.path === found.path);
    if (entry) await choose(entry);
  } catch (error) {
    const problem = problemOf(error);
    store.set({ listing: { status: 'failed', repo: text, revision, folder: '', entries: [], more: false, problem } });
  }
}

/** @param {import('./xetkit.js').ListEntry} entry */
async function choose(entry) {
  const { repo, revision } = store.get().listing;
  const { path, size, xetHash, sha256, oid } = entry;
  showInAddress({ repo, revision, path });
  const identity = identityOf({ xetHash, etag: sha256 ?? oid, size });
  await downloads.choose({ repo, revision, path, size, identity });
  // In one column it is below the list, and likely out of sight.
  if (matchMedia('(max-width: 860px)').matches) document.getElementById('download')?.scrollIntoView();
}

async function clear() {
  try {
    await clearKept();
    forgetSeen();
    downloads.forgetEarlier();
  } catch (error) {
    note(`It could not be cleared. ${problemOf(error).message}`, 'bad');
  }
  await lookAtKept();
}

async function persist() {
  const granted = await navigator.storage.persist();
  note(granted ? 'The browser keeps it until you clear it.' : 'The browser did not agree to keep it for good.');
  await lookAtKept();
}

/** So that a link, a bookmark or a reload leads here again. @param {{ repo: string, revision: string, path: string }} place */
function showInAddress({ repo, revision, path }) {
  const { endpoint } = store.get();
  const values = new URLSearchParams({ repo });
  if (!isLocal(endpoint)) values.set('endpoint', endpoint);
  if (revision !== 'main') values.set('revision', revision);
  if (path !== '') values.set('path', path);
  history.replaceState(undefined, '', `?${values}`);
}

/** @param {string} path */
function folderOf(path) {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}
