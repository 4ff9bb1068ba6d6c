import { dirname, join } from 'node:path';
import { isHashHex } from '../../core/hash.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';
import type { DiskOffload } from '../../files/disk-offload.ts';
import {
  forAll,
  ifDiskAllows,
  namesIn,
  putFile,
  readOwn,
  refuseLinks,
  removeFolder,
  removeLeftovers,
} from '../../fs/cache-folder.node.ts';
import { lstat, rm, stat, utimes } from '../../fs/disk.node.ts';
import { diskErrors } from '../../fs/disk-errors.node.ts';
import { openToRead } from '../../fs/small-files.node.ts';
import { decodeRecipe, encodedLength, encodeIfConsistent } from './recipe-format.ts';
import { XorbIndex } from './recipe-index.node.ts';
import type { RecipeStore, RecipeUsage } from './recipe-store.ts';

interface Kept {
  fileHash: string;
  path: string;
  /** Size on disk in bytes. */
  storedBytes: number;
  /** Time of last use, in milliseconds since 1970. */
  usedAt: number;
}

const MIB = 1024 * 1024;
/** Longer recipes take longer to transfer to the disk thread than to write. */
const WORTH_HELP_BYTES = 64 * 1024;
const MINUTE_MS = 60 * 1000;
/** Most disks allocate multiples of this: 10,000 recipes of small files take 40 MB, not 2. */
const BLOCK_BYTES = 4096;
/** Maximum length of a recipe, which corresponds to a file of 1.8 TB. */
const MAX_RECIPE_BYTES = 1024 * MIB;
const USE_NOTED_MS = 10 * MINUTE_MS;
const SWEEP_EVERY_MS = 10 * MINUTE_MS;

/**
 * Opens recipes in a folder that any number of processes may share: `v1/recipes/<2 hex>/<file hash>`, whose time
 * of modification is its last use, and an index from xorbs to files beside it. There are no locks: a recipe is renamed into
 * place when it is complete, then indexed. Damaged recipes are never returned.
 *
 * Nothing is touched before the first call. `maxBytes` defaults to 2 GiB; concurrent writers may exceed it
 * by 5 % each for a while.
 */
export function openFolderRecipeStore(
  folder: string,
  options: { maxBytes?: number; help?: DiskOffload | undefined } = {},
): RecipeStore {
  return new FolderRecipeStore(join(folder, 'v1'), options.maxBytes ?? 2048 * MIB, options.help);
}

class FolderRecipeStore implements RecipeStore {
  readonly #recipes: string;
  readonly #temporary: string;
  readonly #sweepMark: string;
  readonly #index: XorbIndex;
  readonly #maxBytes: number;
  readonly #help: DiskOffload | undefined;
  /** Dropped recipes whose files cannot be removed. */
  readonly #refused = new Set<string>();
  /** Bytes stored by this process since the last count; NaN before the first count, so that the first put counts. */
  #addedBytes = Number.NaN;
  #sweeping: Promise<void> | undefined;

  constructor(folder: string, maxBytes: number, help: DiskOffload | undefined) {
    this.#recipes = join(folder, 'recipes');
    this.#temporary = join(folder, 'temporary');
    this.#sweepMark = join(folder, 'recipes-swept');
    this.#index = new XorbIndex(join(folder, 'xorbs'), this.#temporary);
    this.#maxBytes = maxBytes;
    this.#help = help;
  }

  async get(fileHash: string): Promise<Recipe | undefined> {
    if (!isHashHex(fileHash) || this.#refused.has(fileHash)) return undefined;
    const here = () => this.#get(fileHash);
    return this.#help ? this.#help.run('recipe', [fileHash], here) : here();
  }

  async #get(fileHash: string): Promise<Recipe | undefined> {
    const path = this.#path(fileHash);
    const found = await readRecipe(path);
    if (!found) return undefined;
    const recipe = decodeRecipe(found.bytes, fileHash);
    if (!recipe) await this.#discard(fileHash);
    else if (Math.abs(Date.now() - found.usedAt) > USE_NOTED_MS) await noteUse(path);
    return recipe;
  }

  async has(fileHash: string): Promise<boolean> {
    if (!isHashHex(fileHash) || this.#refused.has(fileHash)) return false;
    return (await lengthOf(this.#path(fileHash))) !== undefined;
  }

  async put(recipe: Recipe): Promise<void> {
    const length = encodedLength(recipe);
    if (!isHashHex(recipe.fileHash) || length > Math.min(this.#maxBytes / 2, MAX_RECIPE_BYTES)) return;
    const here = () => this.#put(recipe, length);
    if (!this.#help?.active || length > WORTH_HELP_BYTES) return here();
    await this.#help.run('keepRecipe', [recipe], here);
    // Makes a recipe that the disk thread stores visible here at once.
    this.#index.learn(recipe);
    this.#refused.delete(recipe.fileHash);
  }

  async #put(recipe: Recipe, length: number): Promise<void> {
    await ifDiskAllows(async () => {
      const path = this.#path(recipe.fileHash);
      if ((await lengthOf(path)) === length && !this.#refused.has(recipe.fileHash)) {
        // A concurrent sweep may have removed the index entries of a recipe that was stored again.
        await this.#index.add(recipe);
        await noteUse(path);
        return;
      }
      const bytes = encodeIfConsistent(recipe);
      if (!bytes) return;
      await putFile(this.#temporary, path, bytes);
      // After the rename: a concurrent drop of an earlier recipe may have removed the index entries.
      await this.#index.add(recipe);
      this.#refused.delete(recipe.fileHash);
      this.#addedBytes += onDisk(length);
      this.#sweepIfDue();
    });
  }

  async filesWith(xorb: string, chunks?: ChunkRange): Promise<string[]> {
    return this.#index.filesWith(xorb, chunks);
  }

  async drop(fileHash: string): Promise<void> {
    if (!isHashHex(fileHash)) return;
    const path = this.#path(fileHash);
    const found = await readRecipe(path);
    const recipe = found && decodeRecipe(found.bytes, fileHash);
    await this.#discard(fileHash);
    if (!recipe) return;
    await this.#index.remove(recipe);
    // Another process may have stored the recipe again meanwhile, and its index entries were just removed.
    if ((await lengthOf(path)) !== undefined) await ifDiskAllows(() => this.#index.add(recipe));
  }

  async *list() {
    await this.#sweeping;
    for (const { fileHash, storedBytes } of await this.#scan()) yield { fileHash, storedBytes };
  }

  async usage(): Promise<RecipeUsage> {
    await this.#sweeping;
    const all = await this.#scan();
    return { bytes: bytesOf(all), recipes: all.length };
  }

  async clear(): Promise<void> {
    await this.#sweeping;
    await diskErrors(this.#recipes, async () => {
      await removeFolder(this.#temporary, this.#recipes);
      await this.#index.clear();
    });
  }

  async close(): Promise<void> {
    await this.#sweeping;
  }

  async #discard(fileHash: string): Promise<void> {
    const gone = await ifDiskAllows(async () => {
      await refuseLinks(dirname(this.#path(fileHash)));
      await rm(this.#path(fileHash), { recursive: true, force: true });
      return true;
    });
    if (!gone) this.#refused.add(fileHash);
  }

  /** Sweeps in the background, because counting thousands of recipes would delay the put. */
  #sweepIfDue(): void {
    if (this.#sweeping || this.#addedBytes < this.#maxBytes / 20) return;
    const first = Number.isNaN(this.#addedBytes);
    this.#addedBytes = 0;
    this.#sweeping = ifDiskAllows(() => this.#sweep(first)).finally(() => {
      this.#sweeping = undefined;
    });
  }

  async #sweep(onlyIfLongAgo: boolean): Promise<void> {
    const mark = await ifDiskAllows(() => stat(this.#sweepMark));
    if (onlyIfLongAgo && mark && Math.abs(Date.now() - mark.mtimeMs) < SWEEP_EVERY_MS) return;
    const part = (Number(await readOwn(this.#sweepMark)) + 1) & 0xff;
    await putFile(this.#temporary, this.#sweepMark, new TextEncoder().encode(String(part)));
    await removeLeftovers(this.#temporary);
    const all = await this.#scan();
    let bytes = bytesOf(all);
    // Leaves room for puts until the next sweep, and enough that not every sweep has to evict.
    if (bytes > this.#maxBytes * 0.95) {
      for (const { fileHash, storedBytes } of all.sort((a, b) => a.usedAt - b.usedAt)) {
        if (bytes <= this.#maxBytes * 0.9) break;
        await this.drop(fileHash);
        bytes -= storedBytes;
      }
    }
    const kept = new Set(all.map(({ fileHash }) => fileHash));
    await this.#index.prune(
      part,
      async (fileHash) => kept.has(fileHash) || (await lengthOf(this.#path(fileHash))) !== undefined,
    );
  }

  async #scan(): Promise<Kept[]> {
    const all: Kept[] = [];
    await forAll(await namesIn(this.#recipes), async (part) => {
      for (const fileHash of await namesIn(join(this.#recipes, part))) {
        const path = join(this.#recipes, part, fileHash);
        const found = isHashHex(fileHash) ? await ifDiskAllows(() => stat(path)) : undefined;
        if (found) all.push({ fileHash, path, storedBytes: onDisk(found.size), usedAt: found.mtimeMs });
      }
    });
    return all;
  }

  #path(fileHash: string): string {
    return join(this.#recipes, fileHash.slice(0, 2), fileHash);
  }
}

/** Reads a recipe file, valid or not; undefined if it is absent or unreadable. */
async function readRecipe(path: string): Promise<{ bytes: Uint8Array; usedAt: number } | undefined> {
  return ifDiskAllows(async () => {
    await refuseLinks(dirname(path));
    const handle = await openToRead(path);
    try {
      const found = await handle.stat();
      const sane = found.isFile() && found.size <= MAX_RECIPE_BYTES;
      return { bytes: sane ? await handle.readFile() : new Uint8Array(), usedAt: found.mtimeMs };
    } finally {
      await handle.close();
    }
  });
}

async function lengthOf(path: string): Promise<number | undefined> {
  const found = await ifDiskAllows(async () => {
    await refuseLinks(dirname(path));
    return lstat(path);
  });
  return found?.isFile() ? found.size : undefined;
}

/** Sets the time of use, which eviction depends on. A read-only disk needs neither. */
async function noteUse(path: string): Promise<void> {
  const now = new Date();
  await ifDiskAllows(() => utimes(path, now, now));
}

function onDisk(length: number): number {
  return Math.ceil(length / BLOCK_BYTES) * BLOCK_BYTES;
}

function bytesOf(all: Kept[]): number {
  return all.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
}
