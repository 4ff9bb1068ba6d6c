import { setLatest } from '../core/lru.ts';
import { Shared } from '../core/shared.ts';
import type { XetFile } from '../read/xet-file.ts';
import type { HubAddress } from './address.ts';
import type { FileFacts } from './answer.ts';

/** What is asked of a file: as much of {@link XetFile} as an answer needs. */
export interface OpenFile extends FileFacts {
  slice(start: number, end: number): Pick<XetFile, 'stream'>;
}

/** `whole`: whether all of the file is wanted. */
export type OpenAddress = (address: HubAddress, whole: boolean, signal: AbortSignal) => Promise<OpenFile>;

interface Opened {
  file: OpenFile;
  /** Whether it was opened by somebody who wanted all of it, and so may have its beginning. */
  whole: boolean;
  atMs: number;
}

interface Entry {
  opening: Shared<OpenFile>;
  opened: Opened | undefined;
}

/** Readers of ranges ask many times within moments; that what they read does not change meanwhile suits them. */
const GOOD_FOR_MS = 30_000;
const MOST_FILES = 64;

/** What the Hub said of files a moment ago, so that a hundred ranges of a file ask it once. */
export class OpenedFiles {
  readonly #open: OpenAddress;
  readonly #now: () => number;
  /** Those used last at the end. */
  readonly #entries = new Map<string, Entry>();

  constructor(open: OpenAddress, now: () => number = () => performance.now()) {
    this.#open = open;
    this.#now = now;
  }

  /**
   * @param recent whether an answer of a moment ago will do.
   * @param whole whether all of the file is wanted.
   */
  async open(address: HubAddress, recent: boolean, whole: boolean, signal: AbortSignal | undefined): Promise<OpenFile> {
    const entry = this.#entry(address);
    const { opened } = entry;
    const before = opened && this.#now() - opened.atMs < GOOD_FOR_MS ? opened : undefined;
    if (recent && before) {
      signal?.throwIfAborted();
      return before.file;
    }
    // Libraries ask for all of a file to hear how long it is, and again to read it: what came then is not fetched twice.
    const asksForAll = whole && !before?.whole;
    const open = (shared: AbortSignal) => this.#open(address, asksForAll, shared);
    // What was asked before this request may be older than it.
    const now = await (recent ? entry.opening : new Shared<OpenFile>()).join(open, signal);
    const isSame = before?.whole && before.file.etag === now.etag && before.file.commit === now.commit;
    const file = isSame ? before.file : now;
    entry.opened = { file, whole: isSame || asksForAll, atMs: this.#now() };
    return file;
  }

  #entry(address: HubAddress): Entry {
    const { repo, revision, path } = address;
    const key = JSON.stringify([repo.type, repo.name, revision, path]);
    const entry = this.#entries.get(key) ?? { opening: new Shared<OpenFile>(), opened: undefined };
    setLatest(this.#entries, key, entry, MOST_FILES);
    return entry;
  }
}
