// Builds pkg/ from rust/: `npm run build:wasm`, or `-- --check` to fail when pkg/ is not what rust/ builds.
//
// Compiles the standard library too, so that a panic is a bare trap: there is no console to tell its message to, and
// the messages with the code that formats them are a tenth of the module. Works wherever rustup has the wasm32 target
// and the library's sources; where they cannot be fetched, on Debian, it uses the distribution's Rust. Installs what is
// missing; cargo tools go to a cache folder outside the checkout (XETKIT_TOOLS, default ~/.cache/xetkit).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const rust = join(root, 'rust');
const pkg = join(root, 'pkg');
const tools = process.env.XETKIT_TOOLS ?? join(homedir(), '.cache', 'xetkit');
const target = 'wasm32-unknown-unknown';
const outputs = ['xetkit_codec.js', 'xetkit_codec.d.ts', 'xetkit_codec_bg.wasm', 'xetkit_codec_bg.wasm.d.ts'];
const wasmFeatures = [
  'simd',
  'bulk-memory',
  'nontrapping-float-to-int',
  'sign-ext',
  'mutable-globals',
  'multivalue',
  'reference-types',
];

const run = (command, args, options = {}) => execFileSync(command, args, { stdio: 'inherit', ...options });
const read = (command, args, env) =>
  execFileSync(command, args, { encoding: 'utf8', env: env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] }).trim();
const works = (command, args) => {
  try {
    read(command, args);
    return true;
  } catch {
    return false;
  }
};

/** The files in a folder of rust/ and below it, with slashes on every platform. */
const filesIn = (folder) =>
  readdirSync(join(rust, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(rust, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));

/** A hash of what is compiled: sources, manifests and lock file. */
export function sourceHash() {
  const hash = createHash('sha256');
  const files = ['Cargo.toml', 'Cargo.lock', ...filesIn('src'), ...filesIn('stubs')].sort();
  for (const name of files)
    hash
      .update(`${name}\0`)
      .update(readFileSync(join(rust, name)))
      .update('\0');
  return hash.digest('hex');
}

function lockedVersion(crate) {
  const lock = readFileSync(join(rust, 'Cargo.lock'), 'utf8');
  const version = new RegExp(`name = "${crate}"\nversion = "([^"]+)"`).exec(lock)?.[1];
  if (!version) throw new Error(`rust/Cargo.lock does not name ${crate}`);
  return version;
}

/** Whether the Rust in the path has the target, which wasm-pack asks for, and the standard library's sources. */
function hasRustup() {
  if (!works('rustc', ['--version'])) return false;
  const libraries = read('rustc', ['--print', 'target-libdir', '--target', target]);
  const hasTarget = existsSync(libraries) && readdirSync(libraries).some((name) => name.startsWith('libstd-'));
  const sources = join(read('rustc', ['--print', 'sysroot']), 'lib', 'rustlib', 'src', 'rust', 'library');
  return (
    (hasTarget || works('rustup', ['target', 'add', target])) &&
    (existsSync(sources) || works('rustup', ['component', 'add', 'rust-src']))
  );
}

function debianToolchain() {
  const packages = ['rustc-web', 'cargo-web', 'rust-web-src', 'lld'];
  if (!packages.every((name) => works('dpkg', ['-s', name]))) {
    if (!works('apt-get', ['--version'])) {
      throw new Error(
        `No Rust with the ${target} target and its sources here. Install rustup and run:\n` +
          `rustup target add ${target} && rustup component add rust-src`,
      );
    }
    const install = ['install', '-y', '--no-install-recommends', ...packages];
    if (!works('apt-get', install)) {
      run('apt-get', ['update']);
      run('apt-get', install);
    }
  }
  // wasm-pack refuses a sysroot without this folder; the libraries themselves are built by build-std.
  mkdirSync(read('/usr/bin/rustc', ['--print', 'target-libdir', '--target', target]), { recursive: true });
  return {
    PATH: `/usr/bin:${process.env.PATH}`,
    RUSTC: '/usr/bin/rustc',
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: 'wasm-ld',
  };
}

/** What a tool does here takes seconds, however it was compiled; to compile it well takes minutes. */
const QUICKLY_COMPILED = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: '0',
  CARGO_PROFILE_RELEASE_LTO: 'off',
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '256',
};

function cargoTool(name, crate, version, locked) {
  const bin = join(tools, 'cargo', 'bin', name);
  if (!existsSync(bin) || !read(bin, ['--version']).includes(version)) {
    const args = ['install', crate, '--version', version, '--root', join(tools, 'cargo'), '--force'];
    run('cargo', locked ? [...args, '--locked'] : args, { env: { ...process.env, ...QUICKLY_COMPILED } });
  }
  return bin;
}

/** The Rust to build with: rustup's where it has what is needed, else Debian's; `prefer` is a compiler version. */
function toolchain(prefer) {
  const rustup = hasRustup();
  const other = rustup && prefer !== undefined && read('rustc', ['--version']) !== prefer;
  if (rustup && !other) return undefined;
  if (other && !(existsSync('/usr/bin/rustc') && read('/usr/bin/rustc', ['--version']) === prefer)) return undefined;
  return debianToolchain();
}

function build(out, prefer) {
  const debian = toolchain(prefer);
  const rustc = debian?.RUSTC ?? 'rustc';
  const bindgen = lockedVersion('wasm-bindgen');
  const wasmPack = cargoTool('wasm-pack', 'wasm-pack', '0.15.1', true);
  cargoTool('wasm-bindgen', 'wasm-bindgen-cli', bindgen, false);

  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const sysroot = read(rustc, ['--print', 'sysroot']);
  // The module must not depend on, or tell, where it was built.
  const remap = [
    [cargoHome, '/cargo'],
    [root, '/xetkit'],
    [sysroot, '/rust'],
    ['/usr/src', '/rust-src'],
  ];
  const flags = [
    '-C',
    'target-feature=+simd128',
    '--cfg',
    'getrandom_backend="wasm_js"',
    '-Z',
    'unstable-options',
    '-C',
    'panic=immediate-abort',
    ...(debian ? ['-C', 'linker-flavor=wasm-ld'] : []),
    ...remap.flatMap(([from, to]) => ['--remap-path-prefix', `${from}=${to}`]),
  ];
  const env = {
    ...process.env,
    ...debian,
    // Lets a released compiler build its own standard library, without its optional backtraces.
    RUSTC_BOOTSTRAP: '1',
    CARGO_UNSTABLE_BUILD_STD: 'std,panic_abort',
    CARGO_UNSTABLE_BUILD_STD_FEATURES: '',
    // For this target only: build scripts and macros run on the host.
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: flags.join(' '),
    CARGO_TARGET_DIR: join(tools, 'wasm-target'),
    PATH: `${join(tools, 'cargo', 'bin')}:${debian?.PATH ?? process.env.PATH}`,
  };
  run(
    wasmPack,
    [
      'build',
      rust,
      '--release',
      '--mode',
      'no-install',
      '--no-opt',
      '--no-pack',
      '--target',
      'web',
      '--out-dir',
      out,
      '--out-name',
      'xetkit_codec',
      '--',
      '--locked',
    ],
    { env },
  );
  for (const name of readdirSync(out)) if (!outputs.includes(name)) rmSync(join(out, name));
  const wasm = join(out, 'xetkit_codec_bg.wasm');
  // Naming the features keeps wasm-opt from using ones that Node 20 lacks.
  run(process.execPath, [
    join(root, 'node_modules', 'binaryen', 'bin', 'wasm-opt'),
    wasm,
    '-O3',
    '--strip-debug',
    '--strip-producers',
    ...wasmFeatures.map((feature) => `--enable-${feature}`),
    '-o',
    wasm,
  ]);
  const sha256 = (name) =>
    createHash('sha256')
      .update(readFileSync(join(out, name)))
      .digest('hex');
  const about = {
    rustc: read(rustc, ['--version'], env),
    wasmPack: read(wasmPack, ['--version']),
    wasmBindgen: bindgen,
    binaryen: JSON.parse(readFileSync(join(root, 'node_modules', 'binaryen', 'package.json'), 'utf8')).version,
    crates: Object.fromEntries(
      ['xet-core-structures', 'xet-data', 'blake3', 'gearhash', 'lz4_flex'].map((name) => [name, lockedVersion(name)]),
    ),
    sources: sourceHash(),
    files: Object.fromEntries(outputs.map((name) => [name, sha256(name)])),
  };
  writeFileSync(join(out, 'BUILD.json'), `${JSON.stringify(about, null, 2)}\n`);
}

function check() {
  const recorded = JSON.parse(readFileSync(join(pkg, 'BUILD.json'), 'utf8'));
  if (recorded.sources !== sourceHash())
    throw new Error('pkg/ is stale: rust/ has changed since. Run `npm run build:wasm` and commit pkg/.');
  const out = mkdtempSync(join(tmpdir(), 'xetkit-pkg-'));
  try {
    build(out, recorded.rustc);
    const different = outputs.filter((name) => !readFileSync(join(out, name)).equals(readFileSync(join(pkg, name))));
    const built = JSON.parse(readFileSync(join(out, 'BUILD.json'), 'utf8'));
    if (built.rustc !== recorded.rustc) {
      // Another compiler gives other bytes. What can be compared is: the sources are those, and give this surface.
      const surface = (folder) =>
        [...readFileSync(join(folder, 'xetkit_codec.js'), 'utf8').matchAll(/^export (?:class|function) (\w+)/gm)]
          .map(([, name]) => name)
          .sort()
          .join();
      if (surface(out) !== surface(pkg)) throw new Error('pkg/ has other functions than rust/ builds');
      console.log(
        `pkg/ was built by ${recorded.rustc}; here is ${built.rustc}. The sources are the same, bytes were NOT compared.`,
      );
      return;
    }
    if (different.length > 0) {
      throw new Error(
        `pkg/ is not what rust/ builds; these differ: ${different.join(', ')}\n` +
          `recorded: ${recorded.rustc}, wasm-bindgen ${recorded.wasmBindgen}; here: ${built.rustc}, wasm-bindgen ${built.wasmBindgen}`,
      );
    }
    console.log('pkg/ is what rust/ builds');
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

if (process.argv.includes('--check')) check();
else {
  mkdirSync(pkg, { recursive: true });
  build(pkg);
}
