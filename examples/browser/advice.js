// @ts-check
// Errors as they are shown. Messages say what happened and what helps; here is what on this page helps.
import { isXetError } from './xetkit.js';

const GO_ON = 'What has come is kept: try again, and it goes on from there.';

/** @type {Partial<Record<import('./xetkit.js').XetErrorCode, string>>} */
const ADVICE = {
  REPOSITORY_NOT_FOUND: 'Enter a token that may read it, if it is private.',
  GATED: 'Accept the conditions on the page of the repository, then enter a token of that account.',
  UNAUTHORIZED: 'Enter the token again, or none.',
  FORBIDDEN: 'Enter a token that may read it.',
  RATE_LIMITED: `With a token more is allowed. ${GO_ON}`,
  SERVER: GO_ON,
  NETWORK: `Check the connection, and the address of the Hub. ${GO_ON}`,
  TIMEOUT: GO_ON,
  STALLED: GO_ON,
  INTEGRITY: 'None of it was given out as right. Clear what is kept, and try again.',
  PROTOCOL: 'Check that the address is that of a Hub.',
  QUOTA: 'Clear what is kept, and try again.',
  CODEC_CRASHED: `Close other tabs: most likely memory ran short. ${GO_ON}`,
};

/** @typedef {{ code: string, message: string, advice: string }} Problem */

/** @param {unknown} error @returns {Problem} */
export function problemOf(error) {
  const message = error instanceof Error ? error.message : String(error);
  if (isXetError(error)) return { code: error.code, message, advice: ADVICE[error.code] ?? '' };
  const name = error instanceof Error ? error.name : 'Error';
  // The browser's own, as from writing a file to a disk that is full.
  if (name === 'QuotaExceededError') return { code: 'QUOTA', message, advice: ADVICE.QUOTA ?? '' };
  return { code: name, message, advice: '' };
}
