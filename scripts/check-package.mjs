// @ts-check
// `npm run check:package`: the package as npm would publish it, looked at by publint and are-the-types-wrong, and for what
// would run on a user's machine when it is installed.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { checkPackage as checkTypes, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

/** What installing may run. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish', 'preprepare', 'postprepare'];

/** Packs what is built.
 * @param {string} folder
 * @returns {Promise<{ tarball: string, files: string[], bytes: number }>}
 */
export async function pack(folder) {
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: root,
  });
  const [{ filename, files, size }] = JSON.parse(stdout);
  return {
    tarball: join(folder, filename),
    files: files.map((/** @type {{ path: string }} */ { path }) => path),
    bytes: size,
  };
}

/** All that is wrong with a packed package, a line each.
 * @param {string} tarball
 */
export async function problemsOf(tarball) {
  const data = await readFile(tarball);
  const pkg = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const bytes = new Uint8Array(data);
  const { messages } = await publint({ pack: { tarball: bytes.buffer }, strict: true });
  const types = await checkTypes(createPackageFromTarballData(bytes));
  return [
    ...messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`),
    ...(types.types
      ? types.problems.filter(isProblem).map((problem) => `types: ${JSON.stringify(problem)}`)
      : ['types: none']),
    ...INSTALL_SCRIPTS.filter((name) => name in pkg.scripts).map((name) => `npm runs '${name}' when it is installed`),
    ...(Object.keys(pkg.dependencies ?? {}).length > 0 ? ['There are run-time dependencies.'] : []),
  ];
}

/**
 * Nodes before 16 and the resolution of their time know no exports: the package needs Node 20.19. There, CommonJS gets
 * modules by require().
 * @param {import('@arethetypeswrong/core').Problem} problem
 */
function isProblem(problem) {
  if ('resolutionKind' in problem && problem.resolutionKind === 'node10') return false;
  return problem.kind !== 'CJSResolvesToESM';
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-pack-'));
  try {
    const { tarball, files, bytes } = await pack(folder);
    const problems = await problemsOf(tarball);
    console.log(`${files.length} files, ${Math.round(bytes / 1000)} kB`);
    for (const problem of problems) console.error(problem);
    process.exitCode = problems.length > 0 ? 1 : 0;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
