import { setRecent } from '../core/lru.ts';
import { Shared } from '../core/shared.ts';
import type { XetFile } from '../read/xet-file.ts';
import type { HubAddress } from './address.ts';
import type { FileFacts } from './file-response.ts';

/** The part of a {@link XetFile} that a response needs. */
export interface OpenFile extends FileFacts {
  slice(start: number, end: number): Pick<XetFile, 'stream'>;
}

/** Opens a file; with `whole` all of it is wanted. */
type OpenAddress = (address: HubAddress, whole: boolean, signal: AbortSignal) => Promise<OpenFile>;

interface Opened {
  file: OpenFile;
  /** True if it was opened for all of its bytes, and so may have its beginning in memory. */
  whole: boolean;
  atMs: number;
}

interface Entry {
  opening: Shared<OpenFile>;
  opened: Opened | undefined;
}

/** Readers of ranges send many requests within moments, and want them to be of one version of the file. */
const MAX_AGE_MS = 30_000;
const MAX_FILES = 64;

/** Recently opened files, so that a hundred range requests for a file need one request to the Hub. */
export class OpenedFiles {
  readonly #open: OpenAddress;
  readonly #now: () => number;
  /** The most recently used entries come last. */
  readonly #entries = new Map<string, Entry>();

  constructor(open: OpenAddress, now: () => number = () => performance.now()) {
    this.#open = open;
    this.#now = now;
  }

  /**
   * @param recent accepts metadata that is up to 30 s old.
   * @param whole true if all of the file is wanted.
   */
  async open(address: HubAddress, recent: boolean, whole: boolean, signal: AbortSignal | undefined): Promise<OpenFile> {
    const entry = this.#entry(address);
    const { opened } = entry;
    const before = opened && this.#now() - opened.atMs < MAX_AGE_MS ? opened : undefined;
    if (recent && before) {
      signal?.throwIfAborted();
      return before.file;
    }
    // Libraries request a whole file to learn its size, and again to read it: its beginning is fetched once.
    const opensWhole = whole && !before?.whole;
    const open = (shared: AbortSignal) => this.#open(address, opensWhole, shared);
    // A shared open that began before this request may return older metadata.
    const latest = await (recent ? entry.opening : new Shared<OpenFile>()).join(open, signal);
    const isSame = before?.whole && before.file.etag === latest.etag && before.file.commit === latest.commit;
    const file = isSame ? before.file : latest;
    entry.opened = { file, whole: isSame || opensWhole, atMs: this.#now() };
    return file;
  }

  #entry(address: HubAddress): Entry {
    const { repo, revision, path } = address;
    const key = JSON.stringify([repo.type, repo.name, revision, path]);
    const entry = this.#entries.get(key) ?? { opening: new Shared<OpenFile>(), opened: undefined };
    setRecent(this.#entries, key, entry, MAX_FILES);
    return entry;
  }
}
