import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { etagCheck, type Verified } from '../download/content-hash.ts';
import { XetError } from '../errors.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { checkPath, type RepoId } from '../hub/repo.ts';
import { makeFolder } from './disk-errors.node.ts';
import { PartialFile } from './partial-file.node.ts';
import type { Place, PlaceOptions } from './place.ts';

/** The Hub cache folder that the environment names, as Python's client finds it. */
export function hubCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.HF_HUB_CACHE) return env.HF_HUB_CACHE;
  if (env.HUGGINGFACE_HUB_CACHE) return env.HUGGINGFACE_HUB_CACHE;
  return join(hubHome(env), 'hub');
}

export function hubHome(env: NodeJS.ProcessEnv = process.env): string {
  return env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
}

/** Picks the folder that was asked for, or the Hub cache folder. */
export function nodePlace(file: ResolvedFile, options: PlaceOptions): Place {
  return options.localDir === undefined
    ? cachePlace(file, options.cacheDir ?? hubCacheDir(), options.revision)
    : localPlace(file, options.localDir);
}

/** A plain folder with the repository's own paths. Unfinished files wait in its `.cache/huggingface`. */
function localPlace(file: ResolvedFile, folder: string): Place {
  const target = within(folder, file.path);
  const temporary = join(folder, '.cache', 'huggingface', 'download');
  return {
    existing: async (signal) => {
      const verified = await checkContent(target, file, signal);
      return verified && { path: target, verified };
    },
    openSink: (sinkOptions) =>
      PartialFile.open(join(temporary, `${nameOf(file.path)}.${file.etag}`), file, sinkOptions, async (finished) => {
        await makeFolder(dirname(target));
        await rename(finished, target);
        return target;
      }),
  };
}

/** The folder that all Hub clients share: content by hash, and links to it by commit and path. */
function cachePlace(file: ResolvedFile, cacheDir: string, revision: string): Place {
  const repo = join(cacheDir, folderName(file.repo));
  const blob = join(repo, 'blobs', file.etag);
  const pointer = within(join(repo, 'snapshots', file.commit), file.path);
  const link = async (): Promise<string> => {
    await linkTo(pointer, blob);
    if (revision !== file.commit) await writeRef(repo, revision, file.commit);
    return pointer;
  };
  return {
    existing: async (signal) => {
      const verified = await checkContent(blob, file, signal);
      return verified && { path: await link(), verified };
    },
    openSink: (sinkOptions) =>
      PartialFile.open(blob, file, sinkOptions, async (finished) => {
        await rename(finished, blob);
        return link();
      }),
  };
}

/** A short name that stands for a path in a repository. */
function nameOf(path: string): string {
  return createHash('sha1').update(path).digest('base64url').slice(0, 16);
}

function folderName(repo: RepoId): string {
  return [`${repo.type}s`, ...repo.name.split('/')].join('--');
}

/** Joins a path from a server to a folder, and makes sure that it stays there. */
function within(folder: string, path: string): string {
  const root = resolve(folder);
  const target = resolve(root, ...checkPath(path).split('/'));
  if (!target.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw new XetError('INVALID_ARGUMENT', `'${path}' would leave the folder ${root}.`);
  }
  return target;
}

/** A relative link, so that the cache folder can be moved; a copy where links cannot be made. */
async function linkTo(pointer: string, blob: string): Promise<void> {
  await makeFolder(dirname(pointer));
  const target = relative(dirname(pointer), blob);
  const fresh = `${pointer}.${randomBytes(4).toString('hex')}`;
  try {
    await symlink(target, fresh);
  } catch {
    await copyFile(blob, fresh);
  }
  await rename(fresh, pointer);
}

async function writeRef(repo: string, revision: string, commit: string): Promise<void> {
  const ref = within(join(repo, 'refs'), revision);
  if ((await readFile(ref, 'utf8').catch(() => undefined)) === commit) return;
  await makeFolder(dirname(ref));
  const fresh = `${ref}.${randomBytes(4).toString('hex')}`;
  await writeFile(fresh, commit);
  await rename(fresh, ref);
}

/** Reads a file that is already there and says how it was found to be the right one. */
async function checkContent(path: string, file: ResolvedFile, signal: AbortSignal): Promise<Verified | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile() || found.size !== file.size) return undefined;
  const check = etagCheck(file.etag, file.size, nodeContentHash);
  if (!check) return undefined;
  for await (const bytes of createReadStream(path, { highWaterMark: 1 << 20, signal }))
    check.hash.update(bytes as Uint8Array);
  return (await check.hash.digest()) === file.etag ? check.verified : undefined;
}

export function nodeContentHash(algorithm: 'sha1' | 'sha256') {
  const hash = createHash(algorithm);
  return {
    update: (bytes: Uint8Array) => void hash.update(bytes),
    digest: async () => hash.digest('hex'),
  };
}
