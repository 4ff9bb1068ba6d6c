import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StagingArea } from '../store/atomic-file.ts';
import { Repo, type RepoRecord } from './repo.ts';
import { isRepoName, type RepoId, type RepoType } from './repo-id.ts';

/** Where models without an owner are kept: no owner can have this name. */
const NO_OWNER = '~';

/** All repositories of a Hub. */
export class RepoStore {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #now: () => number;
  readonly #repos = new Map<string, Repo>();
  /** Repositories that are being made, by their names in lower case. */
  readonly #making = new Map<string, Promise<Repo>>();

  private constructor(root: string, staging: StagingArea, now: () => number) {
    this.#root = root;
    this.#staging = staging;
    this.#now = now;
  }

  static async open(dir: string, staging: StagingArea, now: () => number): Promise<RepoStore> {
    const store = new RepoStore(join(dir, 'repos'), staging, now);
    for (const type of ['model', 'dataset', 'space'] as const) {
      for (const owner of await folders(join(store.#root, `${type}s`))) {
        for (const last of await folders(join(store.#root, `${type}s`, owner))) {
          const name = owner === NO_OWNER ? last : `${owner}/${last}`;
          if (isRepoName(name)) await store.#load({ type, name });
        }
      }
    }
    return store;
  }

  async #load(id: RepoId): Promise<void> {
    const repo = await Repo.load(id, this.#folder(id), this.#staging);
    if (repo) this.#repos.set(key(id), repo);
  }

  get(id: RepoId): Repo | undefined {
    return this.#repos.get(key(id));
  }

  /** The repository whose name differs from this one in case only. */
  findOtherCase(id: RepoId): Repo | undefined {
    const wanted = key(id).toLowerCase();
    for (const [name, repo] of this.#repos) if (name.toLowerCase() === wanted) return repo;
    return undefined;
  }

  all(): IterableIterator<Repo> {
    return this.#repos.values();
  }

  list(type: RepoType): Repo[] {
    return [...this.#repos.values()].filter((repo) => repo.id.type === type);
  }

  /** Makes an empty repository; `undefined` where there is one by that name. */
  async create(id: RepoId, settings: Partial<RepoRecord> = {}): Promise<Repo | undefined> {
    if (!isRepoName(id.name)) throw new TypeError(`Not a repository name: ${id.name}`);
    const name = key(id).toLowerCase();
    const other = this.#making.get(name);
    if (other) await other;
    if (this.findOtherCase(id)) return undefined;
    const making = Repo.create(id, this.#folder(id), this.#staging, this.#newRecord(id, settings));
    this.#making.set(name, making);
    try {
      const repo = await making;
      this.#repos.set(key(id), repo);
      return repo;
    } finally {
      this.#making.delete(name);
    }
  }

  #newRecord(id: RepoId, settings: Partial<RepoRecord>): RepoRecord {
    const createdAt = new Date(this.#now()).toISOString();
    const digest = createHash('sha256')
      .update(`${key(id)} ${createdAt}`)
      .digest('hex');
    return {
      id: digest.slice(0, 24),
      private: false,
      gated: false,
      allowed: [],
      disabled: false,
      createdAt,
      ...settings,
    };
  }

  async delete(id: RepoId): Promise<void> {
    this.#repos.delete(key(id));
    await this.#staging.discard(this.#folder(id));
  }

  #folder({ type, name }: RepoId): string {
    const words = name.split('/');
    return join(this.#root, `${type}s`, ...(words.length === 1 ? [NO_OWNER, ...words] : words));
  }
}

function key({ type, name }: RepoId): string {
  return `${type}s/${name}`;
}

async function folders(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
