import { Breath } from '../breath.ts';
import type { HubContext } from '../context.ts';
import { asObject, readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import type { RepoId } from '../repo/repo-id.ts';
import type { Tree } from '../repo/tree.ts';
import { mayRead, readableRepo, requireContributor, requireWriter, visitor } from './access.ts';
import { findCommit } from './locate.ts';
import { UploadRules } from './upload-mode.ts';

const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_FILES = 256;
const MAX_PATH_LENGTH = 4096;

/** Tells, file by file, how to upload it and what is there already. */
export async function preupload(
  context: HubContext,
  exchange: HubExchange,
  id: RepoId,
  revision: string,
): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  if (exchange.query.has('create_pr') || revision.startsWith('refs/pr/')) requireContributor(context, exchange);
  else requireWriter(context, exchange);
  const { files, gitAttributes, gitIgnore } = await readJsonObject(exchange.request, MAX_BODY_BYTES);
  if (!Array.isArray(files) || files.length > MAX_FILES) {
    throw new HubError(400, `"files" must be a list of at most ${MAX_FILES}`);
  }
  const base = repo.refs.size === 0 && revision === 'main' ? undefined : await findCommit(repo, revision);
  const tree: Tree = base === undefined ? new Map() : await repo.tree(base);
  const attributes = typeof gitAttributes === 'string' ? gitAttributes : await textOf(context, tree, '.gitattributes');
  const ignore = typeof gitIgnore === 'string' ? gitIgnore : await textOf(context, tree, '.gitignore');
  const open = mayRead(repo, visitor(context, exchange));
  const rules = new UploadRules(attributes, ignore);
  const breath = new Breath();
  const answers: unknown[] = [];
  for (const entry of files) {
    await breath.take();
    const { path, size, sample } = asObject(entry);
    if (typeof path === 'string' && path.length > MAX_PATH_LENGTH) throw new HubError(400, 'A path is too long');
    if (typeof path !== 'string' || typeof size !== 'number' || typeof sample !== 'string') {
      throw new HubError(400, 'Each file needs "path", "size" and "sample"');
    }
    const present = tree.get(path);
    answers.push({
      path,
      uploadMode: rules.isLarge(path, size, Buffer.from(sample, 'base64')) ? 'lfs' : 'regular',
      shouldIgnore: rules.isIgnored(path),
      ...(present && open && { oid: present.lfs?.sha256 ?? present.oid }),
    });
  }
  await exchange.json(200, { files: answers, commitOid: base });
}

async function textOf({ store }: HubContext, tree: Tree, path: string): Promise<string> {
  const file = tree.get(path);
  const content = file && !file.lfs ? await store.blobs.content(file.oid) : undefined;
  return content?.toString() ?? '';
}
