import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ifPresent } from '../../fs/if-present.ts';
import type { StagingArea } from '../store/atomic-file.ts';
import { Repo, type RepoRecord } from './repo.ts';
import { isRepoName, type RepoId, type RepoType } from './repo-id.ts';

/** Folder of models without an owner; no owner can have this name. */
const NO_OWNER = '~';

/** All repositories of a Hub. */
export class RepoRegistry {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #now: () => number;
  readonly #repos = new Map<string, Repo>();
  /** The latest step for each name, in lower case, while there is one. */
  readonly #turns = new Map<string, Promise<void>>();

  private constructor(root: string, staging: StagingArea, now: () => number) {
    this.#root = root;
    this.#staging = staging;
    this.#now = now;
  }

  static async open(dir: string, staging: StagingArea, now: () => number): Promise<RepoRegistry> {
    const store = new RepoRegistry(join(dir, 'repos'), staging, now);
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

  /**
   * Makes a repository; `undefined` where there is one by that name. `start` may give it a first commit before anybody
   * can see it.
   */
  async create(
    id: RepoId,
    settings: Partial<RepoRecord> = {},
    start?: (repo: Repo) => Promise<void>,
  ): Promise<Repo | undefined> {
    if (!isRepoName(id.name)) throw new TypeError(`Not a repository name: ${id.name}`);
    return this.#inTurn(id, async () => {
      if (this.findOtherCase(id)) return undefined;
      const repo = await Repo.create(id, this.#folder(id), this.#staging, this.#newRecord(settings), start);
      this.#repos.set(key(id), repo);
      return repo;
    });
  }

  /** Serializes the creation and deletion of repositories of one name, ignoring case. */
  async #inTurn<T>(id: RepoId, step: () => Promise<T>): Promise<T> {
    const name = key(id).toLowerCase();
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(step);
    const done = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(name, done);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(name) === done) this.#turns.delete(name);
    }
  }

  #newRecord(settings: Partial<RepoRecord>): RepoRecord {
    return {
      // Never that of an earlier repository of the same name.
      id: randomBytes(12).toString('hex'),
      private: false,
      gated: false,
      allowed: [],
      disabled: false,
      createdAt: new Date(this.#now()).toISOString(),
      ...settings,
    };
  }

  /** Deletes a repository once changes under way are done; says whether there was one. */
  delete(id: RepoId): Promise<boolean> {
    return this.#inTurn(id, async () => {
      const repo = this.get(id);
      if (!repo) return false;
      await repo.delete();
      this.#repos.delete(key(id));
      return true;
    });
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
  const entries = (await ifPresent(() => readdir(path, { withFileTypes: true }))) ?? [];
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
