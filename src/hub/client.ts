import { XetError } from '../core/errors.ts';
import { isHashHex } from '../core/hash.ts';
import { isRecord } from '../core/json-values.ts';
import { rangeHeader } from '../core/ranges.ts';
import { parseContentRange } from '../http/content-range.ts';
import type { Http } from '../http/http.ts';
import { LIST_JSON_BYTES, readJson } from '../http/json.ts';
import { commitIn } from '../http/response-error.ts';
import type { Reply, RequestSpec } from '../http/types.ts';
import { withoutUser } from './credentials.ts';
import { countOf, pathsInfo } from './entries.ts';
import { onEndpoint, parseLinks } from './links.ts';
import { apiUrl, checkPath, isCommit, repoText, resolveUrl, revisionUrl } from './repo.ts';
import { CasTokenSource } from './token.ts';
import type { RepoId, RepoPath } from './types.ts';
import { incomplete } from './types.ts';

/** A file of a repository at one commit. */
export interface FileInfo {
  /** Path in the repository. */
  path: string;
  /** Bytes. */
  size: number;
  /** Without quotes: the sha256 of a large file, the git blob's sha1 of a small one, the Xet hash in a bucket. */
  etag: string;
  /** The commit that the revision stands for; empty in a bucket, which has none. */
  commit: string;
  /** Xet file hash; undefined for a file that is not stored in a CAS. */
  xetHash: string | undefined;
}

/** {@link FileInfo} with the details that a download needs. */
export interface ResolvedFile extends FileInfo {
  path: RepoPath;
  repo: RepoId;
  /** URL of the content over plain HTTP. */
  url: string;
  /** URL of a CAS read token. */
  tokenUrl: string;
  /** The first bytes of a file that is not in a CAS, which came with the answer about it; all of a short one. */
  beginning?: Uint8Array | undefined;
  /** Modification time of a file in a bucket, in milliseconds since 1970. */
  mtimeMs?: number | undefined;
}

export interface ResolveOptions {
  signal?: AbortSignal | undefined;
  http?: Http;
  /** Requests the beginning of a file outside the CAS together with its metadata. */
  beginning?: boolean;
  /** True if it waits while this device is offline, as what is under way does. */
  waits?: boolean | undefined;
  /** Attempts at the request, if not as many as at others. */
  attempts?: number | undefined;
}

export interface HubOptions {
  /** With user and password, if the server wants them: they are sent where there is no token. */
  endpoint: string;
  accessToken: () => Promise<string | undefined>;
  onWarning?: ((message: string) => void) | undefined;
}

const FILE_INFO_TYPE = 'application/vnd.xet-fileinfo+json';
/**
 * Largest metadata response with the beginning of a file, in bytes. Most configuration files are shorter, so they cost
 * one request.
 */
const MAX_BYTES = 64 * 1024;

/** The Hub's side of a download: what a path means, and who may ask the CAS. */
export class HubClient {
  readonly endpoint: string;
  /** HTTP client of its requests. */
  readonly http: Http;
  readonly #options: HubOptions;
  /** By the user and password of the endpoint. */
  readonly #authorization: string | undefined;
  readonly #tokens: Map<string, CasTokenSource>;

  constructor(http: Http, options: HubOptions, tokens = new Map<string, CasTokenSource>()) {
    this.http = http;
    this.#options = options;
    const { endpoint, authorization } = withoutUser(options.endpoint);
    this.endpoint = endpoint.replace(/\/+$/, '');
    this.#authorization = authorization;
    this.#tokens = tokens;
  }

  /** The same Hub through another door, for a part whose requests are to be told apart. */
  with(http: Http): HubClient {
    return new HubClient(http, this.#options, this.#tokens);
  }

  /** Says what works less well than it could. */
  warn(message: string): void {
    this.#options.onWarning?.(message);
  }

  /** The Hub token, or else the endpoint's own user and password, for the Hub only. */
  readonly headers = async (): Promise<Record<string, string>> => {
    const token = await this.#options.accessToken();
    const authorization = token ? `Bearer ${token}` : this.#authorization;
    return authorization === undefined ? {} : { authorization };
  };

  /**
   * Resolves a path with one request. The Hub answers with Xet file information instead of a redirect that a page could
   * not see, or with one byte, or the beginning, of a file outside the CAS.
   */
  async resolve(repo: RepoId, revision: string, path: string, options: ResolveOptions = {}): Promise<ResolvedFile> {
    const { signal, http = this.http, waits } = options;
    const url = resolveUrl(this.endpoint, repo, revision, path);
    const range = rangeHeader({ start: 0, end: options.beginning ? MAX_BYTES : 1 });
    const headers = { ...(await this.headers()), accept: `${FILE_INFO_TYPE}, */*`, range };
    const spec: RequestSpec = {
      kind: 'hub',
      url,
      headers,
      signal,
      accept: [416],
      waits,
      attempts: options.attempts,
    };
    const { reply, info, beginning } = await http.exchange(spec, async (reply) => {
      const isInfo = !reply.elsewhere && reply.headers.get('content-type')?.startsWith(FILE_INFO_TYPE);
      if (isInfo) return { reply, info: await readJson(reply, MAX_BYTES) };
      if (options.beginning) return { reply, beginning: await readBeginning(reply) };
      reply.drop();
      return { reply };
    });
    // A storage that a Hub leads to gives bytes, and has no say in what they should be.
    const said = reply.elsewhere ? UNKNOWN : plainFile(reply);
    const known = info === undefined ? said : xetFile(reply, isRecord(info) ? info : {});
    return { ...(await this.#whole(known, { repo, revision, path, url, signal })), beginning };
  }

  /**
   * The file of an answer. Proxies and mirrors drop headers, and a redirect to another host hides those of the Hub: what is
   * missing is asked for by calls whose answers say it in their bodies.
   */
  async #whole(
    known: KnownFile,
    asked: { repo: RepoId; revision: string; path: string; url: string; signal: AbortSignal | undefined },
  ): Promise<ResolvedFile> {
    const { repo, revision, path, url, signal } = asked;
    const { isXet, given } = known;
    let { size, etag, xetHash } = known;
    const inBucket = repo.type === 'bucket';
    if (inBucket) etag = xetHash;
    const isKnown = size !== undefined && etag !== undefined && (isXet || inBucket) === (xetHash !== undefined);
    const [commit, entries] = await Promise.all([
      inBucket ? '' : (known.commit ?? this.commitOf(repo, revision, signal)),
      isKnown ? [] : pathsInfo(this, repo, revision, [path], signal),
    ]);
    if (!isKnown) {
      const entry = entries.find((one) => one.path === path);
      // An answer with Xet information was about a file, whatever is said of its path.
      if (entry?.type !== 'file' && isXet) throw incomplete(url, 'Xet file information');
      if (entry?.type !== 'file') {
        const where = inBucket ? repoText(repo) : `${repoText(repo)} at '${revision}'`;
        throw new XetError('ENTRY_NOT_FOUND', `No file '${path}' in ${where}.`, { url });
      }
      size = entry.size ?? size;
      xetHash = entry.xetHash ?? xetHash;
      etag = inBucket ? xetHash : (entry.sha256 ?? (entry.oid || etag));
    }
    if (size === undefined || etag === undefined) throw incomplete(url, 'the size and the hash of the file');
    const tokenUrl = xetHash === undefined ? '' : (this.onEndpoint(given, url) ?? this.tokenUrl(repo, commit));
    const file = { repo, path: checkPath(path), size, etag, commit, xetHash, url, tokenUrl };
    return { ...file, mtimeMs: inBucket ? known.mtimeMs : undefined };
  }

  /** The commit that a branch or tag stands for now; a bucket has none. */
  async commitOf(repo: RepoId, revision: string, signal?: AbortSignal, attempts?: number): Promise<string> {
    if (isCommit(revision) || repo.type === 'bucket') return revision;
    const url = apiUrl(this.endpoint, repo, 'revision', revision);
    // The Hub lists all files of the repository along with it.
    const spec = { kind: 'hub', url, headers: await this.headers(), signal, attempts } as const;
    const { body } = await this.http.json(spec, LIST_JSON_BYTES);
    if (!isRecord(body) || typeof body.sha !== 'string' || !isCommit(body.sha)) throw incomplete(url, 'a commit');
    return body.sha;
  }

  /** The token source of a route; one for all files that share the route. */
  tokens(tokenUrl: string): CasTokenSource {
    let source = this.#tokens.get(tokenUrl);
    if (!source) {
      source = new CasTokenSource(this.http, tokenUrl, this.headers);
      this.#tokens.set(tokenUrl, source);
    }
    return source;
  }

  /** URL of a CAS read token for files of a repository. */
  tokenUrl(repo: RepoId, commit: string): string {
    return revisionUrl(this.endpoint, repo, 'xet-read-token', commit);
  }

  /** An address that the Hub gave, on the endpoint in use; `asked` is where it did. */
  onEndpoint(given: string | null | undefined, asked?: string): string | undefined {
    return onEndpoint(this.endpoint, given, asked);
  }
}

/** File information from the headers of an answer. */
interface KnownFile {
  /** True if it is kept in a CAS. */
  isXet: boolean;
  size: number | undefined;
  etag: string | undefined;
  commit: string | undefined;
  xetHash: string | undefined;
  /** The token route that the answer names. */
  given?: string | null;
  /** Of `Last-Modified`, in milliseconds since 1970. */
  mtimeMs?: number | undefined;
}

const UNKNOWN: KnownFile = {
  isXet: false,
  size: undefined,
  etag: undefined,
  commit: undefined,
  xetHash: undefined,
};

function xetFile({ headers }: Reply, info: Record<string, unknown>): KnownFile {
  const links = parseLinks(headers.get('link'));
  const etag = [info.etag, headers.get('x-linked-etag'), headers.get('etag')].find(
    (tag) => typeof tag === 'string' && tag !== '',
  ) as string | undefined;
  return {
    isXet: true,
    size: countOf(info.size) ?? countOf(headers.get('x-linked-size')),
    etag: etag && plainEtag(etag),
    commit: commitIn(headers),
    xetHash: [info.hash, headers.get('x-xet-hash')].find(isHashHex),
    given:
      typeof info.refreshUrl === 'string' ? info.refreshUrl : (links['xet-auth'] ?? headers.get('x-xet-refresh-route')),
    mtimeMs: Date.parse(headers.get('last-modified') ?? '') || undefined,
  };
}

function plainFile({ headers, status }: Reply): KnownFile {
  return {
    isXet: false,
    size:
      countOf(headers.get('x-linked-size')) ??
      totalOf(headers.get('content-range')) ??
      // Of a body that is encoded it is another length.
      (status === 200 && !headers.get('content-encoding') ? countOf(headers.get('content-length')) : undefined),
    // Without one that names content by a hash that is known here, the entry of the file has it.
    etag: contentIdOf(headers.get('x-linked-etag'), headers.get('etag')),
    commit: commitIn(headers),
    xetHash: undefined,
  };
}

/** Beginning of a file in a response, if it is declared and not longer than requested. */
async function readBeginning(answer: Reply): Promise<Uint8Array | undefined> {
  const range = parseContentRange(answer.headers.get('content-range'))?.range;
  if (range?.start !== 0 || range.end > MAX_BYTES) {
    answer.drop();
    return undefined;
  }
  const beginning = new Uint8Array(range.end);
  let filled = 0;
  for await (const bytes of answer.chunks()) {
    if (filled + bytes.length > range.end) return undefined;
    beginning.set(bytes, filled);
    filled += bytes.length;
  }
  return beginning.subarray(0, filled);
}

/**
 * The id of the content by the two tags of an answer. With 64 digits only the linked one is a sha256: the answer's own
 * may be of any hash, as CDNs give that of Xet, and shardline BLAKE3.
 */
export function contentIdOf(linkedTag: string | null, ownTag: string | null): string | undefined {
  const id = plainEtag(linkedTag ?? ownTag ?? '');
  return (linkedTag === null ? isCommit(id) : isContentId(id)) ? id : undefined;
}

/** True if an etag is a git sha1 or a sha256, which can verify content. */
export function isContentId(etag: string): boolean {
  return isCommit(etag) || isHashHex(etag);
}

function plainEtag(etag: string): string {
  return etag.replace(/^W\//, '').replace(/^"|"$/g, '');
}

/** The total of a `Content-Range`, also of the form without a range that an empty file has. */
function totalOf(contentRange: string | null): number | undefined {
  return parseContentRange(contentRange)?.total ?? countOf(/^bytes \*\/(\d+)$/.exec(contentRange ?? '')?.[1]);
}
