import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { spawnNodeWorker } from '../../workers/spawn.node.ts';
import { isOffline, tokenOf } from '../client/environment.node.ts';
import { checkEndpoint, DEFAULT_ENDPOINT } from '../client/options.ts';
import { platform } from '../client/platform.node.ts';
import { XetClient } from '../client/xet-client.ts';
import { chunkCount, hashToHex } from '../codec/exports.ts';
import { loadCodec } from '../codec/load.node.ts';
import { CodecPool } from '../codec/pool.ts';
import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import { rememberSecret } from '../core/secrets.ts';
import { findHubCacheDir } from '../fs/env-folders.node.ts';
import { isHtml } from '../http/json.ts';
import { proxyFor } from '../http/proxy-settings.node.ts';
import { firstText, PROXY_ADVICE } from '../http/response-error.ts';
import type { HttpResponse } from '../http/types.ts';
import { withoutUser } from '../hub/credentials.ts';
import { repoText } from '../hub/repo.ts';
import { VERSION } from '../version.ts';
import type { CommandSurroundings } from './cache-commands.ts';
import { blockedHosts, readOneByte, reasonOf, STORAGE_HOSTS } from './doctor-hosts.ts';
import { Output } from './output.ts';
import { parseTarget, type Target } from './target.ts';
import { formatBytes } from './units.ts';

/** Result of one check. */
export interface Finding {
  check: string;
  state: 'ok' | 'warn' | 'fail';
  message: string;
  /** Advice. */
  advice?: string;
}

type Found = Omit<Finding, 'check'>;

const ok = (message: string): Found => ({ state: 'ok', message });
const warn = (message: string, advice: string): Found => ({ state: 'warn', message, advice });
const fail = (message: string, advice: string): Found => ({ state: 'fail', message, advice });

/** Response limit in bytes: members of many organizations get long answers. */
const MAX_ANSWER_CHARACTERS = 1_000_000;
const TIMEOUT_MS = 10_000;
const SKEW_WARNING_SECONDS = 60;
/** Tokens and signatures hold for about an hour, and clients renew them by the server's clock where they know it. */
const SKEW_FAILURE_SECONDS = 1800;
const LITTLE_SPACE_BYTES = 5e9;
const NO_SPACE_BYTES = 100e6;
/** A chunk and its hash, as the protocol's own description has them. */
const KNOWN_CHUNK = 'Hello World!';
const KNOWN_HASH = 'd8d408e608fb9ca213b9909a65d86d725f2de4d8d540324be8a363e7a6e228cb';
/** Enough for a worker to be worth it. */
const WORKER_BYTES = 4_000_000;

/** Adds `doctor` to the command line. */
export function addDoctorCommand(root: Command, { endpoint, signal }: CommandSurroundings): void {
  root
    .command('doctor')
    .argument('[repo]', 'repository to read one byte from, through every host involved')
    .summary('find problems on this machine')
    .description(
      'Check everything that downloads need: endpoint, token, clock, proxy, data hosts, cache, disk, workers and ' +
        'WebAssembly. Exits with 1 if a check fails.',
    )
    .option('--json', 'one JSON object per line on stdout: check, state, message, advice')
    .addHelpText(
      'after',
      '\nExamples:\n  xetkit doctor\n  xetkit doctor owner/model\n  HF_ENDPOINT=http://hub.internal:8080 xetkit doctor --json',
    )
    .action(async (repo: string | undefined, flags: { json?: boolean }) => {
      const output = new Output(flags);
      const findings: Finding[] = [];
      const target = repo === undefined ? undefined : parseTarget(repo, {}, endpoint);
      for await (const finding of examine(endpoint, process.env, signal, target)) {
        findings.push(finding);
        output.record(finding);
        output.result(`${finding.state.padEnd(4)}  ${finding.check}: ${finding.message}`);
        if (finding.advice !== undefined) output.result(`      ${finding.advice}`);
      }
      const failed = findings.filter(({ state }) => state === 'fail');
      if (failed.length === 0) return;
      throw new XetError('UNSUPPORTED', `Checks failed: ${failed.map(({ check }) => check).join(', ')}.`);
    });
}

/** Looks at one thing after the other. */
export async function* examine(
  endpoint: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
  target?: Target,
): AsyncGenerator<Finding, void, undefined> {
  const token = await tokenOf(env).catch(asError);
  const { hub, answer } = await askHub(endpoint, token, env, signal);
  const looks: [string, () => Found | Promise<Found>][] = [
    ['xetkit', () => ok(`${VERSION} on ${runtime()}`)],
    ['proxy', () => lookAtProxy(endpoint, env)],
    ['endpoint', () => hub],
    ['token', () => lookAtToken(token, answer)],
    ['clock', () => lookAtClock(answer)],
    ...(answer ? lookAtStorage(endpoint, target, signal) : []),
    ['cache', () => lookAtCache(env)],
    ['disk', () => lookAtDisk(env)],
    ['worker', lookAtWorker],
    ['wasm', lookAtCodec],
  ];
  for (const [check, look] of looks) {
    signal.throwIfAborted();
    try {
      yield { check, ...(await look()) };
    } catch (error) {
      signal.throwIfAborted();
      yield { check, ...fail(reasonOf(error), 'This should not happen: please report it.') };
    }
  }
}

interface HubAnswer {
  status: number;
  /** Milliseconds between the server's clock and ours; undefined where it says no time. */
  skewMs: number | undefined;
  user: string | undefined;
}

/** One question, who we are, answers most of it. */
async function askHub(
  given: string,
  token: string | undefined | Error,
  env: NodeJS.ProcessEnv,
  outer: AbortSignal,
): Promise<{ hub: Found; answer: HubAnswer | undefined }> {
  if (isOffline(env)) {
    return {
      hub: warn('not asked, as HF_HUB_OFFLINE is set', 'Unset HF_HUB_OFFLINE to download what is not here.'),
      answer: undefined,
    };
  }
  const { endpoint, authorization } = withoutUser(given);
  const url = `${endpoint.replace(/\/+$/, '')}/api/whoami-v2`;
  const sent = typeof token === 'string' ? `Bearer ${token}` : authorization;
  // The answer may repeat it.
  rememberSecret(sent);
  try {
    checkEndpoint(given, 'HF_ENDPOINT');
    const signal = AbortSignal.any([outer, AbortSignal.timeout(TIMEOUT_MS)]);
    const started = Date.now();
    const response = await platform.fetchOf(undefined)(url, {
      signal,
      headers: sent === undefined ? {} : { authorization: sent },
    });
    const took = Date.now() - started;
    const date = Date.parse(response.headers.get('date') ?? '');
    const user = userIn(await firstText(response, MAX_ANSWER_CHARACTERS));
    const skewMs = Number.isNaN(date) ? undefined : date - (started + took / 2);
    const answer = { status: response.status, skewMs, user };
    return { hub: lookAtAnswer(publicUrl(response.url || url), response, took), answer };
  } catch (error) {
    outer.throwIfAborted();
    if (isXetError(error, 'INVALID_ARGUMENT'))
      return { hub: fail(error.message, 'Nothing can be fetched until then.'), answer: undefined };
    const advice = isXetError(error)
      ? 'See docs/proxies-and-mirrors.md.'
      : 'Check HF_ENDPOINT, the network, and the proxy: HTTPS_PROXY, NO_PROXY.';
    return { hub: fail(`${publicUrl(url)} cannot be reached: ${reasonOf(error)}`, advice), answer: undefined };
  }
}

/** Reads an answer as a check of the connection to the Hub; a 401 concerns the token. */
function lookAtAnswer(url: string, { status, headers }: HttpResponse, tookMs: number): Found {
  const { host } = new URL(url);
  if (status === 200 && isHtml(headers)) {
    return fail(`${host} answers with a web page`, 'A network or proxy may want a login: open a page in a browser.');
  }
  if (status === 407) return fail('the proxy wants user and password', PROXY_ADVICE);
  if (status === 429) return warn(`${host} asks for fewer requests (429)`, 'Wait some minutes, or use a token.');
  if (status === 451) return fail(`${host} gives nothing out here (451)`, 'Set HF_ENDPOINT to a mirror.');
  if (status >= 500) return fail(`${host} answers ${status}`, 'The server has a problem: try again later.');
  if (status === 403)
    return warn(`${host} answers 403`, 'A firewall may be in between, or the token is not allowed this.');
  if (status !== 200 && status !== 401)
    return warn(`${host} answers ${status}`, 'It may be no Hub: check HF_ENDPOINT.');
  return ok(`${host} answers, in ${tookMs} ms`);
}

/** The hosts that the data comes from: those of a repository, or of the Hub where it is the one that all know. */
function lookAtStorage(
  endpoint: string,
  target: Target | undefined,
  signal: AbortSignal,
): [string, () => Promise<Found>][] {
  if (target) {
    const read = async () => {
      try {
        return ok(
          `a byte of ${repoText(target.repo)} came over Xet, by ${(await readOneByte(target, signal)).join(', ')}`,
        );
      } catch (error) {
        signal.throwIfAborted();
        return fail(reasonOf(error), 'See docs/proxies-and-mirrors.md, and have the host above allowed.');
      }
    };
    return [['storage', read]];
  }
  if (new URL(endpoint).hostname !== 'huggingface.co') return [];
  const look = async () => {
    const blocked = await blockedHosts(STORAGE_HOSTS, signal);
    if (blocked.length === 0) return ok(`all ${STORAGE_HOSTS.length} hosts that files come from answer`);
    const advice =
      'Have a firewall allow *.hf.co, or list the hosts in NO_PROXY. Not each of them is needed by every file.';
    const message = `cannot be reached: ${blocked.join(', ')}`;
    return blocked.length < STORAGE_HOSTS.length ? warn(message, advice) : fail(message, advice);
  };
  return [['storage', look]];
}

/** The name in what the Hub says of a token. */
function userIn(text: string): string | undefined {
  try {
    const said: unknown = JSON.parse(text);
    return typeof said === 'object' && said !== null && 'name' in said ? String(said.name) : undefined;
  } catch {
    return undefined;
  }
}

function lookAtToken(token: string | undefined | Error, answer: HubAnswer | undefined): Found {
  if (token instanceof Error) return fail(token.message, 'Nothing that needs a token works until then.');
  if (!answer) return warn('not checked, as the endpoint did not answer', 'Fix that first.');
  if (token === undefined) {
    return warn(
      'there is none: public repositories only',
      'Set HF_TOKEN, or run hf auth login, for private and gated ones.',
    );
  }
  if (answer.status === 200) return ok(`valid, of ${answer.user ?? 'a user without a name'}`);
  if (answer.status !== 401) {
    return warn(`not checked, as the Hub answered ${answer.status}`, 'See what is said of the endpoint.');
  }
  return fail(
    `the Hub does not accept it (${answer.status})`,
    'Make a new one and set HF_TOKEN; a wrong one keeps public files away as well.',
  );
}

function lookAtClock(answer: HubAnswer | undefined): Found {
  if (answer?.skewMs === undefined) return warn('not checked, as no server told its time', 'Mend the endpoint first.');
  const seconds = Math.round(Math.abs(answer.skewMs) / 1000);
  // The header has no fractions.
  if (seconds <= SKEW_WARNING_SECONDS) return ok("agrees with the server's");
  const message = `${seconds} s ${answer.skewMs > 0 ? 'behind' : 'ahead of'} the server's`;
  const advice = 'Set this machine by NTP: tokens and signed addresses hold for a certain time.';
  return seconds > SKEW_FAILURE_SECONDS ? fail(message, advice) : warn(message, advice);
}

function lookAtProxy(endpoint: string, env: NodeJS.ProcessEnv): Found {
  if (!URL.canParse(endpoint)) return warn('not checked, as the endpoint is not an address', 'Fix that first.');
  try {
    const proxy = proxyFor(new URL(endpoint), env);
    const certificates = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'].filter(
      (name) => env[name],
    );
    const trusted = certificates.length > 0 ? `; certificates by ${certificates.join(', ')}` : '';
    return ok(`${proxy ? `${proxy.origin} for ${publicUrl(endpoint)}` : 'none'}${trusted}`);
  } catch (error) {
    return fail(reasonOf(error), 'Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY.');
  }
}

async function lookAtCache(env: NodeJS.ProcessEnv): Promise<Found> {
  const folder = findHubCacheDir(env);
  if (folder === undefined) {
    return warn(
      'there is no home directory, so nothing is kept',
      'Set HF_HOME to a folder of yours, or download with --local-dir.',
    );
  }
  const probe = join(folder, `.xetkit-doctor-${process.pid}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(probe, '');
    await rm(probe);
  } catch (error) {
    return fail(
      `${folder} cannot be written to: ${reasonOf(error)}`,
      'Set HF_HOME or HF_HUB_CACHE to a folder of yours, or mend its rights.',
    );
  }
  await using client = new XetClient({ endpoint: DEFAULT_ENDPOINT, offline: true });
  const { totalBytes, prunable, repos, warnings } = await client.cache.usage();
  const message = `${folder}, ${repos.length} repositories, ${formatBytes(totalBytes)}, of which a prune frees ${formatBytes(prunable.bytes)}`;
  const [first] = warnings;
  return first
    ? warn(`${message}; ${first.localPath}: ${first.message}`, "Run 'xetkit cache prune', which mends most of it.")
    : ok(message);
}

async function lookAtDisk(env: NodeJS.ProcessEnv): Promise<Found> {
  const folder = await nearest(findHubCacheDir(env) ?? process.cwd());
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const message = `${formatBytes(free)} free in ${folder}`;
  const advice = "Free some space, such as with 'xetkit cache prune', or set HF_HOME to a larger disk.";
  if (free < NO_SPACE_BYTES) return fail(message, advice);
  return free < LITTLE_SPACE_BYTES ? warn(message, advice) : ok(message);
}

/** The folder, or the closest one above it that is there. */
async function nearest(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    const there = await statfs(path).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' && dirname(path) !== path) return false;
        throw error;
      },
    );
    if (there) return path;
  }
}

async function lookAtWorker(): Promise<Found> {
  const codec = await loadCodec();
  const bytes = new Uint8Array(WORKER_BYTES);
  const chunker = codec.chunker();
  const chunks = chunker.push(bytes, true);
  chunker.free();
  const pool = new CodecPool({ spawn: () => spawnNodeWorker(), size: 1, load: loadCodec });
  try {
    const { good } = await pool.checkChunks(bytes, chunks);
    const advice = 'Downloads work all the same, on the main thread. Look for a policy that forbids worker threads.';
    if (pool.counts.sent === 0 || pool.counts.lost > 0) return warn('cannot be started', advice);
    return good === chunkCount(chunks)
      ? ok('starts, and hashes right')
      : fail('hashes wrong', 'Install the package again.');
  } finally {
    pool.close();
  }
}

async function lookAtCodec(): Promise<Found> {
  const codec = await loadCodec();
  const hash = hashToHex(codec.chunkHash(new TextEncoder().encode(KNOWN_CHUNK)));
  if (hash === KNOWN_HASH) return ok('loads, and hashes right');
  return fail(`hashes wrong: ${hash}`, 'Install the package again: its WebAssembly module is damaged.');
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));

function runtime(): string {
  const { bun, deno, node } = process.versions;
  const name = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
  return `${name}, ${process.platform} ${process.arch}`;
}
