// @ts-check
// All that the page shows.
import { createStore } from './store.js';

/**
 * - `none`: no file chosen. `ready`: chosen. `running`, `paused`, `verified`, `failed`: as they say.
 * - `elsewhere`: another tab is at it.
 * @typedef {'none' | 'ready' | 'running' | 'paused' | 'verified' | 'failed' | 'elsewhere'} Status
 *
 * @typedef {object} Listing
 * @property {'none' | 'loading' | 'ready' | 'failed'} status
 * @property {string} repo
 * @property {string} revision
 * @property {string} folder
 * @property {import('./xetkit.js').ListEntry[]} entries
 * @property {boolean} more whether there are others behind these
 * @property {import('./advice.js').Problem} [problem]
 *
 * @typedef {object} Result what is known of a file once it is verified
 * @property {string | undefined} xetHash
 * @property {string | undefined} sha256
 * @property {boolean} computed whether the sha256 was computed here, or is the Hub's word for this content
 * @property {string | undefined} url of the content in memory; undefined if it went into a file
 * @property {number} seconds
 *
 * @typedef {object} Kept
 * @property {import('./xetkit.js').CacheUsage} [usage]
 * @property {StorageEstimate} [estimate]
 * @property {boolean} [persisted]
 * @property {import('./advice.js').Problem} [problem]
 *
 * @typedef {object} State
 * @property {string} endpoint
 * @property {string} token in memory only
 * @property {Listing} listing
 * @property {Status} status
 * @property {import('./remembered.js').Job} [job] the chosen file
 * @property {import('./transfer.js').Transfer} [transfer] the last go at it
 * @property {import('./transfer.js').Earlier} [earlier] what is remembered of it where there was no go yet
 * @property {import('./advice.js').Problem} [problem]
 * @property {Result} [result]
 * @property {Kept} kept
 * @property {{ at: Date, text: string, tone: 'plain' | 'warn' | 'bad' }[]} notes newest first
 */

const MAX_NOTES = 60;

export const store = createStore(
  /** @type {State} */ ({
    endpoint: '',
    token: '',
    listing: { status: 'none', repo: '', revision: '', folder: '', entries: [], more: false },
    status: 'none',
    kept: {},
    notes: [],
  }),
);

/** Writes into the journal. @param {string} text @param {'plain' | 'warn' | 'bad'} [tone] */
export function note(text, tone = 'plain') {
  store.set({ notes: [{ at: new Date(), text, tone }, ...store.get().notes].slice(0, MAX_NOTES) });
}
