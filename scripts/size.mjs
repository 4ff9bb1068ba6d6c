// @ts-check
// `node scripts/size.mjs`: what a page has to load, from the built package, as a bundler makes it for browsers.
// `node scripts/size.mjs --modules`: which source files of the download path take most of it.
import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What each part is when somebody uses it. @type {Record<string, Part>} */
const PARTS = {
  'download path': { stdin: from("export { XetReader } from 'xetkit/read';") },
  'small fetch adapter': { stdin: from("export { createXetFetch } from 'xetkit/read';") },
  'whole client': { stdin: from("export { XetClient } from 'xetkit';") },
  'fetch adapter': { stdin: from("export { createXetFetch } from 'xetkit/fetch';") },
  'service worker': { stdin: from("export { installXet } from 'xetkit/service-worker';") },
  'codec worker': { entryPoints: ['dist/codec.worker.js'] },
};

/** @typedef {Pick<import('esbuild').BuildOptions, 'stdin' | 'entryPoints'>} Part */

/** @param {string} contents */
function from(contents) {
  return { contents, resolveDir: root };
}

/** @typedef {{ raw: number, gzip: number, lazy: string[] }} Size in bytes; `lazy` are imports that wait until they are called. */

/** @param {Uint8Array} bytes */
const sizeOf = (bytes) => ({ raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length });

/** @param {Part} part */
async function bundle(part) {
  const { outputFiles, metafile } = await build({
    ...part,
    // That of the project leads to its sources; what is measured is the package.
    tsconfigRaw: {},
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    outdir: '.',
    metafile: true,
    logLevel: 'error',
  });
  return { bytes: outputFiles[0]?.contents ?? new Uint8Array(), metafile };
}

/** The parts of the package, in bytes. @returns {Promise<Record<string, Size>>} */
export async function measure() {
  /** @type {Record<string, Size>} */
  const sizes = {};
  for (const [name, part] of Object.entries(PARTS)) {
    const { bytes, metafile } = await bundle(part);
    const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
    const lazy = imports.filter(({ kind }) => kind === 'dynamic-import').map(({ path }) => path);
    sizes[name] = { ...sizeOf(bytes), lazy };
  }
  const wasm = await readFile(new URL('../pkg/xetkit_codec_bg.wasm', import.meta.url));
  return { ...sizes, WebAssembly: { ...sizeOf(wasm), lazy: [] } };
}

/** Source files of the download path and their minified bytes, largest first. @returns {Promise<[string, number][]>} */
export async function modules() {
  const { metafile } = await bundle({ entryPoints: ['src/entries/index.ts'] });
  return Object.values(metafile.outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .map(([path, { bytesInOutput }]) => /** @type {[string, number]} */ ([relative('.', path), bytesInOutput]))
    .sort(([, a], [, b]) => b - a);
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  if (argv.includes('--modules')) {
    for (const [path, bytes] of await modules()) console.log(`${String(bytes).padStart(7)}  ${path}`);
  } else {
    /** @param {number} bytes */
    const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(9);
    for (const [name, { raw, gzip }] of Object.entries(await measure())) {
      console.log(`${name.padEnd(20)}${kilobytes(raw)}  gzip ${kilobytes(gzip)}`);
    }
  }
}
