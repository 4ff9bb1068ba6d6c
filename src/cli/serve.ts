import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { isXetError, XetError } from '../core/errors.ts';
import type { LocalHubOptions, TokenGrant } from '../local-hub/start.ts';
import { Output } from './output.ts';
import { parseSize } from './units.ts';

interface ServeFlags {
  dir?: string;
  port: number;
  host: string;
  seed?: string;
  token?: string[];
  readOnly?: boolean;
  allowOrigin?: string[];
  allowHost?: string[];
  publicUrl?: string;
  upstream?: string;
  maxSize?: number;
  offline?: boolean;
  uploads?: 'refuse' | 'proxy';
  upstreamTokenEnv?: string;
  verbose?: boolean;
  json?: boolean;
}

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];

/** Adds `serve` to the command line. */
export function addServeCommand(root: Command, signal: AbortSignal): void {
  root
    .command('serve')
    .summary('run the local Hub, or a mirror of another Hub')
    .description(
      'Run a Hub and CAS on this machine, for air-gapped work, CI and tests; or with --upstream a mirror for a team. Press Ctrl-C to stop.',
    )
    .option('--dir <dir>', 'folder for its data (default: a temporary one, removed at the end)')
    .addOption(new Option('--port <port>', 'port to listen on').argParser(parsePort).default(0, 'any free one'))
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--seed <dir>', 'folder of repositories to import first: DIR/owner/name/…, DIR/datasets/owner/name/…')
    .option(
      '--token <token>',
      'access token with write permission, or read:TOKEN for read-only; without a token, clients can then only read public repositories',
      collect,
    )
    .option('--read-only', 'reject all changes')
    .option('--allow-origin <origin>', 'origin of pages that may write, such as http://localhost:3000', collect)
    .option('--allow-host <name>', 'another host name or address that clients use', collect)
    .option('--public-url <url>', 'public URL of a TLS server in front of it, such as https://hub.example.org')
    .option(
      '--upstream <url>',
      'mirror this Hub: fetch what is missing with the token of the client, such as https://huggingface.co',
    )
    .option(
      '--max-size <size>',
      'with --upstream: size limit for stored chunks, such as 500GB (default: none)',
      parseSize,
    )
    .option('--offline', 'with --upstream: never contact it')
    .addOption(
      new Option('--uploads <how>', 'with --upstream: refuse uploads, or proxy them (default: refuse)').choices([
        'refuse',
        'proxy',
      ]),
    )
    .option(
      '--upstream-token-env <name>',
      'with --upstream and --token: variable that holds the token for the upstream, lent to holders of --token',
    )
    .option('--verbose', 'log each request to stderr')
    .option('--json', 'print the URL as JSON on stdout')
    .addHelpText(
      'after',
      '\n--token, --allow-origin and --allow-host can be repeated.\n' +
        '\nExamples:\n' +
        '  xetkit serve --seed ./repositories\n' +
        '  xetkit serve --upstream https://huggingface.co --dir ./mirror --max-size 500GB --port 8080\n' +
        '  xetkit serve --dir ./hub-data --host 0.0.0.0 --port 8080 --allow-host hub.internal --token read:hf_team',
    )
    .action((flags: ServeFlags) => serve(flags, new Output(flags), signal));
}

/** The local Hub, until it is interrupted. */
async function serve(flags: ServeFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { dir, host, port, seed } = flags;
  if (dir === '') throw new XetError('INVALID_ARGUMENT', '--dir is empty. Name a folder, or leave it out.');
  // Before anything listens: a Hub without what it should serve is of no use.
  if (seed !== undefined) await requireFolder(seed);
  // The only command that needs the server: no other one pays for loading it.
  const { startLocalHub } = await import('../local-hub/start.ts');
  const options: LocalHubOptions = {
    dir,
    host,
    port,
    readOnly: flags.readOnly,
    // A mirror can fetch everything again.
    durable: flags.upstream === undefined,
    ...mirrorOptions(flags),
    allowedOrigins: flags.allowOrigin,
    allowedHosts: flags.allowHost,
    ...(flags.publicUrl !== undefined && { publicUrl: flags.publicUrl }),
    ...(flags.token && { tokens: readTokens(flags.token) }),
    ...(flags.verbose && { log: (line: string) => output.note(line) }),
  };
  const hub = await startLocalHub(options).catch((error: unknown) => {
    throw inOneLine(error, 'The local Hub cannot be started');
  });
  try {
    if (seed !== undefined) await putIn(hub, seed, output);
    output.record({ url: hub.url, dir: hub.dir });
    const what = flags.upstream === undefined ? 'Local Hub' : `Mirror of ${flags.upstream}`;
    output.result(`${what} at ${hub.url}, data in ${hub.dir}`);
    output.note(`Use it with: export HF_ENDPOINT=${hub.url}`);
    const changes = flags.upstream === undefined && flags.token === undefined && !flags.readOnly;
    if (!isLoopback(host) && changes) {
      output.note(
        'warning: Everybody who reaches this machine over the network may change all of it. Say who may: --token, --read-only.',
      );
    }
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    await hub.close();
  }
}

/** Options of a mirror. The token comes from the environment, as arguments can be seen by every process. */
function mirrorOptions(flags: ServeFlags): LocalHubOptions {
  const { upstream, maxSize, offline, uploads, upstreamTokenEnv } = flags;
  const upstreamToken = upstreamTokenEnv === undefined ? undefined : process.env[upstreamTokenEnv];
  if (upstreamTokenEnv !== undefined && !upstreamToken) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `The variable ${upstreamTokenEnv} is empty. Set it to a token of the upstream.`,
    );
  }
  const given = { upstream, maxSize, offline, uploads, upstreamToken };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

type Hub = Awaited<ReturnType<typeof import('../local-hub/start.ts')['startLocalHub']>>;

async function putIn(hub: Hub, seed: string, output: Output): Promise<void> {
  output.note(`Putting in what ${seed} holds…`);
  const repos = await hub.seed(seed).catch((error: unknown) => {
    throw inOneLine(error, `${seed} cannot be put into the Hub`);
  });
  if (repos.length === 0) {
    return output.note(
      `warning: No repositories in ${seed}. It is to hold folders such as owner/name or datasets/owner/name.`,
    );
  }
  const changed = repos.filter((repo) => repo.changed).length;
  const all = repos.length === 1 ? '1 repository' : `${repos.length} repositories`;
  output.note(`${all} from ${seed}, ${changed === 0 ? 'none' : changed} with something new`);
}

async function requireFolder(path: string): Promise<void> {
  if (path === '') throw new XetError('INVALID_ARGUMENT', '--seed is empty. Name a folder, or leave it out.');
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    const why = found.code === 'ENOENT' ? 'there is no such folder' : (found.code ?? found.message);
    throw new XetError('INVALID_ARGUMENT', `${path} cannot be put into the Hub: ${why}. Check --seed.`);
  }
  if (!found.isDirectory()) {
    throw new XetError('INVALID_ARGUMENT', `${path} is not a folder. --seed takes one that holds owner/name folders.`);
  }
}

/** `TOKEN`, `write:TOKEN` or `read:TOKEN`. */
export function readTokens(given: readonly string[]): Record<string, TokenGrant> {
  const tokens: Record<string, TokenGrant> = {};
  for (const text of given) {
    const [, kind, token = ''] = /^(?:(read|write):)?(.*)$/s.exec(text) ?? [];
    // It is a secret: an error does not repeat it.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new XetError('INVALID_ARGUMENT', 'A --token is empty, or has characters that no header can carry.');
    }
    if (Object.hasOwn(tokens, token)) throw new XetError('INVALID_ARGUMENT', 'A --token is there twice.');
    const name = `user-${createHash('sha256').update(token).digest('hex').slice(0, 8)}`;
    tokens[token] = { name, write: kind !== 'read' };
  }
  return tokens;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new XetError(
    'INVALID_ARGUMENT',
    `Not a port: '${text}'. A port is a number from 1 to 65535, or 0 for any free one.`,
  );
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** The system's message about a folder or an address, without a stack. */
function inOneLine(error: unknown, what: string): unknown {
  if (isXetError(error) || !(error instanceof Error)) return error;
  const isSystem = typeof (error as NodeJS.ErrnoException).code === 'string';
  // What the Hub would answer a client, such as that no file can have such a path.
  const isHubs = 'status' in error;
  return isSystem || isHubs ? new XetError('INVALID_ARGUMENT', `${what}: ${error.message}`, { cause: error }) : error;
}
