import { Adoption } from '../download/adopt.ts';
import { downloadTo } from '../download/file.ts';
import type { OpenRepoStore } from '../files/place.ts';
import { locate } from '../snapshot/locate.ts';
import { planSnapshot, previewOf, runSnapshot } from '../snapshot/snapshot.ts';

/** All that writes files, in one piece: a platform that has no file system does without its code. */
export const fileWork = (openStore: OpenRepoStore) => ({
  Adoption,
  openStore,
  locate,
  downloadTo,
  planSnapshot,
  previewOf,
  runSnapshot,
});

/** What writes files: pass `opfsFiles`, or leave it out. */
export type FileWork = ReturnType<typeof fileWork>;
