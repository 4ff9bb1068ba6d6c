// @ts-check
// What outlives the page: where one was, what was under way, and where the bytes of the last files came from. Never a
// token: that is in memory only.

/**
 * @typedef {object} Job a download that is not finished
 * @property {string} endpoint
 * @property {string} repo
 * @property {string} path
 * @property {string} revision the commit, once it is known, so that going on is about the same content
 * @property {string} identity empty while it is not known
 * @property {number} size
 * @property {'running' | 'paused'} status
 * @property {boolean} withToken whether a token was used, which has to be entered again
 * @property {boolean} toFile whether it went straight into a file, which has to be picked again
 *
 * @typedef {object} Seen a file that was downloaded, or begun
 * @property {string} identity
 * @property {import('./sources.js').Run[]} runs
 * @property {number} network bytes that came over the network for it
 * @property {number} kept bytes that it added to the cache
 * @property {boolean} [cancelled] whether it was given up before its end
 * @property {number} [since] what the cache held when a go began that has not ended yet, or was cut off by a reload
 *
 * @typedef {{ endpoint: string, repo: string }} Place
 * @typedef {{ endpoint?: string, places: Place[], job?: Job, seen: Seen[] }} Remembered
 */

const KEY = 'xetkit-example';
const MAX_PLACES = 8;
const MAX_FILES = 20;

/** @returns {Remembered} */
export function recall() {
  try {
    const { endpoint, places, job, seen } = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return { endpoint, places: places ?? [], job, seen: seen ?? [] };
  } catch {
    // Refused, or written by something else: one starts anew.
    return { places: [], seen: [] };
  }
}

/** @param {(remembered: Remembered) => Partial<Remembered>} change */
function remember(change) {
  const now = recall();
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...now, ...change(now) }));
  } catch {
    // Refused or full. All that is lost is that a reload goes on by itself.
  }
}

/** @param {string} endpoint @param {string} repo */
export function rememberRepo(endpoint, repo) {
  remember(({ places }) => {
    const others = places.filter((other) => other.repo !== repo || other.endpoint !== endpoint);
    return { endpoint, places: [{ endpoint, repo }, ...others].slice(0, MAX_PLACES) };
  });
}

/** @param {Job | undefined} job */
export function rememberJob(job) {
  remember(() => ({ job }));
}

/** @param {Seen} file */
export function rememberSeen(file) {
  remember(({ seen }) => ({
    seen: [file, ...seen.filter(({ identity }) => identity !== file.identity)].slice(0, MAX_FILES),
  }));
}

/** @param {string} identity */
export function recallSeen(identity) {
  return recall().seen.find((one) => one.identity === identity);
}

/** @param {string} identity */
export function rememberCancelled(identity) {
  const seen = recallSeen(identity);
  if (seen) rememberSeen({ ...seen, cancelled: true });
}

/**
 * Before a go begins: what the last one added to the cache, if a reload kept it from saying so itself.
 * @param {number} held what the cache holds now, in bytes
 */
export function settle(held) {
  remember(({ seen }) => ({
    seen: seen.map(({ since, ...file }) => {
      if (since === undefined) return file;
      return { ...file, kept: file.kept + Math.max(0, held - since) };
    }),
  }));
}

/** Chunks are gone, so nothing comes from here any more. */
export function forgetSeen() {
  remember(() => ({ seen: [] }));
}
