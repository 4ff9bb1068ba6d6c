import type { LocalCaches } from '../cache/local-caches.ts';
import type { Term } from '../cas/reconstruction.ts';
import { isXetError } from '../core/errors.ts';
import type { RepoStore } from '../files/place.ts';
import type { HubClient, ResolvedFile } from '../hub/client.ts';
import { fileOf } from '../hub/listing.ts';
import type { DownloadEngine } from './engine.ts';
import { wholeOf } from './read.ts';

export interface AdoptParts {
  engine: DownloadEngine;
  hub: HubClient;
  caches: LocalCaches;
}

/** Below this size, asking costs more than reuse saves. */
const WORTH_BYTES = 8 * 1024 * 1024;
/** Earlier versions that are looked into. */
const MAX_EARLIER = 2;

/**
 * Learns how files are built that other programs brought here, so that their chunks need not be fetched: they are
 * cut into chunks once. What cannot be learned is fetched; nothing of this is an error.
 */
export class Adoption {
  readonly #parts: AdoptParts;

  constructor(parts: AdoptParts) {
    this.#parts = parts;
  }

  /** Takes in a file that was found to be here already. */
  async file(file: ResolvedFile, path: string, signal: AbortSignal): Promise<void> {
    await this.#quietly(signal, async () => {
      const { hasFileSources, stores } = this.#parts.caches;
      const { recipes } = stores;
      if (!hasFileSources || file.size < WORTH_BYTES || file.xetHash === undefined) return;
      // To read the recipe would take longer than all else about a file that is here.
      if (recipes.has ? await recipes.has(file.xetHash) : await this.#isKnown(file)) return;
      await this.#take(file, path, signal);
    });
  }

  /** Takes in other versions of a file that is about to be fetched, if they have something in common with it. */
  async earlier(file: ResolvedFile, store: RepoStore, signal: AbortSignal): Promise<void> {
    const { engine, hub, caches } = this.#parts;
    if (!caches.hasFileSources || file.size < WORTH_BYTES || !engine.overXet(file)) return;
    await this.#quietly(signal, async () => {
      for (const { localPath: path, commit } of (await store.earlier(file)).slice(0, MAX_EARLIER)) {
        const listed = (await store.tree(file.repo, commit))?.find((entry) => entry.path === file.path);
        const other = listed
          ? fileOf(hub, file.repo, commit, listed)
          : await hub.resolve(file.repo, commit, file.path, { signal });
        if (!engine.overXet(other) || (await this.#isKnown(other))) continue;
        const wanted = new Set((await this.#terms(file, signal)).map(({ xorb }) => xorb));
        if ((await this.#terms(other, signal)).some(({ xorb }) => wanted.has(xorb)))
          await this.#take(other, path, signal);
      }
    });
  }

  async #isKnown({ xetHash, size }: ResolvedFile): Promise<boolean> {
    return xetHash === undefined || (await this.#parts.caches.termsOf(xetHash, size)) !== undefined;
  }

  /** Reconstruction of a file from its CAS. */
  async #terms(file: ResolvedFile, signal: AbortSignal): Promise<readonly Term[]> {
    const { engine } = this.#parts;
    if (!engine.overXet(file)) return [];
    const read = engine.read(file, wholeOf(file), { signal, policy: 'network' });
    return (await engine.begin(read, { keep: false })).plan();
  }

  async #take(file: ResolvedFile, path: string, signal: AbortSignal): Promise<void> {
    const terms = await this.#terms(file, signal);
    await this.#parts.caches.adopt(path, file, terms, signal);
  }

  async #quietly(signal: AbortSignal, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      signal.throwIfAborted();
      // It would only have saved something.
      if (!isXetError(error)) throw error;
    }
  }
}
