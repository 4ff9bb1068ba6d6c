import { StagingArea } from './atomic-file.ts';
import { BlobStore } from './blob-store.ts';
import { DedupIndex } from './dedup-index.ts';
import { FileStore, type LargeObject } from './file-store.ts';
import { UploadStore } from './upload-store.ts';
import { XorbStore } from './xorb-store.ts';

/** Everything that is stored once, whatever repository it belongs to. */
export interface Store {
  staging: StagingArea;
  xorbs: XorbStore;
  files: FileStore;
  blobs: BlobStore;
  dedup: DedupIndex;
  uploads: UploadStore;
}

/** Opens the stores of a Hub's folder. `confirm` and `durable` are those of the {@link StagingArea}. */
export async function openStore(dir: string, confirm: () => Promise<void>, durable: boolean): Promise<Store> {
  const staging = await StagingArea.open(dir, confirm, durable);
  return {
    staging,
    xorbs: new XorbStore(dir, staging),
    files: new FileStore(dir, staging),
    blobs: new BlobStore(dir, staging),
    dedup: await DedupIndex.open(dir, staging),
    uploads: new UploadStore(dir, staging),
  };
}

/** The object, if all of its data is there: a client that is told so sends none. */
export async function wholeObject(
  { files, xorbs }: Store,
  object: LargeObject | undefined,
): Promise<LargeObject | undefined> {
  const file = object && (await files.file(object.xetHash));
  if (!file) return undefined;
  for (const xorb of new Set(file.terms.map((term) => term.xorb))) if (!(await xorbs.whole(xorb))) return undefined;
  return object;
}
