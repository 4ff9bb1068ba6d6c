import { StagingArea } from './atomic-file.ts';
import { BlobStore } from './blob-store.ts';
import { DedupIndex } from './dedup-index.ts';
import { FileStore } from './file-store.ts';
import { XorbStore } from './xorb-store.ts';

/** Everything that is stored once, whatever repository it belongs to. */
export interface Store {
  staging: StagingArea;
  xorbs: XorbStore;
  files: FileStore;
  blobs: BlobStore;
  dedup: DedupIndex;
}

export async function openStore(dir: string): Promise<Store> {
  const staging = await StagingArea.open(dir);
  return {
    staging,
    xorbs: new XorbStore(dir, staging),
    files: new FileStore(dir, staging),
    blobs: new BlobStore(dir, staging),
    dedup: await DedupIndex.open(dir, staging),
  };
}
