import { baseUrl, type HubContext } from '../context.ts';
import { asObject, readBody } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { parseJson } from '../http/json.ts';
import { HubError } from '../hub-error.ts';
import type { Commit, Repo } from '../repo/repo.ts';
import type { RepoId } from '../repo/repo-id.ts';
import { type FolderEntry, folderIds, listFolder, type Tree } from '../repo/tree.ts';
import { mayRead, readableRepo, visitor } from './access.ts';
import { splitRevision } from './locate.ts';

const PAGE_ENTRIES = 1000;
/** Pages with the last commit of each entry are shorter: it has to be looked for. */
const EXPANDED_PAGE_ENTRIES = 50;
/** Nobody scans files here; clients read all of these fields. */
const UNSCANNED = { status: 'unscanned', avScan: null, pickleImportScan: null };

const MAX_PATHS_BODY_BYTES = 4 * 1024 * 1024;
/** Clients ask for some hundreds at a time. */
const MAX_PATHS = 5000;

/** `tree/{revision}/{folder}`, page by page. */
export async function sendTree(context: HubContext, exchange: HubExchange, id: RepoId, rest: string[]): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const { commit, path } = await splitRevision(repo, rest);
  const tree = await repo.tree(commit);
  const recursive = flag(exchange.query.get('recursive'));
  const expand = flag(exchange.query.get('expand'));
  const entries = listFolder(tree, path, recursive);
  if (!entries) throw new HubError(404, 'Entry not found', 'EntryNotFound', { 'x-repo-commit': commit });
  const most = expand ? EXPANDED_PAGE_ENTRIES : PAGE_ENTRIES;
  const limit = Math.min(most, positive(exchange.query.get('limit')) ?? most);
  const start = readCursor(exchange.query.get('cursor'));
  const page = entries.slice(start, start + limit);
  const headers: Record<string, string> = { 'x-repo-commit': commit };
  if (start + limit < entries.length) {
    const query = new URLSearchParams(exchange.query);
    query.set('limit', String(limit));
    query.set('cursor', writeCursor(start + limit));
    headers.link = `<${baseUrl(context, exchange)}${exchange.path}?${query}>; rel="next"`;
  }
  await exchange.json(
    200,
    await describe(repo, commit, tree, page, expand, mayRead(repo, visitor(context, exchange))),
    headers,
  );
}

/** `paths-info/{revision}`: the entries of some paths, asked for as a form or as JSON. */
export async function sendPathsInfo(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  rest: string[],
): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const { commit } = await splitRevision(repo, rest);
  const tree = await repo.tree(commit);
  const { paths, expand } = await readPathsQuery(exchange);
  const entries = paths.flatMap((path): FolderEntry[] => {
    const file = tree.get(path);
    if (file) return [{ path, file }];
    return folderIds(tree).has(path) ? [{ path, file: undefined }] : [];
  });
  await exchange.json(
    200,
    await describe(repo, commit, tree, entries, expand, mayRead(repo, visitor(context, exchange))),
    { 'x-repo-commit': commit },
  );
}

async function readPathsQuery(exchange: HubExchange): Promise<{ paths: string[]; expand: boolean }> {
  const text = (await readBody(exchange.request, MAX_PATHS_BODY_BYTES)).toString();
  if (exchange.header('content-type')?.includes('json')) {
    const { paths, expand } = asObject(parseJson(text));
    const list = typeof paths === 'string' ? [paths] : paths;
    if (!Array.isArray(list) || !list.every((path) => typeof path === 'string')) {
      throw new HubError(400, '"paths" must be a list of strings');
    }
    return { paths: bounded(list), expand: expand === true };
  }
  const form = new URLSearchParams(text);
  return { paths: bounded(form.getAll('paths')), expand: flag(form.get('expand')) };
}

function bounded(paths: string[]): string[] {
  if (paths.length > MAX_PATHS) throw new HubError(400, `"paths" must be a list of at most ${MAX_PATHS}`);
  return paths;
}

/** With `open` also by which hashes the content of large files is known: that is for those who may have it. */
async function describe(
  repo: Repo,
  commit: string,
  tree: Tree,
  entries: FolderEntry[],
  expand: boolean,
  open: boolean,
) {
  const last = expand ? await lastCommits(repo, commit, entries) : undefined;
  return entries.map(({ path, file }) => {
    const extra = last ? { lastCommit: last.get(path), securityFileStatus: file && UNSCANNED } : {};
    if (!file) return { type: 'directory', oid: folderIds(tree).get(path), size: 0, path, ...extra };
    return {
      type: 'file',
      oid: file.oid,
      size: file.size,
      ...(open && file.lfs && { lfs: { oid: file.lfs.sha256, size: file.size, pointerSize: file.lfs.pointerSize } }),
      ...(open && file.xetHash && { xetHash: file.xetHash }),
      path,
      ...extra,
    };
  });
}

/** For each entry the commit that gave it its present content. */
async function lastCommits(repo: Repo, from: string, entries: FolderEntry[]) {
  const wanted = new Map(entries.map((entry) => [entry.path, entry.file === undefined]));
  const found = new Map<string, { id: string; title: string; date: string }>();
  let newer: { commit: Commit; ids: Map<string, string | undefined> } | undefined;
  const settle = (ids: Map<string, string | undefined>) => {
    if (!newer) return;
    const { id, title, date } = newer.commit;
    for (const path of wanted.keys()) {
      if (newer.ids.get(path) === ids.get(path)) continue;
      found.set(path, { id, title, date });
      wanted.delete(path);
    }
  };
  for await (const commit of repo.history(from)) {
    const tree = await repo.tree(commit.id);
    const ids = new Map(
      [...wanted].map(([path, isFolder]) => [path, isFolder ? folderIds(tree).get(path) : tree.get(path)?.oid]),
    );
    settle(ids);
    if (wanted.size === 0) return found;
    newer = { commit, ids };
  }
  settle(new Map());
  return found;
}

export function flag(text: string | null): boolean {
  return text !== null && /^(1|true|)$/i.test(text);
}

export function positive(text: string | null): number | undefined {
  const number = Number(text ?? Number.NaN);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

function writeCursor(start: number): string {
  return Buffer.from(JSON.stringify({ start })).toString('base64url');
}

function readCursor(cursor: string | null): number {
  if (cursor === null) return 0;
  const { start } = asObject(parseJson(Buffer.from(cursor, 'base64url').toString()));
  if (typeof start !== 'number' || !Number.isSafeInteger(start) || start < 0) throw new HubError(400, 'Invalid cursor');
  return start;
}
