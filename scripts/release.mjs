// @ts-check
// `node scripts/release.mjs`: checks that this commit can be released and says how. `--publish` does it. Provenance is
// npm's: it only gives one to a build that a CI service has vouched for.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What keeps a version from being released, a line each.
 * @param {{ version: string, shownVersion: string, changelog: string, gitStatus: string, tags: string[] }} state
 */
export function hindrances({ version, shownVersion, changelog, gitStatus, tags }) {
  const found = [];
  if (!/^\d+\.\d+\.\d+(-[0-9a-z.-]+)?$/.test(version)) found.push(`package.json: '${version}' is no version.`);
  if (shownVersion !== version) found.push(`src/version.ts says ${shownVersion}, package.json ${version}.`);
  if (gitStatus !== '') found.push('There are changes that are not committed.');
  if (tags.includes(`v${version}`)) found.push(`v${version} has been released.`);
  const headings = Array.from(changelog.matchAll(/^## (.+)$/gm), ([, heading = '']) => heading);
  const [newest = ''] = headings;
  if (newest.split(' ')[0] !== version) {
    found.push(`CHANGELOG.md begins with '${newest}': give its entries the heading '## ${version} – DATE'.`);
  } else if (!/^- /m.test(changelog.split(/^## /m)[1] ?? '')) {
    found.push(`CHANGELOG.md says nothing about ${version}.`);
  }
  return found;
}

/** @param {string[]} args */
const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
/** @param {string} path */
const read = (path) => readFileSync(`${root}${path}`, 'utf8');

/** @param {string} command */
function runOrEnd(command) {
  console.log(`$ ${command}`);
  const { status } = spawnSync(command, { cwd: root, shell: true, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const publish = process.argv.includes('--publish');
  const { version } = JSON.parse(read('package.json'));
  const found = hindrances({
    version,
    shownVersion: /VERSION = '([^']+)'/.exec(read('src/version.ts'))?.[1] ?? '',
    changelog: read('CHANGELOG.md'),
    gitStatus: git('status', '--porcelain'),
    tags: git('tag', '--list').split('\n'),
  });
  for (const line of found) console.error(line);
  if (found.length > 0) process.exit(1);
  for (const command of [
    'npm ci --no-audit --no-fund',
    'npm test',
    'npm run check:package',
    'node scripts/third-party.mjs --check',
  ]) {
    runOrEnd(command);
  }
  const tag = `git tag -a v${version} -m v${version}`;
  const release = `npm publish --provenance --access public --ignore-scripts${version.includes('-') ? ' --tag next' : ''}`;
  if (publish) {
    runOrEnd(release);
    runOrEnd(tag);
  } else {
    runOrEnd(`${release} --dry-run`.replace('--provenance ', ''));
    console.log(`\nThis can be released. In CI: node scripts/release.mjs --publish\n  ${release}\n  ${tag}`);
  }
}
