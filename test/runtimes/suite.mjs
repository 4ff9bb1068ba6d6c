// @ts-check
// What must work in every runtime, without a test framework: each case throws when something is wrong.
// Runs in browsers too, so nothing here may ask for a module of Node's.

/**
 * @typedef {{ endpoint: string, repo: string, many: string, files: Record<string, { size: number, sha256: string }>, corrupt: string, remembered?: string }} Expected
 * @typedef {typeof import('../../src/entries/index.ts') & Pick<typeof import('../../src/entries/read.ts'), 'XetReader'>} Xetkit
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
  const { repo, many, files, endpoint, remembered } = expected;
  // In a page the name of a database, elsewhere a folder.
  const dir = () => `${remembered === undefined ? '' : `${remembered}/`}${crypto.randomUUID()}`;
  /** @param {import('../../src/entries/index.ts').XetClientOptions} [options] */
  const makeClient = (options) =>
    new xetkit.XetClient({ endpoint, accessToken: '', chunkCache: { dir: dir() }, ...options });
  /** For files: on a disk where there is one, else in the page's own storage. */
  const fileClient = (options = {}) =>
    makeClient(remembered === undefined ? { files: xetkit.opfsFiles, ...options } : options);
  const [largest = '', { size: largestSize, sha256: largestHash } = { size: 0, sha256: '' }] =
    Object.entries(files).sort(([, a], [, b]) => b.size - a.size)[0] ?? [];
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
    'a reader that has nothing but what it is handed': async () => {
      /** @type {string[]} */
      const warnings = [];
      const onWarning = (/** @type {string} */ text) => void warnings.push(text);
      const plain = { endpoint, accessToken: '', onWarning };
      const remembering = { ...plain, caches: xetkit.xetCaches, chunkCache: { dir: dir() } };
      for (const options of [plain, remembering, { ...plain, workers: 0, codec: xetkit.threadCodec }]) {
        const reader = new xetkit.XetReader(options);
        for (const [path, { size, sha256: hash }] of Object.entries(files)) {
          const file = await reader.open({ repo, path });
          equal(file.size, size, `size of ${path}`);
          equal(
            await sha256(new Uint8Array(await new Response(file.stream()).arrayBuffer())),
            hash,
            `stream of ${path}`,
          );
        }
        const file = await reader.open({ repo, path: largest });
        const bytes = new Uint8Array(await file.arrayBuffer());
        equal(await sha256(bytes), largestHash, 'content');
        const middle = await file.slice(largestSize >> 2).read(0, 200_000);
        equal(await sha256(middle), await sha256(bytes.subarray(largestSize >> 2).subarray(0, 200_000)), 'a range');
        if (remembered === undefined) {
          const saved = await xetkit.saveFile(file, { opfs: `${dir()}/saved` });
          equal(`${saved.verified} ${saved.size}`, `xet ${largestSize}`, 'what was saved');
        }
        const corrupt = await reader.open({ repo, path: expected.corrupt });
        const error = await corrupt.arrayBuffer().catch((/** @type {unknown} */ caught) => caught);
        equal(xetkit.isXetError(error, 'INTEGRITY'), true, `corrupt data is an INTEGRITY error (${String(error)})`);
        await reader.close();
      }
      equal(warnings.join('; '), '', 'warnings');
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
    'a file on the disk, gone on with after an abort, and then not fetched again': async () => {
      const localDir = dir();
      const stop = new AbortController();
      const stopped = fileClient({ concurrency: 1 });
      const reason = new Error('enough');
      /** @type {unknown} */
      const error = await stopped
        .downloadFile({
          ...{ repo, path: largest, localDir, signal: stop.signal },
          onProgress: ({ bytes }) => {
            if (bytes.done > 0 && bytes.done < largestSize) stop.abort(reason);
          },
        })
        .catch((caught) => caught);
      await stopped.close();
      const client = fileClient();
      const result = await client.downloadFile({ repo, path: largest, localDir });
      // On a fast machine it may have been done before anybody could stop it.
      if (error === reason) {
        const { network, local } = result.bytes;
        equal(local + network < largestSize * 1.1, true, `fetched ${network} bytes with ${local} there`);
      } else equal(error instanceof Error, false, `an abort: ${String(error)}`);
      // A file that was whole already may have been looked at by its sha256.
      const isRight = result.verified === 'xet' || (result.verified === 'sha256' && result.bytes.network === 0);
      equal(isRight, true, `verified by ${result.verified} with ${result.bytes.network} bytes from the network`);
      const again = await client.downloadFile({ repo, path: largest, localDir, revision: result.commit });
      equal(JSON.stringify([again.bytes.network, again.requests]), '[0,0]', 'bytes and requests of a second time');
      await client.close();
    },
    'a snapshot, and the same without a server': async () => {
      const localDir = dir();
      const selection = { repo, localDir, ignorePatterns: expected.corrupt };
      const client = fileClient();
      const { commit, files: got } = await client.snapshot(selection);
      equal(
        got
          .map(({ path: file }) => file)
          .sort()
          .join(),
        Object.keys(files).sort().join(),
        'files of the snapshot',
      );
      await client.close();
      const offline = fileClient({ offline: true });
      const again = await offline.snapshot(selection);
      equal(JSON.stringify([again.commit, again.requests]), JSON.stringify([commit, 0]), 'the snapshot offline');
      const missing = await offline.downloadFile({ repo, path: 'missing.bin', localDir }).catch((caught) => caught);
      equal(/OFFLINE|ENTRY_NOT_FOUND/.test(missing.code), true, `what is not here (${String(missing)})`);
      await offline.close();
    },
    'many small files, and all of them again': async () => {
      const client = fileClient();
      const selection = { repo: many, localDir: dir() };
      const first = await client.snapshot(selection);
      equal(first.files.length, 100, 'files');
      equal(first.files.map(({ verified }) => verified !== undefined).includes(false), false, 'files without a check');
      equal(first.bytes.local, 0, 'bytes that were here');
      const again = await client.snapshot(selection);
      const total = first.files.reduce((sum, { size }) => sum + size, 0);
      equal(
        JSON.stringify([again.bytes.network, again.bytes.local]),
        JSON.stringify([0, total]),
        'bytes of a second time',
      );
      await client.close();
    },
    'two at once fetch a file once': async () => {
      const localDir = dir();
      const clients = [fileClient(), fileClient()];
      const results = await Promise.all(
        clients.map((client) => client.downloadFile({ repo, path: largest, localDir })),
      );
      const network = results.reduce((sum, { bytes }) => sum + bytes.network, 0);
      equal(network < largestSize * 1.5, true, `two downloads fetched ${network} bytes of ${largestSize}`);
      for (const client of clients) await client.close();
    },
    'a cache that is too small for the file keeps to its size': async () => {
      const maxBytes = 1_500_000;
      const client = makeClient({ chunkCache: { dir: dir(), maxBytes } });
      for (let turn = 0; turn < 2; turn++) {
        const file = await client.open({ repo, path: largest });
        equal(await sha256(new Uint8Array(await file.arrayBuffer())), largestHash, 'content');
      }
      const { chunks } = (await client.cache.usage()).xetkit;
      equal(chunks !== undefined && chunks.bytes <= maxBytes * 1.05, true, `cache of ${chunks?.bytes} bytes`);
      await client.close();
    },
    'an upload, read again, and then nothing left to upload': async () => {
      const client = makeClient(remembered === undefined ? { uploads: xetkit.webUploads } : {});
      const to = `runtimes/upload-${crypto.randomUUID()}`;
      await client.createRepo({ repo: to });
      const large = new Uint8Array(3_000_000);
      for (let at = 0; at < large.length; at += 65_536) crypto.getRandomValues(large.subarray(at, at + 65_536));
      const small = new TextEncoder().encode('{"some": "text"}\n');
      /** @type {import('../../src/entries/index.ts').UploadFile[]} */
      const uploads = [
        { path: 'folder/large.bin', content: new Blob([large]) },
        { path: 'small.json', content: small },
        { path: 'stream.bin', content: new Blob([large, small]).stream() },
      ];
      const result = await client.upload({ repo: to, files: uploads });
      equal(
        result.files.map(({ mode, status }) => `${mode} ${status}`).join(),
        'lfs uploaded,regular uploaded,lfs uploaded',
        'what became of the files',
      );
      equal(result.files[0]?.sha256, await sha256(large), 'the sha256 that is committed');
      // The second file is the first one and a little more.
      equal(result.bytes.sent < large.length * 1.2, true, `${result.bytes.sent} bytes sent`);
      const hash = await sha256(
        new Uint8Array(await (await client.open({ repo: to, path: 'folder/large.bin' })).arrayBuffer()),
      );
      equal(hash, await sha256(large), 'content');
      const again = await client.upload({ repo: to, files: uploads.slice(0, 2) });
      equal(
        JSON.stringify([again.commits.length, again.bytes.sent, again.commit]),
        JSON.stringify([0, 0, result.commit]),
        'a second time',
      );
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
