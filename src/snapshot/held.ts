import { XetError } from '../core/errors.ts';
import type { Selection } from '../core/selection.ts';
import type { HeldFile } from '../files/held-file.ts';
import type { CommitFiles, RepoStore } from '../files/place.ts';
import type { HubClient, ResolvedFile } from '../hub/client.ts';
import { repoText } from '../hub/repo.ts';
import type { ListEntry, RepoId } from '../hub/types.ts';
import { type NameVerdict, printable, some } from './names.ts';

/** Files whose presence is looked up at once. */
export const LOOKUPS_AT_ONCE = 256;

/** The question, checked, and whom to ask. */
export interface Query {
  repo: RepoId;
  revision: string;
  selection: Selection;
  force: boolean;
  signal: AbortSignal | undefined;
  hub: HubClient;
  store: RepoStore;
  /** The files of a commit, of which so many are expected when it is first asked for. */
  filesAt: (commit: string, files?: number) => Promise<CommitFiles>;
  /** Decisions that follow from the names of files. */
  judge: (entries: readonly ListEntry[]) => NameVerdict;
}

/** Entries that this system can store under their names. */
export const fittingOf = ({ notes, leftOut }: NameVerdict, entries: readonly ListEntry[]) =>
  entries.filter(({ path }) => !notes.has(path) && !leftOut.has(path));

/** The file, if its content is here at one of the commits, of which the first is the one wanted. */
export async function heldOf(
  { filesAt, repo, force, revision, signal }: Query,
  commits: readonly (string | undefined)[],
  resolved: ResolvedFile,
): Promise<HeldFile | undefined> {
  if (force) return undefined;
  const { path, size, etag } = resolved;
  if (repo.type === 'bucket') {
    const at = await filesAt(resolved.commit);
    const existing = await at.place(resolved, revision).existing(signal ?? new AbortController().signal);
    return existing && { localPath: existing.localPath, size, etag };
  }
  for (const [index, commit] of commits.entries()) {
    const held = commit === undefined ? undefined : await (await filesAt(commit)).find(path);
    if (held?.size !== size) continue;
    // Where there are no links nothing tells the content of a file: at the same commit it is the same.
    if (held.etag === etag || (index === 0 && held.etag === '')) return held;
  }
  return undefined;
}

/** Throws `OFFLINE` unless all of these files are here. */
export function requireAll(
  { repo }: Query,
  commit: string,
  files: readonly { resolved: ResolvedFile; held: HeldFile | undefined }[],
): void {
  const missing = files.filter(({ held }) => !held).map(({ resolved }) => `'${printable(resolved.path)}'`);
  if (missing.length === 0) return;
  throw new XetError(
    'OFFLINE',
    `${missing.length} of ${files.length} files of ${repoText(repo)} at commit ${commit} are not here, or not whole: ` +
      `${some(missing)}. Download them with a connection, or select only what is here.`,
  );
}
