// @ts-check
// The one download of the page: starting, pausing, going on, and what of it outlives the page.
import { problemOf } from './advice.js';
import { downloadClient, keptBytes, lookAtKept } from './clients.js';
import { bytes, duration, percent } from './format.js';
import { recall, recallSeen, rememberCancelled, rememberJob, rememberSeen, settle } from './remembered.js';
import { fileSink, memorySink } from './sinks.js';
import { Sources } from './sources.js';
import { note, store } from './state.js';
import { identityOf, Transfer } from './transfer.js';

const REMEMBER_EVERY_MS = 400;
const COUNT_EVERY_MS = 2000;
/** A page that is reloaded may still hold the lock when the new one asks for it. */
const LOCK_WAIT_MS = 3000;
/** Up to so many bytes the content is hashed once more as a whole: WebCrypto wants all of it in memory. */
const DIGEST_BYTES = 256 * 1024 * 1024;

/** @type {AbortController | undefined} */
let stopping;
/** Resolves when the last go is over. @type {Promise<void>} */
let ended = Promise.resolve();

/** Why a go was ended by the user. */
const PAUSED = new DOMException('Paused', 'AbortError');
const CANCELLED = new DOMException('Cancelled', 'AbortError');

/**
 * Makes a file the one to download. What was under way is paused.
 * @param {{ repo: string, revision: string, path: string, size: number, identity: string }} file
 */
export async function choose({ repo, revision, path, size, identity }) {
  await pause();
  dropResult();
  const { endpoint, token } = store.get();
  const earlier = earlierOf(identity);
  const isBegun = earlier !== undefined && earlier.sources.end < size && !recallSeen(identity)?.cancelled;
  store.set({
    job: {
      endpoint,
      repo,
      revision,
      path,
      size,
      identity,
      status: 'paused',
      toFile: false,
      withToken: token !== '',
    },
    status: isBegun ? 'paused' : 'ready',
    transfer: undefined,
    earlier: isBegun ? earlier : undefined,
    problem: undefined,
  });
}

/** @param {string} identity @returns {import('./transfer.js').Earlier | undefined} */
function earlierOf(identity) {
  const seen = recallSeen(identity);
  return seen && { ...seen, sources: new Sources(seen.runs) };
}

/** Takes up what was under way when the page was left. Says whether there is anything. */
export function takeUp() {
  const { job } = recall();
  if (!job) return false;
  store.set({ endpoint: job.endpoint, job, status: 'paused', earlier: earlierOf(job.identity) });
  if (job.status === 'running' && !job.withToken && !job.toFile) void start();
  else if (job.withToken)
    note('A token was used, and is kept in memory only: enter it again before you resume.', 'warn');
  return true;
}

/** Starts, or goes on. @param {boolean} [toFile] whether straight into a file that the user is asked for */
export async function start(toFile = store.get().job?.toFile ?? false) {
  const { job, status } = store.get();
  if (!job || status === 'running') return;
  dropResult();
  /** @type {import('./sinks.js').Sink} */
  let sink;
  try {
    sink = toFile ? await fileSink(nameOf(job.path)) : memorySink();
  } catch (error) {
    // Whoever closes the picker has changed his mind.
    if (!(error instanceof DOMException && error.name === 'AbortError')) store.set({ problem: problemOf(error) });
    return;
  }
  stopping = new AbortController();
  const { token } = store.get();
  change({ status: 'running', toFile, withToken: token !== '' });
  store.set({ status: 'running', problem: undefined });
  ended = alone(sink, stopping.signal);
  await ended;
}

export async function pause() {
  stopping?.abort(PAUSED);
  await ended;
}

/** Gives the download up. What came of it stays in the cache. */
export async function cancel() {
  const { job } = store.get();
  stopping?.abort(CANCELLED);
  await ended;
  rememberJob(undefined);
  if (!job) return;
  rememberCancelled(job.identity);
  note(`Cancelled ${job.path}. What came of it stays in the cache until that is cleared.`);
  store.set({ status: 'ready', transfer: undefined, earlier: undefined, problem: undefined });
}

/** Nothing is known any more of where bytes came from. */
export function forgetEarlier() {
  store.set({ earlier: undefined });
  if (store.get().status !== 'verified') store.set({ transfer: undefined });
}

/** @param {Partial<import('./remembered.js').Job>} news */
function change(news) {
  const { job } = store.get();
  if (!job) return;
  const changed = { ...job, ...news };
  store.set({ job: changed });
  rememberJob(changed);
}

/**
 * A go while no other tab is at one: they would fetch the same twice.
 * @param {import('./sinks.js').Sink} sink
 * @param {AbortSignal} signal
 */
async function alone(sink, signal) {
  // Not there without https, but for addresses of this machine.
  if (!navigator.locks) return go(sink, signal);
  const patience = AbortSignal.any([signal, AbortSignal.timeout(LOCK_WAIT_MS)]);
  try {
    await navigator.locks.request('xetkit-example-download', { signal: patience }, () => go(sink, signal));
  } catch {
    await sink.discard();
    store.set({ status: signal.aborted ? 'paused' : 'elsewhere' });
  }
}

/**
 * @param {import('./sinks.js').Sink} sink
 * @param {AbortSignal} signal
 */
async function go(sink, signal) {
  const { job } = store.get();
  if (!job) return;
  // What the cache gains until this go ends is of this file, also what was fetched ahead and nobody saw come.
  const held = await keptBytes();
  settle(held);
  const client = downloadClient(job.endpoint);
  const transfer = new Transfer({
    client,
    target: job,
    recall: earlierOf,
    sink,
    onChange: () => {
      store.set({ transfer });
      if (transfer.file) pin(transfer.file);
      save();
      count();
    },
  });
  const saveAtOnce = () => keep(transfer, { since: held });
  const save = throttled(REMEMBER_EVERY_MS, saveAtOnce);
  const count = throttled(COUNT_EVERY_MS, lookAtKept);
  addEventListener('pagehide', saveAtOnce);
  const earlier = earlierOf(job.identity);
  note(`${earlier && earlier.sources.end < job.size ? 'Going on with' : 'Started'} ${job.path}.`);
  try {
    const content = await transfer.run(signal);
    const result = await resultOf(transfer, content);
    rememberJob(undefined);
    store.set({ status: 'verified', result, earlier: undefined });
    const { network } = transfer.metrics.bytes;
    note(`Verified ${job.path} in ${duration(transfer.seconds)}; ${bytes(network)} came over the network.`);
  } catch (error) {
    onEnd(error, transfer, signal);
  } finally {
    removeEventListener('pagehide', saveAtOnce);
    await client.close();
    keep(transfer, { gained: Math.max(0, (await keptBytes()) - held) });
    await lookAtKept();
  }
}

/**
 * @param {unknown} error
 * @param {Transfer} transfer
 * @param {AbortSignal} signal
 */
function onEnd(error, transfer, signal) {
  const { job } = store.get();
  change({ status: 'paused' });
  if (signal.aborted) {
    store.set({ status: 'paused' });
    const size = job?.size ?? 0;
    if (signal.reason === PAUSED) note(`Paused at ${percent(transfer.done, size)}: what came is in the cache.`);
    return;
  }
  const problem = problemOf(error);
  store.set({ status: 'failed', problem });
  note(`${problem.code}: ${problem.message}`, 'bad');
}

/**
 * Writes down where it stands.
 * @param {Transfer} transfer
 * @param {{ since?: number, gained?: number }} cache what it held at the start, or what it gained until the end
 */
function keep({ file, known, network, keptBefore }, { since, gained = 0 }) {
  if (file) rememberSeen({ identity: identityOf(file), runs: known.runs, network, kept: keptBefore + gained, since });
}

/** From now on it is about this content, whatever becomes of the branch. @param {import('./xetkit.js').XetFile} file */
function pin(file) {
  const { job } = store.get();
  if (job?.revision !== file.commit) change({ identity: identityOf(file), size: file.size, revision: file.commit });
}

/**
 * @param {Transfer} transfer
 * @param {Blob | undefined} content
 * @returns {Promise<import('./state.js').Result>}
 */
async function resultOf(transfer, content) {
  const { file, seconds } = transfer;
  if (!file) throw new Error('Nothing was opened.');
  // What the Hub calls a file outside of git by; those inside are called by a sha1.
  const listed = /^[0-9a-f]{64}$/.test(file.etag) ? file.etag : undefined;
  const computed = content && content.size <= DIGEST_BYTES ? await sha256(content) : undefined;
  if (computed && listed && computed !== listed)
    throw new Error(`The content has the sha256 ${computed}, but the Hub lists ${listed}.`);
  return {
    xetHash: file.xetHash,
    sha256: computed ?? listed,
    computed: computed !== undefined,
    url: content && URL.createObjectURL(content),
    seconds,
  };
}

/** @param {Blob} content */
async function sha256(content) {
  // Not there without https, but for addresses of this machine.
  if (!crypto.subtle) return undefined;
  const digest = await crypto.subtle.digest('SHA-256', await content.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The content of the last file is in memory for as long as its address is there. */
function dropResult() {
  const { result } = store.get();
  if (result?.url) URL.revokeObjectURL(result.url);
  store.set({ result: undefined });
}

/** @param {string} path */
export function nameOf(path) {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** @param {number} everyMs @param {() => void} step */
function throttled(everyMs, step) {
  let last = performance.now();
  return () => {
    if (performance.now() - last < everyMs) return;
    last = performance.now();
    step();
  };
}
