import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ifPresent } from '../../fs/if-present.ts';
import { readIfExists, type StagingArea } from '../store/atomic-file.ts';
import type { LargeObject } from '../store/file-store.ts';
import { RecentMap } from '../store/recent-map.ts';
import type { RepoId } from './repo-id.ts';
import { type HeldContent, type RepoRecord, Stored } from './stored.ts';
import { decodeTree, encodeTree, type Tree, treeId } from './tree.ts';

export interface Commit {
  id: string;
  parents: string[];
  title: string;
  message: string;
  author: string;
  /** ISO 8601. */
  date: string;
  tree: string;
}

interface HeldFiles extends HeldContent {
  files: Set<string>;
  objects: Map<string, LargeObject>;
}

const COMMIT_ID = /^[0-9a-f]{40}$/;

/** One repository on disk: its record, its refs, and commits and trees by id. */
export class Repo extends Stored {
  readonly #commits = new RecentMap<string, Commit>(1024);
  readonly #trees = new RecentMap<string, Tree>(320_000, (tree) => 10_000 + tree.size);
  #refs: Map<string, string>;
  #held: Promise<HeldFiles> | undefined;

  private constructor(id: RepoId, folder: string, staging: StagingArea, record: RepoRecord, refs: Map<string, string>) {
    super(id, folder, staging, record);
    this.#refs = refs;
  }

  static async create(
    id: RepoId,
    folder: string,
    staging: StagingArea,
    record: RepoRecord,
    start?: (repo: Repo) => Promise<void>,
  ): Promise<Repo> {
    const repo = new Repo(id, folder, staging, record, new Map());
    await repo.#saveRefs(new Map());
    await start?.(repo);
    // Last, as it makes a folder a repository: one that is half made when the process is killed does not count.
    await repo.saveRecord(record);
    return repo;
  }

  static async load(id: RepoId, folder: string, staging: StagingArea): Promise<Repo | undefined> {
    const record = await Stored.readRecord(folder);
    if (!record) return undefined;
    const refs = await readIfExists(join(folder, 'refs.json'));
    return new Repo(id, folder, staging, record, new Map(JSON.parse(refs?.toString() ?? '[]') as [string, string][]));
  }

  /** Full ref name → commit id. */
  get refs(): ReadonlyMap<string, string> {
    return this.#refs;
  }

  /** The commit that a branch, tag, full ref or commit id stands for. */
  async resolve(asked: string): Promise<string | undefined> {
    const revision = asked === 'HEAD' ? 'main' : asked;
    const named =
      this.#refs.get(`refs/heads/${revision}`) ?? this.#refs.get(`refs/tags/${revision}`) ?? this.#refs.get(revision);
    if (named !== undefined) return named;
    return COMMIT_ID.test(revision) && (await this.commit(revision)) ? revision : undefined;
  }

  async setRef(ref: string, commit: string): Promise<void> {
    await this.#saveRefs(new Map(this.#refs).set(ref, commit));
  }

  async deleteRef(ref: string): Promise<void> {
    const refs = new Map(this.#refs);
    refs.delete(ref);
    await this.#saveRefs(refs);
  }

  async #saveRefs(refs: Map<string, string>): Promise<void> {
    await this.staging.write(join(this.folder, 'refs.json'), JSON.stringify([...refs]));
    this.#refs = refs;
  }

  async commit(id: string): Promise<Commit | undefined> {
    const known = this.#commits.get(id);
    if (known) return known;
    const text = await readIfExists(join(this.folder, 'commits', `${id}.json`));
    if (!text) return undefined;
    const commit = JSON.parse(text.toString()) as Commit;
    this.#commits.set(id, commit);
    return commit;
  }

  /** Stores a commit, which no ref names yet. */
  async addCommit(content: Omit<Commit, 'id' | 'tree'>, tree: Tree): Promise<Commit> {
    const encoded = encodeTree(tree);
    const body = { ...content, tree: treeId(encoded) };
    const id = createHash('sha1').update('commit\0').update(JSON.stringify(body)).digest('hex');
    await this.staging.write(join(this.folder, 'trees', `${body.tree}.json`), encoded);
    const commit = { id, ...body };
    if (this.#held) hold(await this.#held, tree);
    await this.staging.write(join(this.folder, 'commits', `${id}.json`), JSON.stringify(commit));
    return commit;
  }

  /** The files of a commit. */
  async tree(commitId: string): Promise<Tree> {
    const commit = await this.commit(commitId);
    if (!commit) throw this.#missing(`Commit ${commitId}`);
    const known = this.#trees.get(commit.tree);
    if (known) return known;
    const text = await readIfExists(join(this.folder, 'trees', `${commit.tree}.json`));
    if (!text) throw this.#missing(`Tree ${commit.tree}`);
    const tree = decodeTree(text.toString());
    this.#trees.set(commit.tree, tree);
    return tree;
  }

  /** Content that its commits name, also commits that no ref leads to: they can be requested by id. */
  held(): Promise<HeldFiles> {
    this.#held ??= this.#readHeld().catch((error: unknown) => {
      this.#held = undefined;
      throw error;
    });
    return this.#held;
  }

  async #readHeld(): Promise<HeldFiles> {
    const held: HeldFiles = { files: new Set(), objects: new Map() };
    const names = (await ifPresent(() => readdir(join(this.folder, 'trees')))) ?? [];
    for (const name of names) {
      const text = await readIfExists(join(this.folder, 'trees', name));
      if (text) hold(held, decodeTree(text.toString()));
    }
    return held;
  }

  /** Whoever still reads a repository that is deleted meanwhile is told so. */
  #missing(what: string): Error {
    this.requirePresent();
    return new Error(`${what} is not stored`);
  }

  /** A commit and those before it, newest first, along first parents. */
  async *history(from: string): AsyncGenerator<Commit, void, undefined> {
    for (let id: string | undefined = from; id !== undefined; ) {
      const commit: Commit | undefined = await this.commit(id);
      if (!commit) return;
      yield commit;
      id = commit.parents[0];
    }
  }
}

function hold(held: HeldFiles, tree: Tree): void {
  for (const { size, lfs, xetHash } of tree.values()) {
    if (xetHash === undefined) continue;
    held.files.add(xetHash);
    if (lfs) held.objects.set(lfs.sha256, { xetHash, size });
  }
}
