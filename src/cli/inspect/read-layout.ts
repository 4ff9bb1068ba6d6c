import type { LocalCaches } from '../../cache/local-caches.ts';
import { CasClient } from '../../cas/client.ts';
import type { XetClientOptions } from '../../client/options.ts';
import { platform } from '../../client/platform.node.ts';
import { createReaderContext, type ReaderContext } from '../../client/reader-context.ts';
import { XetError } from '../../core/errors.ts';
import type { ResolvedFile } from '../../hub/client.ts';
import { DEFAULT_REVISION, givenPath, repoText } from '../../hub/repo.ts';
import type { RepoId } from '../../hub/types.ts';
import { type FileLayout, joinWindows, layoutOf, type WholeReconstruction } from './layout.ts';

export interface InspectedFile {
  repo: RepoId;
  revision: string | undefined;
  path: string;
}

/** A file and its structure. */
export interface Inspected extends FileLayout {
  repo: RepoId;
  path: string;
  commit: string;
  xetHash: string;
  etag: string;
}

/** Bytes of a file whose reconstruction is requested at once. */
const WINDOW_BYTES = 2 * 1024 ** 3;

/** Reads the structure of a file, and what it has in common with another one, without fetching content. */
export async function inspectFile(
  options: XetClientOptions,
  wanted: InspectedFile,
  against: InspectedFile | undefined,
  signal: AbortSignal,
): Promise<Inspected> {
  const context = createReaderContext(options, platform, platform.openCaches);
  try {
    const [file, other] = await Promise.all([
      termsOf(context, wanted, signal),
      against && termsOf(context, against, signal),
    ]);
    const { xetHash, repo, path, commit, etag, size } = file.resolved;
    const whole = [{ start: 0, end: size }];
    const parts = await context.caches.findLocalParts(xetHash, file.terms, whole, signal);
    return { ...layoutOf(file, parts, other?.terms), repo, path, commit, xetHash, etag };
  } finally {
    context.pool.close();
    await context.caches.close();
  }
}

async function termsOf(
  { hub, http }: ReaderContext<LocalCaches>,
  { repo, revision = DEFAULT_REVISION, path }: InspectedFile,
  signal: AbortSignal,
): Promise<WholeReconstruction & { resolved: ResolvedFile & { xetHash: string } }> {
  const resolved = await hub.resolve(repo, revision, givenPath(path), { signal });
  const { xetHash, size, tokenUrl } = resolved;
  if (xetHash === undefined) {
    throw new XetError(
      'UNSUPPORTED',
      `'${path}' of ${repoText(repo)} is not stored over Xet, so it has no xorbs to inspect. Small files are kept in git.`,
    );
  }
  const cas = new CasClient(http, hub.tokens(tokenUrl), new Map());
  const windows = [];
  for (let start = 0; start < size; start += WINDOW_BYTES) {
    const span = { start, end: Math.min(size, start + WINDOW_BYTES) };
    windows.push({ span, from: await cas.reconstruction(xetHash, span, signal) });
  }
  return { ...joinWindows(size, windows), resolved: { ...resolved, xetHash } };
}
