// @ts-check
// `node scripts/third-party.mjs`: writes THIRD_PARTY.md, what the package contains that others wrote: npm packages that are
// bundled, and crates in the WebAssembly module. Needs cargo. `--check` needs it not: it says whether either has changed since.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const written = join(root, 'THIRD_PARTY.md');
const ENTRIES = ['index', 'read', 'fetch', 'codec', 'service-worker', 'compat', 'local-hub', 'cli'];

/** @typedef {{ name: string, version: string, licence: string, folder: string }} Part */

/** npm packages whose code is in dist/.
 * @returns {Promise<Part[]>}
 */
async function bundled() {
  const { metafile } = await build({
    entryPoints: [
      ...ENTRIES.map((name) => `src/entries/${name}.ts`),
      'src/entries/codec.worker.ts',
      'src/entries/codec.worker.node.ts',
      'src/entries/disk.worker.node.ts',
      'src/entries/transfer.worker.node.ts',
    ],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    outdir: 'unused',
    external: ['../pkg/*', '@huggingface/hub'],
    logLevel: 'silent',
  });
  const names = new Set(
    Object.keys(metafile.inputs).flatMap((path) => path.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []),
  );
  return Promise.all(
    [...names].sort().map(async (path) => {
      const { name, version, license } = JSON.parse(await readFile(join(root, path, 'package.json'), 'utf8'));
      return { name, version, licence: license, folder: join(root, path) };
    }),
  );
}

/** Crates whose code is in the module: what the crate depends on when it runs, but for macros.
 * @returns {Promise<Part[]>}
 */
async function crates() {
  const { stdout } = await run(
    'cargo',
    [
      'metadata',
      '--format-version=1',
      '--locked',
      '--filter-platform=wasm32-unknown-unknown',
      '--manifest-path',
      'rust/Cargo.toml',
    ],
    { cwd: root, maxBuffer: 64 * 1024 * 1024 },
  );
  const { packages, resolve } = JSON.parse(stdout);
  /** @typedef {{ id: string, name: string, version: string, license: string, source: string | null, manifest_path: string, targets: { kind: string[] }[] }} Crate */
  const byId = new Map(packages.map((/** @type {Crate} */ crate) => [crate.id, crate]));
  const nodes = new Map(resolve.nodes.map((/** @type {{ id: string }} */ node) => [node.id, node]));
  const reached = new Set([resolve.root]);
  for (const id of reached) {
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
      const crate = byId.get(pkg);
      const runs = kinds.some((/** @type {{ kind: string | null }} */ { kind }) => kind === null);
      const isMacro = crate.targets.some((/** @type {{ kind: string[] }} */ { kind }) => kind.includes('proc-macro'));
      if (runs && !isMacro) reached.add(pkg);
    }
  }
  return [...reached]
    .map((id) => byId.get(id))
    .filter(({ source }) => source !== null)
    .map(({ name, version, license, manifest_path: manifest }) => ({
      name,
      version,
      licence: license.replaceAll('/', ' OR '),
      folder: dirname(manifest),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The words of a licence that go with a part. Where there is a choice, those of MIT; Apache's are in LICENSE.
 * @param {Part} part
 */
async function notice({ folder, licence }) {
  // Some have a folder of them.
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const names = files
    .map((file) => relative(folder, join(file.parentPath, file.name)))
    .filter((name) => /^(licen[cs]e|copying|notice|unlicense)/i.test(name))
    .sort();
  if (/^Apache-2\.0$/.test(licence)) return '';
  const named = names.find((name) => /mit/i.test(name)) ?? names.find((name) => !/apache/i.test(name)) ?? names[0];
  if (named === undefined) return '';
  const text = (await readFile(join(folder, named), 'utf8')).replaceAll('\r\n', '\n').trim();
  return /Apache License/.test(text) && text.length > 5000 ? '' : text;
}

/** @param {Part[]} parts */
const table = (parts) => [
  '| | version | licence |',
  '|---|---|---|',
  ...parts.map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`),
];

const lockHash = async () =>
  createHash('sha256')
    .update(await readFile(join(root, 'rust/Cargo.lock')))
    .digest('hex');

/** Whether the file is about what is bundled now.
 * @returns {Promise<string[]>} what is not right, a line each
 */
export async function checkThirdParty() {
  const text = await readFile(written, 'utf8');
  const stale = [];
  if (!text.includes(table(await bundled()).join('\n')))
    stale.push('Other npm packages are bundled than THIRD_PARTY.md says.');
  if (!text.includes(await lockHash())) stale.push('rust/Cargo.lock has changed since THIRD_PARTY.md was written.');
  return stale;
}

async function write() {
  const npm = await bundled();
  const rust = await crates();
  /** @type {Map<string, string[]>} */
  const notices = new Map();
  for (const part of [...npm, ...rust]) {
    const text = await notice(part);
    if (text !== '') notices.set(text, [...(notices.get(text) ?? []), `${part.name} ${part.version}`]);
  }
  const lines = [
    '# What others wrote',
    '',
    'Written by `node scripts/third-party.mjs`. There are no dependencies to install: this is what is in the files.',
    '',
    '## npm packages, bundled into dist/',
    '',
    ...table(npm),
    '',
    '## Crates, in the WebAssembly module of pkg/',
    '',
    `By rust/Cargo.lock with the sha256 ${await lockHash()}.`,
    'The standard library of Rust (MIT OR Apache-2.0) is compiled in as well. Of many crates the linker keeps little or nothing.',
    '',
    ...table(rust),
    '',
    '## Their words',
    '',
    'Where a licence can be chosen, MIT is. The text of Apache-2.0 is in LICENSE.',
    '',
    ...[...notices].flatMap(([text, names]) => [
      `### ${names.join(', ')}`,
      '',
      '```',
      text.replaceAll('```', "'''"),
      '```',
      '',
    ]),
  ];
  await writeFile(written, `${lines.join('\n').trim()}\n`);
  console.log(`${npm.length} packages, ${rust.length} crates`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--check')) {
    const stale = await checkThirdParty();
    for (const line of stale) console.error(line);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    await write();
  }
}
