import {
  checkPath,
  DEFAULT_REVISION,
  parseRepo,
  type RepoId,
  type RepoType,
  resolveUrl,
  takeRevision,
} from '../hub/repo.ts';

/** A file of a repository, as an address names it. */
export interface HubAddress {
  repo: RepoId;
  revision: string;
  path: string;
  /** Where plain HTTP has it, without fragment. */
  url: string;
  /** Whether it is to be saved rather than shown. */
  attachment: boolean;
  /** Whether it was addressed by another name of the Hub than the endpoint in use. */
  alias: boolean;
}

type Place = Pick<HubAddress, 'repo' | 'revision' | 'path'>;

const TYPES = new Map<string, RepoType>([
  ['datasets', 'dataset'],
  ['spaces', 'space'],
]);
/** Nobody's name, but kinds of things that are no repositories of files. */
const OTHER_KINDS = ['api', 'buckets', 'collections', 'kernels', 'papers'];

/** Tells the addresses of files on a Hub from all others. */
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

  /** The file behind a `resolve` address or an `hf://` one; undefined for anything else. */
  find(url: URL): HubAddress | undefined {
    if (url.username !== '' || url.password !== '') return undefined;
    return url.protocol === 'hf:' ? this.#fromHfUri(url) : this.#fromHttp(url);
  }

  #fromHttp(url: URL): HubAddress | undefined {
    const found = this.#bases.find(
      ({ base }) => base.origin === url.origin && url.pathname.startsWith(base.pathname) && base.protocol !== 'hf:',
    );
    if (!found) return undefined;
    // What another question means is for the Hub to say.
    for (const name of url.searchParams.keys()) if (name !== 'download') return undefined;
    const { type, words } = typed(url.pathname.slice(found.base.pathname.length).split('/'));
    // A few old models have no owner.
    const length = [2, 1].find((count) => words[count] === 'resolve');
    if (length === undefined) return undefined;
    const place = placeOf({ type, name: words.slice(0, length).join('/') }, words.slice(length + 1));
    if (!place) return undefined;
    const plain = new URL(url);
    plain.hash = '';
    const download = url.searchParams.get('download');
    const attachment = download !== null && !/^(0|false)$/i.test(download);
    return { ...place, url: plain.href, attachment, alias: found.alias };
  }

  /** `hf://[datasets/|spaces/]owner/name[@revision]/path`, escaped like any address. */
  #fromHfUri(url: URL): HubAddress | undefined {
    // Browsers do not agree on what the host of such an address is.
    const text = /^hf:\/\/([^?#]*)/.exec(url.href)?.[1];
    if (text === undefined || url.search !== '') return undefined;
    const { type, words } = typed(text.replace(/^models\//, '').split('/'));
    const [owner = '', second = '', ...path] = words;
    if (OTHER_KINDS.includes(owner)) return undefined;
    const at = second.indexOf('@');
    const name = at < 0 ? second : second.slice(0, at);
    const revision = at < 0 ? DEFAULT_REVISION : second.slice(at + 1);
    const place = placeOf({ type, name: `${owner}/${name}` }, [revision, ...path]);
    if (!place) return undefined;
    const plain = resolveUrl(this.#endpoint, place.repo, place.revision, place.path);
    return { ...place, url: plain, attachment: false, alias: false };
  }
}

function typed(words: string[]): { type: RepoType; words: string[] } {
  const type = TYPES.get(words[0] ?? '');
  return type === undefined ? { type: 'model', words } : { type, words: words.slice(1) };
}

/** Undefined for what no client would ask a Hub for: such a request is not ours to judge. */
function placeOf(repo: RepoId, escaped: string[]): Place | undefined {
  try {
    const [revision, path] = takeRevision(escaped.map((word) => decodeURIComponent(word)));
    if (revision === '' || revision === '.' || revision === '..') return undefined;
    return { repo: parseRepo(repo), revision, path: checkPath(path.join('/')) };
  } catch {
    return undefined;
  }
}
