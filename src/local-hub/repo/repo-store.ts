import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ifPresent } from '../../fs/if-present.ts';
import type { StagingArea } from '../store/atomic-file.ts';
import { Bucket } from './bucket.ts';
import { Repo } from './repo.ts';
import { isRepoName, type RepoId, type RepoType } from './repo-id.ts';
import type { RepoRecord, Stored } from './stored.ts';

/** Folder of models without an owner; no owner can have this name. */
const NO_OWNER = '~';

/** Kind of what a registry holds: how it is made in a folder, and found there again. */
interface Kind<T extends Stored> {
  types: RepoType[];
  load(id: RepoId, folder: string, staging: StagingArea): Promise<T | undefined>;
  create(
    id: RepoId,
    folder: string,
    staging: StagingArea,
    record: RepoRecord,
    start?: (made: T) => Promise<void>,
  ): Promise<T>;
}

const REPOS: Kind<Repo> = {
  types: ['model', 'dataset', 'space', 'kernel'],
  load: (...place) => Repo.load(...place),
  create: (...place) => Repo.create(...place),
};
const BUCKETS: Kind<Bucket> = {
  types: ['bucket'],
  load: (...place) => Bucket.load(...place),
  create: (...place) => Bucket.create(...place),
};

export const openRepos = (dir: string, staging: StagingArea, now: () => number) =>
  Registry.open(REPOS, dir, staging, now);
export const openBuckets = (dir: string, staging: StagingArea, now: () => number) =>
  Registry.open(BUCKETS, dir, staging, now);

/** All repositories, or all buckets, of a Hub. */
export class Registry<T extends Stored> {
  readonly #kind: Kind<T>;
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #now: () => number;
  readonly #all = new Map<string, T>();
  /** By name in lower case. */
  readonly #spellings = new Map<string, T>();
  /** The latest step for each name, in lower case, while there is one. */
  readonly #turns = new Map<string, Promise<void>>();

  private constructor(kind: Kind<T>, root: string, staging: StagingArea, now: () => number) {
    this.#kind = kind;
    this.#root = root;
    this.#staging = staging;
    this.#now = now;
  }

  static async open<T extends Stored>(
    kind: Kind<T>,
    dir: string,
    staging: StagingArea,
    now: () => number,
  ): Promise<Registry<T>> {
    const registry = new Registry(kind, join(dir, 'repos'), staging, now);
    for (const type of kind.types) {
      for (const owner of await folders(join(registry.#root, `${type}s`))) {
        for (const last of await folders(join(registry.#root, `${type}s`, owner))) {
          const id: RepoId = { type, name: owner === NO_OWNER ? last : `${owner}/${last}` };
          const found = isRepoName(id.name) ? await kind.load(id, registry.#folder(id), staging) : undefined;
          if (found) registry.#enter(found);
        }
      }
    }
    return registry;
  }

  #enter(made: T): void {
    this.#all.set(key(made.id), made);
    this.#spellings.set(key(made.id).toLowerCase(), made);
  }

  #leave(gone: T): void {
    this.#all.delete(key(gone.id));
    this.#spellings.delete(key(gone.id).toLowerCase());
  }

  get(id: RepoId): T | undefined {
    return this.#all.get(key(id));
  }

  /** The one whose name differs from this one in case only. */
  findOtherCase(id: RepoId): T | undefined {
    return this.#spellings.get(key(id).toLowerCase());
  }

  /** The one that had this name before it was moved. */
  findFormer(id: RepoId): T | undefined {
    for (const one of this.#all.values()) {
      if (one.id.type === id.type && one.record.formerNames?.includes(id.name)) return one;
    }
    return undefined;
  }

  all(): IterableIterator<T> {
    return this.#all.values();
  }

  list(type: RepoType): T[] {
    return [...this.#all.values()].filter((one) => one.id.type === type);
  }

  /**
   * Makes one; `undefined` where there is one by that name. `start` may give it its first content before anybody can
   * see it.
   */
  async create(
    id: RepoId,
    settings: Partial<RepoRecord> = {},
    start?: (made: T) => Promise<void>,
  ): Promise<T | undefined> {
    if (!isRepoName(id.name)) throw new TypeError(`Not a repository name: ${id.name}`);
    return this.#inTurn(id, async () => {
      if (this.findOtherCase(id)) return undefined;
      const folder = this.#folder(id);
      // Left by a process that was killed before it was done: what is in there is nobody's.
      await rm(folder, { recursive: true, force: true });
      const made = await this.#kind.create(id, folder, this.#staging, this.#newRecord(settings), start);
      this.#enter(made);
      return made;
    });
  }

  /** Deletes one once changes under way are done; says whether there was one. */
  delete(id: RepoId): Promise<boolean> {
    return this.#inTurn(id, async () => {
      const found = this.get(id);
      if (!found) return false;
      await found.delete();
      this.#leave(found);
      return true;
    });
  }

  /** Gives one another name of the same type. The old name leads to it until something else takes that name. */
  move(from: RepoId, to: RepoId): Promise<'moved' | 'missing' | 'taken'> {
    const lower = [from, to].map((id) => key(id).toLowerCase());
    const [first, second] = (lower[0] ?? '') < (lower[1] ?? '') ? [from, to] : [to, from];
    const step = async () => {
      const found = this.get(from);
      if (!found) return 'missing' as const;
      const other = this.findOtherCase(to);
      if (other && other !== found) return 'taken' as const;
      const folder = this.#folder(to);
      if (!other) await rm(folder, { recursive: true, force: true });
      await found.moveTo(folder);
      this.#leave(found);
      const moved = await this.#kind.load(to, folder, this.#staging);
      if (!moved) throw new Error(`${to.name} is gone`);
      this.#enter(moved);
      const formerNames = [...new Set([...(moved.record.formerNames ?? []), from.name])].filter(
        (name) => name !== to.name,
      );
      await moved.update({ formerNames });
      return 'moved' as const;
    };
    return lower[0] === lower[1] ? this.#inTurn(from, step) : this.#inTurn(first, () => this.#inTurn(second, step));
  }

  /** Serializes what makes and removes names, ignoring case. */
  async #inTurn<R>(id: RepoId, step: () => Promise<R>): Promise<R> {
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
