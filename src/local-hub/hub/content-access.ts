import { ZERO_HASH } from '../../core/hash.ts';
import { type Caller, sameCaller } from '../caller.ts';
import { findStored, type HubContext } from '../context.ts';
import { HubError } from '../hub-error.ts';
import type { Stored } from '../repo/stored.ts';
import type { FileRecord, LargeObject } from '../store/file-store.ts';
import { mayRead } from './access.ts';

/*
 * Content is stored once for all repositories, so that it is there does not make it anybody's to have. A caller gets
 * what the repository refers to, if its files are his to read, and what he sent for it himself. All else looks like
 * content that is not stored.
 */

/** The repository or bucket that a caller's token was made for. */
export function repoOf(context: HubContext, caller: Caller): Stored {
  const repo = findStored(context, caller.repo);
  if (!repo || repo.record.id !== caller.repoId) throw new HubError(401, 'The repository of this token is gone');
  return repo;
}

export async function readableFile(context: HubContext, caller: Caller, hash: string): Promise<FileRecord | undefined> {
  const repo = repoOf(context, caller);
  const { files, uploads } = context.store;
  const held = mayRead(repo, caller) && (await repo.held()).files.has(hash);
  if (!held && hash !== ZERO_HASH && !(await uploads.hasFile(caller, hash))) return undefined;
  return files.file(hash);
}

/** The content with this digest that the caller's repository holds or the caller sent for it. */
export async function readableObject(
  context: HubContext,
  caller: Caller,
  sha256: string,
): Promise<LargeObject | undefined> {
  const repo = repoOf(context, caller);
  const held = mayRead(repo, caller) ? (await repo.held()).objects.get(sha256) : undefined;
  if (held) return held;
  const object = await context.store.files.object(sha256);
  return object && (await context.store.uploads.hasFile(caller, object.xetHash)) ? object : undefined;
}

/** Content that a commit of the caller may refer to: that of any repository whose files are his to read, as well. */
export async function usableObject(
  context: HubContext,
  caller: Caller,
  sha256: string,
): Promise<LargeObject | undefined> {
  const own = await readableObject(context, caller, sha256);
  if (own) return own;
  for (const repo of context.repos.all()) {
    const held = mayRead(repo, caller) ? (await repo.held()).objects.get(sha256) : undefined;
    if (held) return held;
  }
  return undefined;
}

/** True if the caller may know of xorbs that were stored for another caller. */
export function maySeeShardOf(context: HubContext, caller: Caller, owner: Caller): boolean {
  const repo = findStored(context, owner.repo);
  if (!repo || repo.record.id !== owner.repoId) return false;
  return mayRead(repo, caller) || sameCaller(owner, caller);
}
