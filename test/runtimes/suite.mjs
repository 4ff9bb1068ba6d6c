// @ts-check
// What must work in every runtime, without a test framework: each case throws when something is wrong.
// Runs in browsers too, so nothing here may ask for a module of Node's.

/**
 * @typedef {{ endpoint: string, repo: string, files: Record<string, { size: number, sha256: string }>, corrupt: string }} Expected
 * @typedef {typeof import('../../src/index.ts')} Xetkit
 */

/** @param {Uint8Array} bytes */
async function sha256(bytes) {
  const digest = await crypto.subtle.digest('SHA-256', bytes.slice());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {unknown} actual
 * @param {unknown} expected
 * @param {string} what
 */
function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: expected ${String(expected)}, got ${String(actual)}`);
}

/**
 * The cases, by name.
 * @param {Xetkit} xetkit
 * @param {Expected} expected
 * @returns {Record<string, () => Promise<void>>}
 */
export function cases(xetkit, expected) {
  const { repo, files, endpoint } = expected;
  /** @param {import('../../src/index.ts').XetClientOptions} [options] */
  const makeClient = (options) => new xetkit.XetClient({ endpoint, accessToken: '', ...options });
  return {
    'every file, in workers': async () => {
      /** @type {string[]} */
      const warnings = [];
      const client = makeClient({ onWarning: (text) => warnings.push(text) });
      for (const [path, { size, sha256: hash }] of Object.entries(files)) {
        const file = await client.open({ repo, path });
        equal(file.size, size, `size of ${path}`);
        equal(await sha256(new Uint8Array(await file.arrayBuffer())), hash, `content of ${path}`);
      }
      await client.close();
      equal(warnings.join('; '), '', 'warnings');
    },
    'every file, on this thread': async () => {
      const client = makeClient({ workers: 0 });
      for (const [path, { sha256: hash }] of Object.entries(files)) {
        const file = await client.open({ repo, path });
        equal(await sha256(new Uint8Array(await file.arrayBuffer())), hash, `content of ${path}`);
      }
      await client.close();
    },
    'a stream and its slices': async () => {
      const client = makeClient();
      const [path = '', { size, sha256: hash } = { size: 0, sha256: '' }] = Object.entries(files).at(-1) ?? [];
      const file = await client.open({ repo, path });
      const whole = new Uint8Array(await new Response(file.stream()).arrayBuffer());
      equal(await sha256(whole), hash, `stream of ${path}`);
      const middle = await file.read(size >> 2, size >> 1);
      equal(await sha256(middle), await sha256(whole.subarray(size >> 2, size >> 1)), 'a range');
      const end = new Uint8Array(await file.slice(-1000).arrayBuffer());
      equal(await sha256(end), await sha256(whole.subarray(size - 1000)), 'the end');
      await client.close();
    },
    'an abort': async () => {
      const client = makeClient();
      const path = Object.keys(files).at(-1) ?? '';
      const file = await client.open({ repo, path });
      const stop = new AbortController();
      const reason = new Error('enough');
      const reading = file.arrayBuffer({ signal: stop.signal });
      stop.abort(reason);
      equal(await reading.catch((error) => error), reason, 'what an aborted read rejects with');
      await client.close();
    },
    'corrupt data': async () => {
      const client = makeClient();
      const file = await client.open({ repo, path: expected.corrupt });
      const error = await file.arrayBuffer().catch((/** @type {unknown} */ caught) => caught);
      equal(xetkit.isXetError(error, 'INTEGRITY'), true, `corrupt data is an INTEGRITY error (${String(error)})`);
      await client.close();
    },
    'a file that is not there': async () => {
      const client = makeClient();
      const error = await client.open({ repo, path: 'missing.bin' }).catch((/** @type {unknown} */ caught) => caught);
      equal(xetkit.isXetError(error, 'ENTRY_NOT_FOUND'), true, `a missing file is ENTRY_NOT_FOUND (${String(error)})`);
      await client.close();
    },
  };
}

/**
 * Runs them all and says how it went, one line a case.
 * @param {Xetkit} xetkit
 * @param {Expected} expected
 * @param {(line: string) => void} say
 */
export async function runCases(xetkit, expected, say) {
  let failed = 0;
  for (const [name, run] of Object.entries(cases(xetkit, expected))) {
    try {
      await run();
      say(`ok   ${name}`);
    } catch (error) {
      failed++;
      say(`FAIL ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  return failed;
}
