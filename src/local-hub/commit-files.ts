import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { type Caller, callerFor } from './caller.ts';
import { checkContents } from './check-arguments.ts';
import { type Content, type OpenedContent, openContent, sha256Of } from './content.ts';
import type { HubContext } from './context.ts';
import { largeTreeFile } from './hub/commit.ts';
import { UploadRules } from './hub/upload-mode.ts';
import { Ingest, type IngestOptions } from './ingest.ts';
import { commitChange, type TreeChange } from './repo/change.ts';
import type { RepoId } from './repo/repo-id.ts';
import type { Tree, TreeFile } from './repo/tree.ts';
import { collect } from './store/collect.ts';
import { wholeObject } from './store/store.ts';

/** Options of a commit. */
export interface CommitOptions extends IngestOptions {
  /** The commit's title. */
  message?: string;
  /** Default `main`. A branch that does not exist yet starts at `main`. */
  branch?: string;
  /** Files that are stored in Xet: those that a client would store there (`auto`, the default), all, or none. */
  xet?: 'auto' | 'always' | 'never';
  /** Files to delete. */
  deletions?: string[];
  /** Makes no commit where no file changes. Default false. */
  skipUnchanged?: boolean;
}

/** The first bytes that say whether a file is text. */
const SAMPLE_BYTES = 8000;

/** Checks arguments of `LocalHub.commitFiles`. Throws `INVALID_ARGUMENT`. */
export function checkCommit(files: Record<string, Content>, given: CommitOptions): CommitOptions {
  checkContents('commitFiles', files);
  const options = checked('commitFiles', given, OPTIONS);
  return { ...options, ...(options.deletions && { deletions: [options.deletions].flat() }) };
}

const OPTIONS =
  'message:s branch:s xet:auto|always|never deletions:l skipUnchanged:b compression:auto|none|lz4|bg4-lz4 chunksPerXorb:c';

/** Commits files from the server's own side; makes the repository where there is none. */
export async function commitFiles(
  context: HubContext,
  id: RepoId,
  files: Record<string, Content>,
  options: CommitOptions = {},
): Promise<{ commit: string; changed: boolean }> {
  const repo = context.repos.get(id) ?? (await context.repos.create(id)) ?? context.repos.get(id);
  if (!repo) {
    throw new XetError(
      'CONFLICT',
      `The name ${id.name} differs from that of another repository in case only. Use its name.`,
    );
  }
  const ref = `refs/heads/${options.branch ?? 'main'}`;
  return repo.exclusively(async () => {
    const base = repo.refs.get(ref) ?? repo.refs.get('refs/heads/main');
    const before: Tree = base === undefined ? new Map() : await repo.tree(base);
    const owner = callerFor(repo, { name: 'local', known: true, write: true });
    const stored = await storeFiles(context, owner, before, files, options);
    const operations = stored.map(([path, file]): TreeChange => ({ kind: 'put', path, file }));
    for (const path of options.deletions ?? []) operations.push({ kind: 'delete-file', path });
    const changed = operations.some(
      (operation) => operation.kind !== 'put' || !sameFile(before.get(operation.path), operation.file),
    );
    if (options.skipUnchanged && !changed && base !== undefined && repo.refs.has(ref)) {
      return { commit: base, changed: false };
    }
    const commit = await commitChange(repo, ref, base, {
      operations,
      title: options.message ?? 'Add files',
      author: 'local',
      date: new Date(context.settings.now()).toISOString(),
    });
    return { commit: commit.id, changed: true };
  });
}

async function storeFiles(
  context: HubContext,
  owner: Caller,
  before: Tree,
  files: Record<string, Content>,
  options: CommitOptions,
): Promise<[string, TreeFile][]> {
  const ingest = new Ingest(context.codec, context.store, owner, options);
  const stored: [string, TreeFile][] = [];
  const large: { path: string; size: number; sha256: string; hash: string }[] = [];
  for (const [path, content] of Object.entries(files)) {
    const source = await openContent(content);
    if (!(await goesThroughXet(path, source, options.xet ?? 'auto'))) {
      const bytes = await collect(source.pieces());
      stored.push([path, { size: bytes.length, oid: await context.store.blobs.add(bytes) }]);
      continue;
    }
    const present = before.get(path);
    const known = present?.lfs?.sha256;
    if (known !== undefined && present?.size === source.size && (await sha256Of(source)) === known) {
      if (!(await wholeObject(context.store, await context.store.files.object(known))))
        await ingest.add(source.pieces());
      stored.push([path, present]);
    } else {
      large.push({ path, ...(await ingest.add(source.pieces())) });
    }
  }
  await ingest.finish();
  for (const { path, size, sha256, hash } of large) stored.push([path, largeTreeFile(sha256, { xetHash: hash, size })]);
  return stored;
}

async function goesThroughXet(path: string, source: OpenedContent, xet: 'auto' | 'always' | 'never'): Promise<boolean> {
  if (source.size === 0 || xet === 'never') return false;
  return xet === 'always' || new UploadRules().isLarge(path, source.size, await source.sample(SAMPLE_BYTES));
}

function sameFile(a: TreeFile | undefined, b: TreeFile): boolean {
  return a?.oid === b.oid && a.size === b.size && a.xetHash === b.xetHash;
}
