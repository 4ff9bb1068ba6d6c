import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadCodec } from '../codec/load.node.ts';
import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { checkArguments, checkChoice, invalid } from './check-arguments.ts';
import { type CommitOptions, checkCommit, commitFiles } from './commit-files.ts';
import type { Content } from './content.ts';
import { findStored, type HubContext } from './context.ts';
import { FaultPlan } from './faults.ts';
import { RequestLog, type RequestRecord } from './http/request-log.ts';
import { parseOrigin } from './http/sender.ts';
import { Signer } from './http/signature.ts';
import { startRepo } from './hub/manage.ts';
import { listen, stop } from './listen.ts';
import { openMirror } from './mirror/mirror.ts';
import { type LocalHubOptions, type Settings, settle } from './options.ts';
import { checkPut, type PutOptions, putFiles } from './put-files.ts';
import { parseRepo, type RepoDesignation, type RepoId, urlPrefix } from './repo/repo-id.ts';
import { openBuckets, openRepos } from './repo/repo-store.ts';
import type { RepoRecord } from './repo/stored.ts';
import { type SeededRepo, seed } from './seed.ts';
import { createHubServer } from './server.ts';
import type { FolderLock } from './store/folder-lock.ts';
import { openHubFolder } from './store/hub-folder.ts';
import { openStore } from './store/store.ts';

export type { CommitOptions } from './commit-files.ts';
export type { Content } from './content.ts';
export type { FaultAction, FaultHandle, FaultPlan, FaultRule, RequestKind } from './faults.ts';
export type { RequestRecord } from './http/request-log.ts';
export type { MirrorOptions } from './mirror/options.ts';
export type { LocalHubOptions, TokenGrant } from './options.ts';
export type { PutOptions } from './put-files.ts';
export type { RepoDesignation, RepoId, RepoType } from './repo/repo-id.ts';
export type { SeededRepo } from './seed.ts';

/** Repository settings that the server can change. */
export type RepoSettings = Partial<Pick<RepoRecord, 'private' | 'gated' | 'allowed' | 'disabled'>>;

/** A running Hub. */
export interface LocalHub extends AsyncDisposable {
  /** `http://host:port`, for `HF_ENDPOINT`. */
  readonly url: string;
  /** The folder that holds everything. */
  readonly dir: string;
  /** Injected faults. */
  readonly faults: FaultPlan;
  /** The latest 100 000 requests, oldest first. */
  readonly requests: readonly RequestRecord[];
  /** Forgets the requests so far. */
  resetRequests(): void;
  /**
   * Makes repositories of a folder: `owner/name`, `datasets/owner/name`, `spaces/owner/name`, `kernels/owner/name`, and
   * buckets of `buckets/owner/name`. Files of 1 MiB or more, those that are not text and all files of buckets go through
   * Xet. What has not changed makes no commit; nothing is deleted.
   */
  seed(folder: string): Promise<SeededRepo[]>;
  /** Commits files, making the repository if there is none. */
  commitFiles(
    repo: RepoDesignation,
    files: Record<string, Content>,
    options?: CommitOptions,
  ): Promise<{ commit: string; changed: boolean }>;
  /**
   * Puts files into a bucket, making the bucket if there is none. All of them go through Xet. What is there already stays
   * as it is.
   */
  putFiles(
    bucket: RepoDesignation,
    files: Record<string, Content>,
    options?: PutOptions,
  ): Promise<{ changed: boolean; files: number }>;
  /** A repository as the Hub makes one, with a first commit, or an empty bucket. Rejects where the name is taken. */
  createRepo(repo: RepoDesignation, settings?: RepoSettings): Promise<void>;
  /** Changes what holds for a repository or bucket. Rejects where there is none. */
  setRepo(repo: RepoDesignation, settings: RepoSettings): Promise<void>;
  /** Lets the pages of an origin write and send tokens, like the option `allowedOrigins`. */
  allowOrigin(origin: string): void;
  /** Closes every connection at once. Only a folder of the Hub's own choice is removed. */
  close(): Promise<void>;
}

/**
 * Starts a Hub; it serves as soon as the promise resolves.
 *
 * @example
 * ```js
 * import { startLocalHub } from 'xetkit/local-hub';
 *
 * const hub = await startLocalHub({ port: 0 });
 * const { commit } = await hub.commitFiles('owner/tiny', { 'config.json': new TextEncoder().encode('{}') });
 * console.log(hub.url, commit);
 * await hub.close();
 * ```
 */
export async function startLocalHub(options: LocalHubOptions = {}): Promise<LocalHub> {
  const settings = settle(options);
  const temporary = options.dir === undefined;
  const dir = temporary ? await mkdtemp(join(tmpdir(), 'xetkit-hub-')) : resolve(options.dir ?? '.');
  const lock = await openHubFolder(dir);
  const leave = async () => {
    await lock.release();
    if (temporary) await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    return await serve(dir, lock, settings, leave);
  } catch (error) {
    await leave();
    throw error;
  }
}

/** Serves a folder that is locked; `leave` is called when that has ended. */
async function serve(dir: string, lock: FolderLock, settings: Settings, leave: () => Promise<void>): Promise<LocalHub> {
  const [codec, store] = await Promise.all([loadCodec(), openStore(dir, lock.confirm, settings.durable)]);
  const repos = await openRepos(dir, store.staging, settings.now);
  const buckets = await openBuckets(dir, store.staging, settings.now);
  const context: HubContext = {
    settings,
    codec,
    store,
    repos,
    buckets,
    signer: new Signer(),
    dedupKey: randomBytes(32),
    origin: '',
  };
  const faults = new FaultPlan();
  const log = new RequestLog();
  const mirror = settings.mirror && (await openMirror(context, dir, settings.mirror));
  const server = createHubServer(context, faults, log, mirror);
  context.origin = await listen(server, settings.host, settings.port);
  await lock.announce(context.origin);

  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= stop(server).then(leave);
    return closing;
  };
  const existing = (repo: RepoDesignation) => {
    const found = findStored(context, parseRepo(repo));
    if (found) return found;
    throw new XetError(
      'REPOSITORY_NOT_FOUND',
      `This Hub has no repository ${nameOf(repo)}. Create it with createRepo().`,
    );
  };
  return {
    url: context.origin,
    dir,
    faults,
    requests: log.records,
    resetRequests: () => log.clear(),
    seed: async (folder) => {
      checkArguments('seed', { folder }, 'folder:s');
      return seed(context, resolve(folder));
    },
    commitFiles: async (repo, files, commitOptions = {}) => {
      checkArguments('commitFiles', { repo, files }, 'repo:r files:o');
      const id = parseRepo(repo);
      if (id.type === 'bucket')
        throw invalid(`commitFiles: ${nameOf(id)} is a bucket, without commits. Use putFiles().`);
      return commitFiles(context, id, files, checkCommit(files, commitOptions));
    },
    putFiles: async (bucket, files, putOptions = {}) => {
      checkArguments('putFiles', { bucket, files }, 'bucket:r files:o');
      const id = parseRepo(bucket);
      if (id.type !== 'bucket')
        throw invalid(`putFiles: ${nameOf(id)} is not a bucket. Write it like 'buckets/owner/data'.`);
      return putFiles(context, id, files, checkPut(files, putOptions));
    },
    createRepo: async (repo, repoSettings = {}) => {
      checkArguments('createRepo', { repo }, 'repo:r');
      const id = parseRepo(repo);
      const given = checkRepoSettings('createRepo', id, repoSettings);
      const created =
        id.type === 'bucket' ? await buckets.create(id, given) : await startRepo(context, id, 'local', given);
      if (created) return;
      throw new XetError(
        'CONFLICT',
        `This Hub already has a repository ${nameOf(repo)}, or one that differs in case only.`,
      );
    },
    setRepo: async (repo, repoSettings) => {
      checkArguments('setRepo', { repo, settings: repoSettings }, 'repo:r settings:o');
      await existing(repo).update(checkRepoSettings('setRepo', parseRepo(repo), repoSettings));
    },
    allowOrigin: (origin) => {
      checkArguments('allowOrigin', { origin }, 'origin:s');
      settings.senders.origins.add(parseOrigin(origin));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function nameOf(repo: RepoDesignation): string {
  const { type, name } = parseRepo(repo);
  return `${urlPrefix(type)}${name}`;
}

function checkRepoSettings(call: string, { type }: RepoId, given: RepoSettings): RepoSettings {
  const settings = checked(call, given, 'private:b gated:a allowed:l disabled:b');
  if (type === 'bucket' && (settings.gated || settings.allowed)) throw invalid(`${call}: a bucket cannot be gated.`);
  checkChoice(`${call}: 'gated'`, settings.gated, [false, 'auto', 'manual']);
  return { ...settings, ...(settings.allowed && { allowed: [settings.allowed].flat() }) };
}
