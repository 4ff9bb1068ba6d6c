/** A digest that is fed as bytes come. */
export interface ContentHash {
  update(bytes: Uint8Array): void;
  /** Lower-case hex. */
  digest(): Promise<string>;
}

export type MakeContentHash = (algorithm: 'sha1' | 'sha256') => ContentHash;

/** Verification method of a whole file. */
export type Verified = 'xet' | 'sha256' | 'git-sha1';
const VERIFIED: readonly unknown[] = ['xet', 'sha256', 'git-sha1'] satisfies Verified[];

export function isVerified(value: unknown): value is Verified {
  return VERIFIED.includes(value);
}

/**
 * Checks content against an entity tag of the Hub: the sha256 of a large file, or the sha1 that git gives a
 * small one (over a header with its size, then the content). Undefined for a tag that is neither.
 */
export function etagCheck(
  etag: string,
  size: number,
  make: MakeContentHash,
): { hash: ContentHash; verified: Verified } | undefined {
  if (/^[0-9a-f]{64}$/.test(etag)) return { hash: make('sha256'), verified: 'sha256' };
  return /^[0-9a-f]{40}$/.test(etag) ? { hash: gitBlobHash(size, make), verified: 'git-sha1' } : undefined;
}

/** The id that git gives content of so many bytes. */
export function gitBlobHash(size: number, make: MakeContentHash): ContentHash {
  const hash = make('sha1');
  hash.update(new TextEncoder().encode(`blob ${size}\0`));
  return hash;
}
