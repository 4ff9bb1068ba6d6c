import { join } from 'node:path';
import { isVerified, type Verified } from '../core/content-hash.ts';
import { isCount, isRecord } from '../core/json-values.ts';
import { ifDiskAllows, namesIn, putFile, readOwn, removeFolder, removeMark } from '../fs/cache-folder.node.ts';
import { parseWithSum, sha256Of, withSum } from '../fs/checked-json.node.ts';
import { stat } from '../fs/disk.node.ts';
import { onDisk } from '../fs/small-files.node.ts';
import type { FilesSeen, VerifiedFingerprint } from './verified-files.ts';

/** Notes are forgotten when they are so old, in milliseconds: snapshots come and go. */
const FORGOTTEN_MS = 90 * 24 * 60 * 60 * 1000;

/** Fingerprints of the files of snapshots, one file per snapshot: `v1/snapshots/<sha256 of folder and commit>`. */
export class SnapshotIndex {
  readonly #folder: string;
  readonly #temporary: string;
  #tidied = false;

  constructor(folder: string, temporary: string) {
    this.#folder = folder;
    this.#temporary = temporary;
  }

  async read(root: string, commit: string): Promise<FilesSeen | undefined> {
    const text = await readOwn(this.#path(root, commit));
    const found = text === undefined ? undefined : parseWithSum(text);
    if (!isRecord(found) || found.root !== root || found.commit !== commit || !isRecord(found.files)) return undefined;
    const files = new Map<string, VerifiedFingerprint>();
    for (const [path, row] of Object.entries(found.files)) {
      const file = fileOf(row);
      if (!file) return undefined;
      files.set(path, file);
    }
    return files;
  }

  async write(root: string, commit: string, files: FilesSeen): Promise<void> {
    const rows = Object.fromEntries(Array.from(files, ([path, file]) => [path, rowOf(file)]));
    const text = withSum(JSON.stringify({ root, commit, files: rows }));
    await ifDiskAllows(async () => {
      await putFile(this.#temporary, this.#path(root, commit), text);
      if (this.#tidied) return;
      this.#tidied = true;
      await this.#tidy();
    });
  }

  /** Bytes on the disk. */
  async usage(): Promise<number> {
    const sizes = await Promise.all(
      (await namesIn(this.#folder)).map((name) => ifDiskAllows(() => stat(join(this.#folder, name)))),
    );
    return sizes.reduce((sum, found) => sum + onDisk(found?.size ?? 0), 0);
  }

  async clear(): Promise<void> {
    await removeFolder(this.#temporary, this.#folder);
  }

  async #tidy(): Promise<void> {
    for (const name of await namesIn(this.#folder)) {
      const path = join(this.#folder, name);
      const found = await ifDiskAllows(() => stat(path));
      if (found && Date.now() - found.mtimeMs > FORGOTTEN_MS) await removeMark(path);
    }
  }

  #path(root: string, commit: string): string {
    return join(this.#folder, sha256Of(`${root}\n${commit}`));
  }
}

type Row = [etag: string, size: number, mtimeNs: string, ctimeNs: string, inode: string, verified: Verified];

function rowOf({ etag, size, mtimeNs, ctimeNs, inode, verified }: VerifiedFingerprint): Row {
  return [etag, size, mtimeNs, ctimeNs, inode, verified];
}

function fileOf(row: unknown): VerifiedFingerprint | undefined {
  if (!Array.isArray(row)) return undefined;
  const [etag, size, mtimeNs, ctimeNs, inode, verified] = row as unknown[];
  const areTexts = [etag, mtimeNs, ctimeNs, inode].every((value) => typeof value === 'string');
  if (!areTexts || !isCount(size) || !isVerified(verified)) return undefined;
  return { etag, size, mtimeNs, ctimeNs, inode, verified } as VerifiedFingerprint;
}
