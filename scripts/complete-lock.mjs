// Completes package-lock.json: `npm run lock`, after every change of a dependency.
//
// A registry mirror may lack builds of a tool for other platforms. npm then leaves them out of the lock file, and
// `npm ci` refuses it. They are optional and never installed here, so name and version are all that is needed.
import { readFileSync, writeFileSync } from 'node:fs';

const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));

/** The platform that such a package's name ends with. */
function platformOf(name) {
  const systems = 'android|darwin|freebsd|linux|openbsd|openharmony|win32';
  const [, os, cpu, abi] = new RegExp(`-(${systems})-([a-z0-9]+)(?:-([a-z]+))?$`).exec(name) ?? [];
  const libc =
    os !== 'linux' ? undefined : abi?.startsWith('musl') ? 'musl' : abi?.startsWith('gnu') ? 'glibc' : undefined;
  return { ...(os && { os: [os] }), ...(cpu && { cpu: [cpu] }), ...(libc && { libc: [libc] }) };
}

export function missingOptional(packages) {
  const missing = new Map();
  for (const [place, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const nested = `${place}/node_modules/${name}`;
      const top = `node_modules/${name}`;
      if (!packages[nested] && !packages[top])
        missing.set(top, { version, ...(dev && { dev: true }), optional: true, ...platformOf(name) });
    }
  }
  return missing;
}

const missing = missingOptional(lock.packages);
if (process.argv.includes('--check')) {
  for (const name of missing.keys()) console.error(`package-lock.json lacks ${name}`);
  process.exitCode = missing.size === 0 ? 0 : 1;
} else if (missing.size > 0) {
  for (const [name, entry] of missing) lock.packages[name] = entry;
  const [root, ...rest] = Object.entries(lock.packages);
  lock.packages = Object.fromEntries([root, ...rest.sort(([a], [b]) => (a < b ? -1 : 1))]);
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`added ${missing.size} optional packages to package-lock.json`);
}
