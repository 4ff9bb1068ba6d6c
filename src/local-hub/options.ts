import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { checkChoice, invalid } from './check-arguments.ts';
import { parseHost, parseOrigin } from './http/sender.ts';
import { type MirrorOptions, type MirrorSettings, mirrorSettings } from './mirror/options.ts';

/** An access token's owner and what it may do. */
export interface TokenGrant {
  /** Name of the user. */
  name: string;
  /** True if the user may write. Default: false. */
  write?: boolean;
}

/** Options of a local Hub. */
export interface LocalHubOptions extends MirrorOptions {
  /** Folder for everything that lasts. Default: a fresh temporary folder, removed on `close()`. One Hub per folder at a time. */
  dir?: string;
  /** Default `127.0.0.1`: nobody else on the network gets in unasked. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /**
   * Origins of pages that may write and send tokens, such as `http://localhost:3000`. A page of any other origin
   * only reads what is public.
   */
  allowedOrigins?: string[];
  /**
   * Names and addresses that clients reach the Hub by, without a port. `localhost`, the machine's own addresses and
   * `host` need no mention. Requests for any other host are refused.
   */
  allowedHosts?: string[];
  /**
   * Address that clients reach the Hub by where a server with TLS stands before it, such as `https://hub.example.org`.
   * All addresses that it gives out begin with it. Default: they begin with the host that the client asked for.
   */
  publicUrl?: string;
  /** Access tokens that are known, by their text. Default: `hf_local`, which may write. */
  tokens?: Record<string, TokenGrant>;
  /** Lets everybody write, and takes any token for a good one. Default: only while no `tokens` are given. */
  openWrites?: boolean;
  /** Lets nobody change anything, whatever the token. Default false. */
  readOnly?: boolean;
  /** The clock, in milliseconds since 1970. Tokens, signed addresses, commits and the `Date` header go by it. */
  now?: () => number;
  /** Lifetime of Xet tokens, in seconds. Default: 3600. */
  tokenLifetimeSeconds?: number;
  /** Lifetime of signed URLs, in seconds. Default: 3600. */
  urlLifetimeSeconds?: number;
  /**
   * Ranges that a signed xorb URL accepts: only those it was signed for, each as a whole (`exact`), or any part of them
   * (`subset`, the default, as in production).
   */
  rangeRule?: 'exact' | 'subset';
  /** Reconstruction versions offered; others answer 404. Default both. */
  reconstructionVersions?: (1 | 2)[];
  /** True if xorbs may be uploaded through grants. Default: true. */
  grants?: boolean;
  /** Shard upload versions offered; others answer 404. Default both. */
  shardVersions?: (1 | 2)[];
  /** Ranges that one signed address of a v2 reconstruction covers at most. Default, and most: 256. */
  maxRangesPerUrl?: number;
  /** Joins ranges of a xorb that touch. Overlapping ones are joined in any case. Default true. */
  mergeRanges?: boolean;
  /**
   * Checks the sha256 that a shard gives for new content, at the cost of a pass over the data. Default true. One that
   * contradicts what is known is checked in any case.
   */
  checkSha256?: boolean;
  /**
   * Flush each file to the disk before the request that brought it is acknowledged, so that acknowledged uploads and
   * commits survive a crash of the machine. Default: false; `xetkit serve` sets it.
   */
  durable?: boolean;
  /** Address of another CAS, which clients are sent to for the content of files. Default: this server's own. */
  casUrl?: string;
  /** Takes one line for every request served. */
  log?: (line: string) => void;
}

/** The options with every default in place. */
export type Settings = Required<
  Omit<
    LocalHubOptions,
    'dir' | 'log' | 'casUrl' | 'publicUrl' | 'allowedOrigins' | 'allowedHosts' | keyof MirrorOptions
  >
> &
  Pick<LocalHubOptions, 'log' | 'casUrl' | 'publicUrl'> & {
    senders: { hosts: ReadonlySet<string>; origins: Set<string> };
    mirror: MirrorSettings | undefined;
  };

function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin;
  throw new XetError('INVALID_ARGUMENT', `Not the address of a Hub: '${text}'. Write it like https://hub.example.org.`);
}

function checkPort(port: number): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new XetError(
    'INVALID_ARGUMENT',
    `Not a port: ${port}. A port is a number from 1 to 65535, or 0 for any free one.`,
  );
}

/** The host to listen on, where it is one that clients can name as well. */
function namedHost(host = '127.0.0.1'): string[] {
  return host === '0.0.0.0' || host === '::' || host === '' ? [] : [host];
}

function checkTokens(tokens: LocalHubOptions['tokens']): LocalHubOptions['tokens'] {
  for (const grant of Object.values(tokens ?? {})) {
    // The token itself is a secret, so no message names it.
    const { name } = checked("startLocalHub: a grant of 'tokens'", grant, 'name:s write:b');
    if (!name) throw invalid("startLocalHub: each grant of 'tokens' needs a name: { hf_secret: { name: 'alice' } }.");
  }
  return tokens;
}

const DEFAULT_TOKEN = 'hf_local';

const OPTIONS =
  'dir:s host:s port:a allowedOrigins:l allowedHosts:l publicUrl:s tokens:o openWrites:b readOnly:b now:f tokenLifetimeSeconds:n urlLifetimeSeconds:n rangeRule:exact|subset reconstructionVersions:a grants:b shardVersions:a maxRangesPerUrl:n mergeRanges:b checkSha256:b durable:b casUrl:s log:f upstream:s maxSize:n offline:b uploads:refuse|proxy nameSeconds:n accessSeconds:n maxFetches:n upstreamToken:s';

export function settle(given: LocalHubOptions): Settings {
  const options = checked('startLocalHub', given, OPTIONS);
  for (const name of ['reconstructionVersions', 'shardVersions'] as const) {
    if (options[name] === undefined) continue;
    if (!Array.isArray(options[name]))
      throw invalid(`startLocalHub: '${name}' must be a list of versions, such as [1, 2].`);
    for (const version of options[name]) checkChoice(`startLocalHub: a version in '${name}'`, version, [1, 2]);
  }
  const publicUrl = options.publicUrl === undefined ? undefined : parsePublicUrl(options.publicUrl);
  return {
    publicUrl,
    host: options.host ?? '127.0.0.1',
    port: checkPort(options.port ?? 0),
    senders: {
      hosts: new Set(
        [
          ...(options.allowedHosts ?? []),
          ...namedHost(options.host),
          ...(publicUrl ? [new URL(publicUrl).hostname] : []),
        ].map(parseHost),
      ),
      origins: new Set([...(options.allowedOrigins ?? []), ...(publicUrl ? [publicUrl] : [])].map(parseOrigin)),
    },
    tokens: checkTokens(options.tokens) ?? { [DEFAULT_TOKEN]: { name: 'local', write: true } },
    openWrites: options.openWrites ?? options.tokens === undefined,
    readOnly: options.readOnly ?? false,
    now: options.now ?? Date.now,
    tokenLifetimeSeconds: options.tokenLifetimeSeconds ?? 3600,
    urlLifetimeSeconds: options.urlLifetimeSeconds ?? 3600,
    rangeRule: options.rangeRule ?? 'subset',
    reconstructionVersions: options.reconstructionVersions ?? [1, 2],
    grants: options.grants ?? true,
    shardVersions: options.shardVersions ?? [1, 2],
    maxRangesPerUrl: Math.min(256, Math.max(1, options.maxRangesPerUrl ?? 256)),
    mergeRanges: options.mergeRanges ?? true,
    checkSha256: options.checkSha256 ?? true,
    durable: options.durable ?? false,
    casUrl: options.casUrl,
    log: options.log,
    mirror: mirrorSettings(options),
  };
}
