import { XetError } from '../errors.ts';

/** What a repository holds. */
export type RepoType = 'model' | 'dataset' | 'space';

/** A repository: `'owner/name'` is a model, `'datasets/owner/name'` and `'spaces/owner/name'` say so. */
export type RepoDesignation = string | { type: RepoType; name: string };

/** A repository by type and name. */
export interface RepoId {
  /** What it holds. */
  type: RepoType;
  /** `owner/name`; a few old models have no owner. */
  name: string;
}

/** What an `hf://` address or a page of the Hub points to. */
export interface RepoLocation {
  /** Which repository. */
  repo: RepoId;
  /** Branch, tag or commit, if the text names one. */
  revision?: string;
  /** Path in the repository, if the text names one. */
  path?: string;
}

/** The branch that is meant where none is named. */
export const DEFAULT_REVISION = 'main';

const PREFIX: Record<RepoType, string> = { model: '', dataset: 'datasets/', space: 'spaces/' };
const TYPES = new Map<string, RepoType>([
  ['models', 'model'],
  ['datasets', 'dataset'],
  ['spaces', 'space'],
]);
const NAME_PART = /^[\w.-]{1,96}$/;
/** Revisions that contain slashes, which is why a path cannot simply be cut at the first one. */
const SPECIAL_REVISION = /^refs\/(?:convert\/[\w.-]+|pr\/\d+)(?=\/|$)/;
const VERBS = new Set(['resolve', 'blob', 'tree', 'raw']);

/** A repository by its name, whichever way it was said. Throws `INVALID_ARGUMENT` for what is none. */
export function parseRepo(repo: RepoDesignation): RepoId {
  const id = typeof repo === 'string' ? fromText(repo) : repo;
  const parts = id.name.split('/');
  const valid =
    Object.hasOwn(PREFIX, id.type) &&
    parts.length <= 2 &&
    parts.every(
      (part) =>
        NAME_PART.test(part) && !part.includes('..') && !part.includes('--') && !/^[.-]|[.-]$|\.git$/.test(part),
    );
  if (!valid) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `Not a repository: '${describe(repo)}'. Use 'owner/name', 'datasets/owner/name' or 'spaces/owner/name'.`,
    );
  }
  return { type: id.type, name: id.name };
}

function describe(repo: RepoDesignation): string {
  return (typeof repo === 'string' ? repo : `${repo.type} ${repo.name}`).slice(0, 200);
}

function fromText(text: string): RepoId {
  const [first = '', ...rest] = text.split('/');
  const type = TYPES.get(first);
  return type !== undefined && rest.length > 0 ? { type, name: rest.join('/') } : { type: 'model', name: text };
}

/**
 * Reads `hf://[datasets/|spaces/]owner/name[@revision][/path]`, and the address of a repository, a folder or a
 * file on the Hub at `endpoint`. Undefined for anything else, such as a plain repository name.
 */
export function parseLocation(text: string, endpoint: string): RepoLocation | undefined {
  if (text.startsWith('hf://')) return fromHfUri(text.slice('hf://'.length));
  const base = endpoint.replace(/\/+$/, '');
  if (text !== base && !text.startsWith(`${base}/`)) return undefined;
  return fromHubPath(new URL(text).pathname.slice(new URL(`${base}/`).pathname.length));
}

function fromHfUri(text: string): RepoLocation {
  const [withType, type] = stripType(text);
  const [owner = '', nameAndRevision = '', ...path] = withType.split('/');
  const at = nameAndRevision.indexOf('@');
  if (at < 0) return location({ type, name: `${owner}/${nameAndRevision}` }, '', path.join('/'));
  const behind = [nameAndRevision.slice(at + 1), ...path].join('/');
  return location({ type, name: `${owner}/${nameAndRevision.slice(0, at)}` }, ...cutRevision(behind));
}

function fromHubPath(pathname: string): RepoLocation {
  const [withType, type] = stripType(pathname);
  const parts = withType.replace(/\/+$/, '').split('/').map(decode);
  // A few old models have no owner.
  const names = parts.length < 2 || VERBS.has(parts[1] ?? '') ? 1 : 2;
  const repo = { type, name: parts.slice(0, names).join('/') };
  if (!VERBS.has(parts[names] ?? '')) return location(repo, '', '');
  return location(repo, ...cutRevision(parts.slice(names + 1).join('/')));
}

/** A revision and the path behind it. */
function cutRevision(text: string): [revision: string, path: string] {
  const plain = decode(text);
  const special = SPECIAL_REVISION.exec(plain)?.[0];
  if (special !== undefined) return [special, plain.slice(special.length + 1)];
  const [revision = '', ...path] = text.split('/');
  return [decode(revision), path.join('/')];
}

function stripType(text: string): [rest: string, type: RepoType] {
  for (const type of ['dataset', 'space'] as const) {
    if (text.startsWith(PREFIX[type])) return [text.slice(PREFIX[type].length), type];
  }
  return [text.startsWith('models/') ? text.slice('models/'.length) : text, 'model'];
}

function location(repo: RepoId, revision: string, path: string): RepoLocation {
  return { repo: parseRepo(repo), ...(revision !== '' && { revision }), ...(path !== '' && { path }) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The one text form of a repository, for messages and keys. */
export function repoText(repo: RepoId): string {
  return `${PREFIX[repo.type]}${repo.name}`;
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** Address of a file's content. */
export function resolveUrl(endpoint: string, repo: RepoId, revision: string, path: string): string {
  return `${endpoint}/${PREFIX[repo.type]}${repo.name}/resolve/${encodeURIComponent(revision)}/${encodePath(path)}`;
}

/** Address of a call about a repository; the parts are encoded here. */
export function apiUrl(endpoint: string, repo: RepoId, ...parts: string[]): string {
  return [`${endpoint}/api/${repo.type}s/${repo.name}`, ...parts.map(encodeURIComponent)].join('/');
}

/** Half of a character: no file system and no URL has it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Rejects a path that could not be a file of a repository, or would leave the folder it is joined to. */
export function checkPath(path: string): string {
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
  return path;
}

/** Whether a revision is a commit in full, and so stands for the same for ever. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
