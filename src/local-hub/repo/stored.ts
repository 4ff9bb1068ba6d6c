import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HubError } from '../hub-error.ts';
import { readIfExists, type StagingArea } from '../store/atomic-file.ts';
import type { LargeObject } from '../store/file-store.ts';
import type { RepoId } from './repo-id.ts';

/** Properties of a repository or bucket, independent of revisions. */
export interface RepoRecord {
  /** 24 hex digits. */
  id: string;
  private: boolean;
  gated: false | 'auto' | 'manual';
  /** Users who may read the files of a gated repository. */
  allowed: string[];
  disabled: boolean;
  createdAt: string;
  sdk?: string;
  /** Names that it had before it was moved. Requests for them are redirected while nothing else has them. */
  formerNames?: string[];
}

/** The large files that a repository or bucket holds. */
export interface HeldContent {
  /** By Xet hash. */
  files: { has(xetHash: string): boolean };
  /** By sha256. */
  objects: { get(sha256: string): LargeObject | undefined };
}

const RECORD = 'repo.json';

/** A repository or bucket on disk: a folder with its record, which changes one step at a time. */
export abstract class Stored {
  readonly id: RepoId;
  protected readonly folder: string;
  protected readonly staging: StagingArea;
  #record: RepoRecord;
  #gone = false;
  #turn: Promise<unknown> = Promise.resolve();

  protected constructor(id: RepoId, folder: string, staging: StagingArea, record: RepoRecord) {
    this.id = id;
    this.folder = folder;
    this.staging = staging;
    this.#record = record;
  }

  /** The record in a folder; undefined where there is none: only that makes a folder a repository. */
  static async readRecord(folder: string): Promise<RepoRecord | undefined> {
    const text = await readIfExists(join(folder, RECORD));
    return text && (JSON.parse(text.toString()) as RepoRecord);
  }

  get record(): RepoRecord {
    return this.#record;
  }

  /** Content that it refers to. */
  abstract held(): Promise<HeldContent>;

  update(changes: Partial<RepoRecord>): Promise<void> {
    return this.exclusively(() => this.saveRecord({ ...this.#record, ...changes }));
  }

  protected async saveRecord(record: RepoRecord): Promise<void> {
    await this.staging.write(join(this.folder, RECORD), JSON.stringify(record));
    this.#record = record;
  }

  /** Runs one change at a time. Those that come after it was deleted or moved fail. */
  exclusively<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => {
      this.requirePresent();
      return change();
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Deletes it, once changes under way are done. */
  delete(): Promise<void> {
    return this.exclusively(async () => {
      const removed = await this.staging.takeOut(this.folder);
      this.#gone = true;
      await rm(removed, { recursive: true, force: true });
    });
  }

  /** Moves its folder, once changes under way are done. This object is of no use afterwards. */
  moveTo(folder: string): Promise<void> {
    return this.exclusively(async () => {
      await this.staging.moveFolder(this.folder, folder);
      this.#gone = true;
    });
  }

  protected requirePresent(): void {
    if (this.#gone) throw new HubError(404, 'Repository not found', 'RepoNotFound');
  }
}
