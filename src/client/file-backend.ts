import type { Opaque } from '../core/opaque.ts';
import { Adoption } from '../download/adopt.ts';
import { downloadTo } from '../download/file.ts';
import type { OpenRepoStore } from '../files/place.ts';
import { locate } from '../snapshot/locate.ts';
import { planSnapshot, previewOf, runSnapshot } from '../snapshot/snapshot.ts';

/** Storage for downloaded files: `opfsFiles` in pages. */
export interface FileBackend extends Opaque<'files'> {}

const functionsOver = (openStore: OpenRepoStore) => ({
  Adoption,
  openStore,
  locate,
  downloadTo,
  planSnapshot,
  previewOf,
  runSnapshot,
});

/** Functions that write files, in one piece: a page without files carries none of them. */
export type FileFunctions = ReturnType<typeof functionsOver>;

/** Makes a backend over one kind of store. */
export const fileBackend = (openStore: OpenRepoStore): FileBackend =>
  functionsOver(openStore) as unknown as FileBackend;

export const fileFunctionsOf = (backend: FileBackend): FileFunctions => backend as unknown as FileFunctions;
