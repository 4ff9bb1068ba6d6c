import type { Verified } from '../core/content-hash.ts';

/** A file that is at its place, verified. */
export interface ExistingFile {
  localPath: string;
  verified: Verified;
}

/** A file that is here at a commit, known without asking a server. */
export interface HeldFile {
  localPath: string;
  size: number;
  etag: string;
}
