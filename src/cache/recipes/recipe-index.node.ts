import { join } from 'node:path';
import { isHashHex } from '../../core/hash.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';
import { forAll, ifDiskAllows, namesIn, putMark, removeFolder, removeMark } from '../../fs/cache-folder.node.ts';
import { stat } from '../../fs/disk.node.ts';
import { filesOf, XorbListings, type XorbUse, xorbsOf } from './recipe-index.ts';

const HOUR_MS = 60 * 60 * 1000;

/**
 * Index from xorbs to files: empty files named `<2 hex>/<xorb>/<file hash>-<first chunk>-<end chunk>`.
 *
 * Creating and removing a name is atomic on every file system, including network ones, so neither a lock nor a check
 * for torn entries is needed, and an evicted recipe takes exactly its own entries with it. One list per xorb that
 * is appended to would save inodes, but removing from it needs a lock, and appends are not atomic
 * over NFS, where these folders often are. Cost: for a model of 100 GB, 1,600 xorbs, 80 ms once, and
 * 20 ms to look all of them up; for 10,000 small files in one xorb, 20 µs each, and a folder that takes 10 ms to
 * list. The chunks are in the name so that the few files of the 10,000 that matter are found without opening any.
 */
export class XorbIndex {
  readonly #folder: string;
  readonly #temporary: string;
  readonly #listings = new XorbListings();

  constructor(folder: string, temporary: string) {
    this.#folder = folder;
    this.#temporary = temporary;
  }

  async add(recipe: Recipe): Promise<void> {
    const { fileHash } = recipe;
    await forAll(xorbsOf(recipe), async ([xorb, chunks]) => {
      await putMark(this.#path(xorb, { fileHash, chunks }));
      this.#listings.add(xorb, { fileHash, chunks });
    });
  }

  /** Notes a recipe that another thread has added. */
  learn(recipe: Recipe): void {
    const { fileHash } = recipe;
    for (const [xorb, chunks] of xorbsOf(recipe)) this.#listings.add(xorb, { fileHash, chunks });
  }

  async remove(recipe: Recipe): Promise<void> {
    const { fileHash } = recipe;
    this.#listings.forget();
    await forAll(xorbsOf(recipe), async ([xorb, chunks]) => {
      await removeMark(this.#path(xorb, { fileHash, chunks }));
    });
  }

  /** Returns the distinct hashes of files that use a xorb. */
  async filesWith(xorb: string, chunks: ChunkRange | undefined): Promise<string[]> {
    if (!isHashHex(xorb)) return [];
    const read = async () => (await namesIn(this.#xorbFolder(xorb))).flatMap((name) => parseName(name) ?? []);
    return filesOf(await this.#listings.of(xorb, read), chunks);
  }

  /**
   * Removes entries without a recipe from one of 256 parts of the index. Such entries come from crashes and from
   * recipes that were too damaged to name their xorbs. New entries are kept, because their recipe may still follow.
   */
  async prune(part: number, hasRecipe: (fileHash: string) => Promise<boolean>): Promise<void> {
    const folder = join(this.#folder, part.toString(16).padStart(2, '0'));
    for (const xorb of await namesIn(folder)) {
      for (const name of await namesIn(join(folder, xorb))) {
        const use = parseName(name);
        if (use && (await hasRecipe(use.fileHash))) continue;
        const path = join(folder, xorb, name);
        const found = await ifDiskAllows(() => stat(path));
        if (found && Date.now() - found.mtimeMs > HOUR_MS) await removeMark(path);
      }
    }
  }

  async clear(): Promise<void> {
    this.#listings.forget();
    await removeFolder(this.#temporary, this.#folder);
  }

  #xorbFolder(xorb: string): string {
    return join(this.#folder, xorb.slice(0, 2), xorb);
  }

  #path(xorb: string, { fileHash, chunks }: XorbUse): string {
    return join(this.#xorbFolder(xorb), `${fileHash}-${chunks.start}-${chunks.end}`);
  }
}

function parseName(name: string): XorbUse | undefined {
  const parts = /^([0-9a-f]{64})-(\d{1,10})-(\d{1,10})$/.exec(name);
  if (!parts) return undefined;
  const [, fileHash = '', start, end] = parts;
  return { fileHash, chunks: { start: Number(start), end: Number(end) } };
}
