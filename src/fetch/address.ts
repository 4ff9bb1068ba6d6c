import { isXetError } from '../core/errors.ts';
import { checkPath, DEFAULT_REVISION, parseRepo, resolveUrl, takeRevision } from '../hub/repo.ts';
import type { RepoId, RepoType } from '../hub/types.ts';

/** A file of a repository, parsed from a URL. */
export interface HubAddress {
  repo: RepoId;
  /** Empty for a file of a bucket. */
  revision: string;
  path: string;
  /** Its URL over plain HTTP, without fragment. */
  url: string;
  /** True if the file is to be saved rather than shown. */
  attachment: boolean;
  /** True if the URL names an alias of the endpoint. */
  alias: boolean;
}

type FileLocation = Pick<HubAddress, 'repo' | 'revision' | 'path'>;

const REPO_TYPES = new Map<string, RepoType>([
  ['datasets', 'dataset'],
  ['spaces', 'space'],
  ['kernels', 'kernel'],
  ['buckets', 'bucket'],
]);
/** Path prefixes of things other than repositories of files. */
const OTHER_PREFIXES = ['api', 'collections', 'papers'];

/** Recognises the URLs of files on a Hub. */
export class HubAddresses {
  readonly #endpoint: string;
  readonly #bases: readonly { base: URL; alias: boolean }[];

  constructor(endpoint: string, aliases: readonly string[] = []) {
    this.#endpoint = endpoint.replace(/\/+$/, '');
    this.#bases = [endpoint, ...aliases].map((text, index) => ({
      base: new URL(`${text.replace(/\/+$/, '')}/`),
      alias: index > 0,
    }));
  }

  /** The file of a `resolve` or `hf://` URL; undefined for any other URL. */
  find(url: URL): HubAddress | undefined {
    if (url.username !== '' || url.password !== '') return undefined;
    return url.protocol === 'hf:' ? this.#fromHfUri(url) : this.#fromHttp(url);
  }

  #fromHttp(url: URL): HubAddress | undefined {
    const found = this.#bases.find(
      ({ base }) => base.origin === url.origin && url.pathname.startsWith(base.pathname) && base.protocol !== 'hf:',
    );
    if (!found) return undefined;
    // Other query parameters are left to the Hub.
    for (const name of url.searchParams.keys()) if (name !== 'download') return undefined;
    const { type, words } = splitType(url.pathname.slice(found.base.pathname.length).split('/'));
    // A few old model repositories have no owner.
    const length = [2, 1].find((count) => words[count] === 'resolve');
    if (length === undefined) return undefined;
    const location = locationOf({ type, name: words.slice(0, length).join('/') }, words.slice(length + 1));
    if (!location) return undefined;
    const plain = new URL(url);
    plain.hash = '';
    const download = url.searchParams.get('download');
    const attachment = download !== null && !/^(0|false)$/i.test(download);
    return { ...location, url: plain.href, attachment, alias: found.alias };
  }

  /** `hf://[datasets/|spaces/|kernels/|buckets/]owner/name[@revision]/path`, percent-encoded like any URL. */
  #fromHfUri(url: URL): HubAddress | undefined {
    // Browsers disagree about the host of such a URL.
    const text = /^hf:\/\/([^?#]*)/.exec(url.href)?.[1];
    if (text === undefined || url.search !== '') return undefined;
    const { type, words } = splitType(text.replace(/^models\//, '').split('/'));
    const [owner = '', second = '', ...path] = words;
    if (OTHER_PREFIXES.includes(owner)) return undefined;
    const at = second.indexOf('@');
    const name = at < 0 ? second : second.slice(0, at);
    if (at >= 0 && type === 'bucket') return undefined;
    const revision = type === 'bucket' ? [] : [at < 0 ? DEFAULT_REVISION : second.slice(at + 1)];
    const location = locationOf({ type, name: `${owner}/${name}` }, [...revision, ...path]);
    if (!location) return undefined;
    const plain = resolveUrl(this.#endpoint, location.repo, location.revision, location.path);
    return { ...location, url: plain, attachment: false, alias: false };
  }
}

function splitType(words: string[]): { type: RepoType; words: string[] } {
  const type = REPO_TYPES.get(words[0] ?? '');
  return type === undefined ? { type: 'model', words } : { type, words: words.slice(1) };
}

/** Undefined for paths that are invalid in a repository: such a request is passed on. */
function locationOf(repo: RepoId, escaped: string[]): FileLocation | undefined {
  try {
    const words = escaped.map((word) => decodeURIComponent(word));
    if (repo.type === 'bucket') return { repo: parseRepo(repo), revision: '', path: checkPath(words.join('/')) };
    const [revision, path] = takeRevision(words);
    if (revision === '' || revision === '.' || revision === '..') return undefined;
    return { repo: parseRepo(repo), revision, path: checkPath(path.join('/')) };
  } catch (error) {
    if (!(error instanceof URIError) && !isXetError(error)) throw error;
    return undefined;
  }
}
