/** What xetkit alone keeps. All of it can be had again, so it is safe to delete at any time. */
export interface XetkitCacheUsage {
  /** Its folder; undefined where there is no file system. */
  folder: string | undefined;
  /** How files are built. */
  recipes: { bytes: number; count: number };
  /** Chunks of reads that left no file; undefined for a client that keeps none. */
  chunks: { bytes: number; entries: number; maxBytes: number } | undefined;
  /** Which files on this machine were verified. */
  verifiedFiles: { bytes: number; count: number };
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
