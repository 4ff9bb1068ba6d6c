import { join } from 'node:path';
import { type Fence, readBelow } from '../../fs/fence.node.ts';
import { writeInOneStep } from '../../fs/small-files.node.ts';
import type { ListEntry } from '../../hub/types.ts';
import { formatTree, parseTree } from './tree-format.ts';

/**
 * The files of commits as Python's client keeps them: `trees/<commit>.json` in a folder. What a commit holds never
 * changes, so a listing is good for ever.
 */
export class TreeFiles {
  readonly #folder: string;
  /** The one that was used last: a download asks for one commit many times. */
  #latest: { commit: string; entries: ListEntry[]; byPath: Map<string, ListEntry> } | undefined;

  readonly #fence: Fence;

  /** @param folder what `trees` is in. */
  constructor(folder: string, fence: Fence) {
    this.#folder = folder;
    this.#fence = fence;
  }

  async read(commit: string): Promise<ListEntry[] | undefined> {
    return (await this.#load(commit))?.entries;
  }

  /** One file of a commit; `'missing'` if the commit has no such file; undefined if its files are not known. */
  async entry(commit: string, path: string): Promise<ListEntry | 'missing' | undefined> {
    const tree = await this.#load(commit);
    return tree && (tree.byPath.get(path) ?? 'missing');
  }

  async #load(commit: string) {
    if (this.#latest?.commit === commit) return this.#latest;
    const text = await readBelow(this.#fence, this.#path(commit));
    const entries = text === undefined ? undefined : parseTree(text);
    if (entries === undefined) return undefined;
    this.#latest = { commit, entries, byPath: new Map(entries.map((entry) => [entry.path, entry])) };
    return this.#latest;
  }

  /** Keeps a listing, unless it would be wrong to rely on it later. */
  async write(commit: string, entries: readonly ListEntry[]): Promise<void> {
    const text = formatTree(entries);
    if (text === undefined || (await readBelow(this.#fence, this.#path(commit))) === text) return;
    await this.#fence.makeFolder(join(this.#folder, 'trees'));
    await writeInOneStep(this.#path(commit), text, this.#folder);
  }

  #path(commit: string): string {
    return join(this.#folder, 'trees', `${commit}.json`);
  }
}
