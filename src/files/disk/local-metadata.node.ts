import { dirname, join } from 'node:path';
import { stat } from '../../fs/disk.node.ts';
import { type Fence, readBelow } from '../../fs/fence.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { within } from '../../fs/safe-paths.node.ts';
import { createIfMissing, tagFolder, writeInOneStep } from '../../fs/small-files.node.ts';
import { checkPath, isCommit } from '../../hub/repo.ts';

/** Metadata of a file in a local folder, written when the file was placed. */
export interface LocalMetadata {
  commit: string;
  etag: string;
  /** Time of the note, in seconds since 1970. */
  timestamp: number;
}

// Python's client allows as much: times of files are not precise everywhere.
const SLACK_SECONDS = 1;

/** The notes that Python's client keeps about a folder, in `.cache/huggingface` in that folder. */
export class LocalNotes {
  readonly #root: string;
  readonly #fence: Fence;
  /** `.cache/huggingface`. */
  readonly folder: string;
  #prepared: Promise<void> | undefined;
  readonly #folders = new Map<string, Promise<unknown>>();

  constructor(root: string, fence: Fence) {
    this.#root = root;
    this.#fence = fence;
    this.folder = join(root, '.cache', 'huggingface');
  }

  /** Folder of unfinished files. */
  get unfinished(): string {
    return join(this.folder, 'download');
  }

  /** The file that Python's client locks while it writes a file. */
  lockOf(path: string): string {
    return within(this.unfinished, checkPath(`${path}.lock`));
  }

  /** Metadata of a file, if it is unchanged since. */
  async read(path: string): Promise<LocalMetadata | undefined> {
    const metadata = parseMetadata((await readBelow(this.#fence, this.#metadata(path))) ?? '');
    const found = metadata && (await ifPresent(() => stat(within(this.#root, checkPath(path)))));
    if (!metadata || !found?.isFile()) return undefined;
    return found.mtimeMs / 1000 - SLACK_SECONDS <= metadata.timestamp ? metadata : undefined;
  }

  async write(path: string, commit: string, etag: string): Promise<void> {
    await this.prepare();
    const { mtimeMs } = await stat(within(this.#root, checkPath(path)));
    // The clock of a file server may be ahead of ours.
    const seconds = Math.max(Date.now(), mtimeMs) / 1000;
    const metadata = this.#metadata(path);
    await this.#makeFolder(dirname(metadata));
    await writeInOneStep(metadata, `${commit}\n${etag}\n${seconds}\n`, this.folder);
  }

  /** Makes the folder of the notes, marked so that neither backups nor git take it along. */
  prepare(): Promise<void> {
    this.#prepared ??= (async () => {
      await this.#fence.check(this.folder);
      await tagFolder(this.folder);
      await createIfMissing(join(this.folder, '.gitignore'), '*');
    })().catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  /** Looks once, however many files go there. */
  #makeFolder(folder: string): Promise<unknown> {
    let made = this.#folders.get(folder);
    if (!made) {
      made = this.#fence.makeFolder(folder).catch((error: unknown) => {
        this.#folders.delete(folder);
        throw error;
      });
      this.#folders.set(folder, made);
    }
    return made;
  }

  #metadata(path: string): string {
    return within(this.unfinished, checkPath(`${path}.metadata`));
  }
}

/** Undefined for anything but a commit, an entity tag and a time on three lines. */
export function parseMetadata(text: string): LocalMetadata | undefined {
  const [commit = '', etag = '', time = ''] = text.split('\n').map((line) => line.trim());
  const timestamp = Number(time);
  const right = isCommit(commit) && etag !== '' && time !== '' && Number.isFinite(timestamp);
  return right ? { commit, etag, timestamp } : undefined;
}
