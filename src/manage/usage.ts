/**
 * Usage of xetkit's own caches. Everything in them can be rebuilt, so they are safe to delete at any time. A `folder` is
 * undefined where there is no file system, or nothing is kept.
 */
export interface XetkitCacheUsage {
  /** Recipes: how files are built of chunks. */
  recipes: { folder: string | undefined; bytes: number; count: number };
  /** Chunks of reads that left no file; undefined if the client keeps none. */
  chunks: { folder: string | undefined; bytes: number; entries: number; maxBytes: number } | undefined;
  /** Notes on files of this machine that were verified. */
  verifiedFiles: { folder: string | undefined; bytes: number; count: number };
}

/** Something that is damaged, in the way, or could not be done, and where. */
export interface CacheProblem {
  /** Where it is. */
  localPath: string;
  /** What is wrong, and what to do. */
  message: string;
  /** Set where the system does not let this user, or anybody, read it, so that nothing is known of what is in it. */
  unreadable?: true;
}
