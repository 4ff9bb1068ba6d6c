// @ts-check
// What each context does with the package it has got. Nothing is imported here, so that every bundler takes it.

/**
 * @typedef {object} Order What a page is told in its address.
 * @property {string} endpoint
 * @property {string} repo
 * @property {string} path
 * @property {string} report Where to tell how it went.
 */
/**
 * @typedef {object} Outcome
 * @property {string} [digest] sha256 of what was read.
 * @property {'workers' | 'thread'} [decodedIn] Where the codec ran; little things are done on the thread in any case.
 * @property {string[]} [warnings]
 * @property {string} [error]
 */
/** @typedef {import('../../../../src/client/xet-client.ts').XetClient} Client */
/** @typedef {import('../../../../src/entries/read.ts').XetReader} Downloader */
/** @typedef {import('../../../../src/entries/index.ts').XetClientOptions} Options */

/** @returns {Order} */
export const orderOfPage = () => JSON.parse(new URLSearchParams(location.search).get('order') ?? '{}');

/**
 * Reads a file with a client and says how.
 * @param {typeof import('../../../../src/client/xet-client.ts').XetClient} XetClient
 * @param {Order} order
 */
export const download = (XetClient, order) =>
  read(
    (options) => new XetClient(options),
    order,
    (client) => (client.metrics().codec.inWorkers > 0 ? 'workers' : 'thread'),
  );

/**
 * Reads a file and says how; never fails.
 * @template {Client | Downloader} C
 * @param {(options: Options) => C} make
 * @param {Order} order
 * @param {(client: C) => Outcome['decodedIn']} whereOf
 * @returns {Promise<Outcome>}
 */
export async function read(make, { endpoint, repo, path }, whereOf) {
  /** @type {string[]} */
  const warnings = [];
  try {
    const client = make({ endpoint, accessToken: '', onWarning: (text) => void warnings.push(text) });
    const file = await client.open({ repo, path });
    const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
    const decodedIn = whereOf(client);
    await client.close();
    const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
    return { digest: hex, decodedIn, warnings };
  } catch (error) {
    return { error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error), warnings };
  }
}

/**
 * @param {Order} order
 * @param {Outcome} outcome
 */
export async function report(order, outcome) {
  await fetch(order.report, { method: 'POST', body: JSON.stringify(outcome) });
}
