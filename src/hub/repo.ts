import { XetError } from '../core/errors.ts';
import { decoded } from '../core/secrets.ts';
import type { CommitId, RepoDesignation, RepoId, RepoPath, RepoType } from './types.ts';

/** Target of an `hf://` URI or a page URL of the Hub. */
export interface RepoLocation {
  /** The repository. */
  repo: RepoId;
  /** Branch, tag or commit, if the text names one. */
  revision?: string;
  /** Path in the repository, if the text names one. */
  path?: string;
}

/** The branch that is meant where none is named. */
export const DEFAULT_REVISION = 'main';

const PREFIX: Record<RepoType, string> = {
  model: '',
  dataset: 'datasets/',
  space: 'spaces/',
  kernel: 'kernels/',
  bucket: 'buckets/',
};
const TYPES = new Map<string, RepoType>((Object.keys(PREFIX) as RepoType[]).map((type) => [`${type}s`, type]));
const NAME_PART = /^[\w.-]{1,96}$/;
/** Words behind which an address of the Hub names a revision. */
const VERBS = new Set(['resolve', 'blob', 'tree', 'raw', 'blame', 'commit']);
/** Words behind which an address of a bucket names a path. */
const BUCKET_VERBS = new Set(['resolve', 'tree']);
/** Whichever Hub is in use, people paste addresses of the public one. */
const PUBLIC_HUBS = ['https://huggingface.co', 'https://hf.co'];

/** A repository by its name, whichever way it was said. Throws `INVALID_ARGUMENT` for what is none. */
export function parseRepo(repo: RepoDesignation): RepoId {
  const id = typeof repo === 'string' ? fromText(repo) : (repo ?? NO_REPO);
  if (!Object.hasOwn(PREFIX, id.type) || !isRepoName(id.name)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `Not a repository: '${describe(repo)}'. Use 'owner/name', or put 'datasets/', 'spaces/', 'kernels/' or 'buckets/' in front of it.`,
    );
  }
  if (id.type === 'bucket' && !id.name.includes('/')) {
    throw new XetError('INVALID_ARGUMENT', `Not a bucket: '${describe(repo)}'. Use 'buckets/owner/name'.`);
  }
  return { type: id.type, name: id.name };
}

const NO_REPO = { type: '' as RepoType, name: '' };

/** True if a repository can have this name, with or without an owner. Local Hubs go by the same rule. */
export function isRepoName(name: string): boolean {
  if (typeof name !== 'string') return false;
  const parts = name.split('/');
  const fits = (part: string) =>
    NAME_PART.test(part) && !part.includes('..') && !part.includes('--') && !/^[.-]|[.-]$|\.git$/.test(part);
  return parts.length <= 2 && parts.every(fits);
}

function describe(repo: RepoDesignation): string {
  if (typeof repo === 'string') return repo.slice(0, 200);
  return typeof repo === 'object' && repo !== null ? `${repo.type} ${repo.name}`.slice(0, 200) : typeof repo;
}

function fromText(given: string): RepoId {
  // A slash at the end, as shells complete folders, is no part of a name.
  const slash = given.indexOf('/');
  const text = slash > 0 && slash < given.length - 1 && given.endsWith('/') ? given.slice(0, -1) : given;
  const [first = '', ...rest] = text.split('/');
  const type = TYPES.get(first);
  return type !== undefined && rest.length > 0 ? { type, name: rest.join('/') } : { type: 'model', name: text };
}

/**
 * Reads `hf://[models/|datasets/|spaces/|kernels/]owner/name[@revision][/path]`, `hf://buckets/owner/name[/path]`, and the address of a repository, a folder or a file on
 * the Hub at `endpoint`, huggingface.co or hf.co. The path of a folder ends in `/`. Undefined for anything else, such as
 * a plain repository name.
 */
export function parseLocation(text: string, endpoint: string): RepoLocation | undefined {
  if (typeof text !== 'string') {
    throw new XetError(
      'INVALID_ARGUMENT',
      `parseLocation takes an hf:// URI or the URL of a page, not ${typeof text}.`,
    );
  }
  if (text.startsWith('hf://')) return fromHfUri(text.slice('hf://'.length));
  const path = pathOnHub(text, endpoint);
  return path === undefined ? undefined : fromHubPath(path);
}

/** A repository by name, `hf://` URI or page, which name nothing else. */
export function repoNamed(given: RepoDesignation, endpoint: string): RepoId {
  const place = typeof given === 'string' ? parseLocation(given, endpoint) : undefined;
  const more = place?.path ?? place?.revision;
  if (more !== undefined) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `'${describe(given)}' names a repository and '${more.slice(0, 200)}': leave that out.`,
    );
  }
  return place?.repo ?? parseRepo(given);
}

/** The encoded path of an address of the Hub, from the endpoint on. */
function pathOnHub(text: string, endpoint: string): string | undefined {
  const address = /^(?:huggingface|hf)\.co\/[^/]+\/[^/]/i.test(text) ? `https://${text}` : text;
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return undefined;
  const { host, pathname } = new URL(address);
  for (const hub of [endpoint, ...PUBLIC_HUBS]) {
    if (!URL.canParse(hub)) continue;
    const base = new URL(`${hub.replace(/\/+$/, '')}/`);
    if (base.host === host && `${pathname}/`.startsWith(base.pathname)) return pathname.slice(base.pathname.length);
  }
  return undefined;
}

/** In these addresses only the revision is encoded: a path is what it says. */
function fromHfUri(text: string): RepoLocation {
  const { type, words } = typed(text.split('/'));
  // As in other clients, so that a slip is not taken for the name of an owner.
  const singular = words.length > 2 ? TYPES.get(`${words[0]}s`) : undefined;
  if (singular !== undefined) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `Not a location: 'hf://${text.slice(0, 200)}'. Write 'hf://${singular}s/…'.`,
    );
  }
  const [owner = '', nameAndRevision = '', ...path] = words;
  const at = nameAndRevision.indexOf('@');
  if (at < 0) return location({ type, name: `${owner}/${nameAndRevision}` }, '', path.join('/'));
  const repo = { type, name: `${owner}/${nameAndRevision.slice(0, at)}` };
  if (type === 'bucket') {
    revisionOf(parseRepo(repo), decoded(nameAndRevision.slice(at + 1)));
  }
  const [revision, rest] = takeRevision([nameAndRevision.slice(at + 1), ...path]);
  if (revision === '') throw new XetError('INVALID_ARGUMENT', `No revision follows the '@' of 'hf://${text}'.`);
  return location(repo, decoded(revision), rest.join('/'));
}

function fromHubPath(pathname: string): RepoLocation {
  const parts = pathname.split('/').filter((part) => part !== '');
  const { type, words } = typed(parts.map(decoded));
  if (type === 'bucket') return fromBucketPath(words);
  const isVerb = (at: number) => VERBS.has(words[at] ?? '');
  // A few old models have no owner.
  const names = words.length < 2 || (isVerb(1) && !isVerb(2)) ? 1 : 2;
  const repo = { type, name: words.slice(0, names).join('/') };
  if (!isVerb(names)) return location(repo, '', '');
  const [revision, path] = takeRevision(words.slice(names + 1));
  const verb = words[names];
  if (verb === 'commit') return location(repo, revision, '');
  return location(repo, revision, `${path.join('/')}${verb === 'tree' && path.length > 0 ? '/' : ''}`);
}

/** Pages of a bucket name a path without a revision. */
function fromBucketPath([owner = '', name = '', verb = '', ...path]: string[]): RepoLocation {
  const repo = { type: 'bucket', name: `${owner}/${name}` } as const;
  if (!BUCKET_VERBS.has(verb)) return location(repo, '', '');
  return location(repo, '', `${path.join('/')}${verb === 'tree' && path.length > 0 ? '/' : ''}`);
}

/**
 * The revision that the parts of an address begin with, and those of the path behind it. They are cut before they are
 * decoded, so that a part with an encoded slash stays one; of those that the Hub makes it is known where they end.
 */
export function takeRevision(parts: readonly string[]): [revision: string, path: string[]] {
  const special = /^refs\/(?:convert\/[\w.-]+|pr\/\d+)$/.test(parts.slice(0, 3).join('/'));
  const length = special && parts.length >= 3 ? 3 : 1;
  return [parts.slice(0, length).join('/'), parts.slice(length)];
}

function typed(words: string[]): { type: RepoType; words: string[] } {
  const type = TYPES.get(words[0] ?? '');
  return type === undefined ? { type: 'model', words } : { type, words: words.slice(1) };
}

function location(repo: RepoId, revision: string, path: string): RepoLocation {
  return { repo: parseRepo(repo), ...(revision !== '' && { revision }), ...(path !== '' && { path }) };
}

/** The one text form of a repository, for messages and keys. */
export function repoText(repo: RepoId): string {
  return `${PREFIX[repo.type]}${repo.name}`;
}

/**
 * The revision to use: the given one, or else the default. Buckets have none, which is the empty text here. Throws
 * `INVALID_ARGUMENT` for a revision of a bucket.
 */
export function revisionOf(repo: RepoId, revision: string | undefined): string {
  if (repo.type !== 'bucket') return revision ?? DEFAULT_REVISION;
  refuseForBucket(repo, { revision });
  return '';
}

/** Throws `INVALID_ARGUMENT` for options that only repositories with commits have, and names the first that is given. */
export function refuseForBucket(repo: RepoId, options: Record<string, string | boolean | undefined>): void {
  if (repo.type !== 'bucket') return;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === false || value === '') continue;
    throw new XetError(
      'INVALID_ARGUMENT',
      `${repoText(repo)} is a bucket, which has no revisions and no commits, and ${name} is '${String(value).slice(0, 200)}'. Leave out ${name}.`,
    );
  }
}

/** One part of an address. What would lead to another place of the Hub is refused: no revision or name is like that. */
function encodePart(part: string): string {
  if (part === '' || part === '.' || part === '..' || LONE_SURROGATE.test(part)) {
    throw new XetError('INVALID_ARGUMENT', `'${part}' names nothing on the Hub: no branch, tag, commit or path.`);
  }
  return encodeURIComponent(part);
}

function encodePath(path: string): string {
  return path.split('/').map(encodePart).join('/');
}

/** Address of a file's content, or as `raw` of what git stores for it. */
export function resolveUrl(
  endpoint: string,
  repo: RepoId,
  revision: string,
  path: string,
  verb: 'resolve' | 'raw' = 'resolve',
): string {
  const place = repo.type === 'bucket' ? verb : `${verb}/${encodePart(revision)}`;
  return `${endpoint}/${repoText(repo)}/${place}/${encodePath(path)}`;
}

/** Address of a call about a repository at a revision, which that of a bucket does not name; `rest` may be a path. */
export function revisionUrl(endpoint: string, repo: RepoId, call: string, revision: string, ...rest: string[]): string {
  return apiUrl(endpoint, repo, call, ...(repo.type === 'bucket' ? [] : [revision]), ...rest);
}

/** Address of a call about a repository; the parts are encoded here. */
export function apiUrl(endpoint: string, repo: RepoId, ...parts: string[]): string {
  return [`${endpoint}/api/${repo.type}s/${repo.name}`, ...parts.map(encodePart)].join('/');
}

/** Half of a character: no file system and no URL has it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Rejects a path that could not be a file of a repository, or would leave the folder it is joined to. */
export function checkPath(path: string): RepoPath {
  const parts = path.split('/');
  const bad =
    path === '' ||
    path.includes('\0') ||
    path.includes('\\') ||
    LONE_SURROGATE.test(path) ||
    parts.some((part) => part === '' || part === '.' || part === '..');
  if (bad || /^[a-zA-Z]:/.test(path)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `Not a path in a repository: '${path.slice(0, 200)}'. Use names joined by '/', without '.', '..' or '\\'.`,
    );
  }
  return path as RepoPath;
}

/**
 * Rejects a path that a repository cannot have, and a key that a bucket forbids: one with `..` at the end of a part.
 */
export function checkPathIn(repo: RepoId, path: string): RepoPath {
  checkPath(path);
  if (repo.type === 'bucket' && /\.\.(?:\/|$)/.test(path)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `${repoText(repo)} cannot store '${path.slice(0, 200)}': no part of a path in a bucket ends with '..'. Rename the file.`,
    );
  }
  return path as RepoPath;
}

/**
 * A path in a repository as people and programs give it: with `./` or `/` in front of it the same one, as for other
 * clients of the Hub. Throws `INVALID_ARGUMENT` as {@link checkPath} does.
 */
export function givenPath(path: string): RepoPath {
  if (typeof path !== 'string') throw new XetError('INVALID_ARGUMENT', 'A path in the repository is needed.');
  return checkPath(path.replace(/^(?:\.?\/)+/, ''));
}

/** The same for a folder, which may end in `/`; undefined for the root. */
export function givenFolder(path: string | undefined): RepoPath | undefined {
  if (path === undefined || /^\.?\/*$/.test(path)) return undefined;
  let end = path.length;
  while (path[end - 1] === '/') end--;
  return givenPath(path.slice(0, end));
}

/** True if a revision is a full commit id, which never changes. */
export function isCommit(revision: string): revision is CommitId {
  return /^[0-9a-f]{40}$/.test(revision);
}
