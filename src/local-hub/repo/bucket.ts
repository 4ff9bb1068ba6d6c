import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ifPresent } from '../../fs/if-present.ts';
import { readIfExists, type StagingArea } from '../store/atomic-file.ts';
import { type BucketFile, type BucketFiles, mergedPaths, sortedPaths } from './bucket-listing.ts';
import type { RepoId } from './repo-id.ts';
import { type HeldContent, type RepoRecord, Stored } from './stored.ts';

/** A path and its new file; without one it was deleted. */
export type BucketChange = [path: string, file?: BucketFile];

/** Changes that were made together. */
export interface BucketStep {
  /** 1 for the first one of a bucket. */
  number: number;
  /** Milliseconds since 1970. */
  at: number;
  changes: BucketChange[];
}

/** A whole list of files, after the step of this number. */
interface Snapshot {
  number: number;
  at: number;
  files: [string, BucketFile][];
}

interface Content {
  files: Map<string, BucketFile>;
  /** By Xet hash, how many files have that content. */
  hashes: Map<string, number>;
  size: number;
  number: number;
  at: number;
  /** In order, but for `touched`. */
  paths: string[];
  touched: Set<string>;
  /** Changes in steps that are on the disk beside the snapshot. */
  changes: number;
}

const SNAPSHOT = 'files.json';
const STEPS = 'steps';
/** So many changes are kept beside a snapshot in any case. */
const MIN_CHANGES = 1000;

/**
 * A bucket on disk: its record, a snapshot of its list of files, and a file for each step since. A step costs what it
 * changes: a new snapshot is written when the steps weigh as much as the list.
 */
export class Bucket extends Stored {
  #content: Promise<Content> | undefined;
  readonly #listeners = new Set<(step: BucketStep) => void>();

  static async create(
    id: RepoId,
    folder: string,
    staging: StagingArea,
    record: RepoRecord,
    start?: (bucket: Bucket) => Promise<void>,
  ): Promise<Bucket> {
    const bucket = new Bucket(id, folder, staging, record);
    await start?.(bucket);
    await bucket.saveRecord(record);
    return bucket;
  }

  static async load(id: RepoId, folder: string, staging: StagingArea): Promise<Bucket | undefined> {
    const record = await Stored.readRecord(folder);
    return record && new Bucket(id, folder, staging, record);
  }

  async files(): Promise<BucketFiles> {
    return (await this.#read()).files;
  }

  /** All paths, sorted by UTF-16 code units. */
  async paths(): Promise<readonly string[]> {
    const content = await this.#read();
    if (content.touched.size > 0) content.paths = mergedPaths(content.paths, content.touched, content.files);
    content.touched.clear();
    return content.paths;
  }

  /** Size in bytes, number of files, and the time of the last change in milliseconds since 1970. */
  async totals(): Promise<{ size: number; files: number; updatedAt: number; steps: number }> {
    const { size, files, at, number } = await this.#read();
    return { size, files: files.size, updatedAt: Math.max(at, Date.parse(this.record.createdAt)), steps: number };
  }

  async held(): Promise<HeldContent> {
    const { hashes } = await this.#read();
    return { files: hashes, objects: new Map() };
  }

  /** Applies changes; the caller has the bucket to itself. */
  async change(changes: BucketChange[], at: number): Promise<void> {
    if (changes.length === 0) return;
    const content = await this.#read();
    const step: BucketStep = { number: content.number + 1, at, changes };
    await this.staging.write(this.#stepPath(step.number), JSON.stringify(step));
    apply(content, step);
    for (const listener of this.#listeners) listener(step);
    if (content.changes >= Math.max(MIN_CHANGES, content.files.size)) await this.#compact(content);
  }

  /** Calls back for each step from now on. Returns what ends that. */
  listen(listener: (step: BucketStep) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #read(): Promise<Content> {
    this.#content ??= this.#load().catch((error: unknown) => {
      this.#content = undefined;
      throw error;
    });
    return this.#content;
  }

  async #load(): Promise<Content> {
    this.requirePresent();
    const text = await readIfExists(join(this.folder, SNAPSHOT));
    const snapshot = text ? (JSON.parse(text.toString()) as Snapshot) : { number: 0, at: 0, files: [] };
    const content: Content = {
      files: new Map(),
      hashes: new Map(),
      size: 0,
      number: snapshot.number,
      at: snapshot.at,
      paths: [],
      touched: new Set(),
      changes: 0,
    };
    for (const [path, file] of snapshot.files) put(content, path, file);
    for (const number of await this.#storedSteps()) {
      if (number <= snapshot.number) continue;
      const step = await readIfExists(this.#stepPath(number));
      if (step) apply(content, JSON.parse(step.toString()) as BucketStep);
    }
    content.paths = sortedPaths(content.files.keys());
    content.touched.clear();
    return content;
  }

  /** Writes the whole list, and removes the steps that it holds. */
  async #compact(content: Content): Promise<void> {
    const { number, at, files } = content;
    const snapshot: Snapshot = { number, at, files: [...files] };
    await this.staging.write(join(this.folder, SNAPSHOT), JSON.stringify(snapshot));
    content.changes = 0;
    for (const old of await this.#storedSteps()) if (old <= number) await rm(this.#stepPath(old), { force: true });
  }

  async #storedSteps(): Promise<number[]> {
    const names = (await ifPresent(() => readdir(join(this.folder, STEPS)))) ?? [];
    const numbers = names.map((name) => Number(/^(\d{1,15})\.json$/.exec(name)?.[1] ?? 0));
    return numbers.filter((number) => number > 0).sort((a, b) => a - b);
  }

  #stepPath(number: number): string {
    return join(this.folder, STEPS, `${number}.json`);
  }
}

function apply(content: Content, { number, at, changes }: BucketStep): void {
  for (const [path, file] of changes) {
    remove(content, path);
    if (file) put(content, path, file);
    content.touched.add(path);
  }
  content.number = number;
  content.at = at;
  content.changes += changes.length;
}

function put(content: Content, path: string, file: BucketFile): void {
  content.files.set(path, file);
  content.size += file.size;
  content.hashes.set(file.xetHash, (content.hashes.get(file.xetHash) ?? 0) + 1);
}

function remove(content: Content, path: string): void {
  const file = content.files.get(path);
  if (!file) return;
  content.files.delete(path);
  content.size -= file.size;
  const left = (content.hashes.get(file.xetHash) ?? 1) - 1;
  if (left > 0) content.hashes.set(file.xetHash, left);
  else content.hashes.delete(file.xetHash);
}
