import { XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import { apiUrl } from '../hub/repo.ts';
import { CompatHttp, type RequestParams } from './compat-http.ts';
import { InvalidApiResponseFormatError } from './errors.ts';
import type { CompatPlatform } from './platform.ts';
import { ownedRepo, repoOf } from './repo.ts';
import type { CompatRepoDesignation } from './types.ts';

// Calls that are one question each: no reason to load another package for them.

export type SpaceSdk = 'streamlit' | 'gradio' | 'docker' | 'static';

type RepoParams = RequestParams & { repo: CompatRepoDesignation };

export type CreateRepoParams = RepoParams & {
  visibility?: 'public' | 'private' | 'protected';
  /** @deprecated Give `visibility`. */
  private?: boolean;
  resourceGroupId?: string;
  license?: string;
  files?: Array<{ content: ArrayBuffer | Blob; path: string }>;
  /** Needed for a space. */
  sdk?: SpaceSdk;
};

export async function createRepo(
  _platform: CompatPlatform,
  params: CreateRepoParams,
): Promise<{ repoUrl: string; id: string }> {
  const { type, owner, bareName } = ownedRepo(params.repo);
  const { license, resourceGroupId, sdk, files = [] } = params;
  const visibility = params.visibility ?? (params.private === undefined ? undefined : isPrivate(params.private));
  const door = new CompatHttp(params);
  const url = `${door.hubUrl}/api/repos/create`;
  if (!Array.isArray(files) || !files.every((file) => typeof file?.path === 'string')) {
    throw new XetError('INVALID_ARGUMENT', "createRepo: 'files' must be a list of { path, content }.");
  }
  const contents = await Promise.all(
    files.map(async ({ path, content }) => ({ encoding: 'base64', path, content: await base64(content) })),
  );
  const { body } = await door.json({
    url,
    method: 'POST',
    json: {
      name: bareName,
      organization: owner,
      type,
      ...(visibility !== undefined && { visibility }),
      ...(resourceGroupId !== undefined && { resourceGroupId }),
      ...(license !== undefined && { license }),
      ...(sdk !== undefined && { sdk }),
      ...(contents.length > 0 && { files: contents }),
    },
  });
  if (!isRecord(body) || typeof body.url !== 'string') throw malformed(url);
  return { repoUrl: body.url, id: String(body.id ?? '') };
}

function isPrivate(value: boolean): 'private' | 'public' {
  return value ? 'private' : 'public';
}

async function base64(content: ArrayBuffer | Blob): Promise<string> {
  const bytes = new Uint8Array(content instanceof Blob ? await content.arrayBuffer() : content);
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

export async function deleteRepo(_platform: CompatPlatform, params: RepoParams): Promise<void> {
  const { type, owner, bareName } = ownedRepo(params.repo);
  const door = new CompatHttp(params);
  const json = { name: bareName, organization: owner, type };
  await door.head({ url: `${door.hubUrl}/api/repos/delete`, method: 'DELETE', json });
}

export interface CreateBranchParams {
  repo: CompatRepoDesignation;
  /** From where it starts. Default: the default branch. */
  revision?: string;
  hubUrl?: string;
  accessToken?: string;
  fetch?: typeof fetch;
  branch: string;
  /** Without any commit. */
  empty?: boolean;
  overwrite?: boolean;
}

export async function createBranch(_platform: CompatPlatform, params: CreateBranchParams): Promise<void> {
  const { branch, revision, empty, overwrite } = params;
  const door = new CompatHttp(params);
  const json = {
    ...(revision !== undefined && { startingPoint: revision }),
    ...(empty !== undefined && { emptyBranch: empty }),
    ...(overwrite !== undefined && { overwrite }),
  };
  await door.head({ url: apiUrl(door.hubUrl, repoOf(params.repo), 'branch', branch), method: 'POST', json });
}

export type DeleteBranchParams = Omit<CreateBranchParams, 'revision' | 'empty' | 'overwrite'>;

export async function deleteBranch(_platform: CompatPlatform, params: DeleteBranchParams): Promise<void> {
  const door = new CompatHttp(params);
  await door.head({ url: apiUrl(door.hubUrl, repoOf(params.repo), 'branch', params.branch), method: 'DELETE' });
}

export interface RepoExistsParams {
  repo: CompatRepoDesignation;
  hubUrl?: string;
  revision?: string;
  fetch?: typeof fetch;
  accessToken?: string;
}

/** True if the repository exists and the caller may see it. */
export async function repoExists(_platform: CompatPlatform, params: RepoExistsParams): Promise<boolean> {
  const { revision } = params;
  const door = new CompatHttp(params);
  const repo = repoOf(params.repo);
  const url = apiUrl(door.hubUrl, repo, ...(revision === undefined ? [] : ['revision', revision]));
  const { status } = await door.head({ url }, [401, 404]);
  return status < 400;
}

/** Throws the answer of the Hub if it does not let this repository be read. */
export async function checkRepoAccess(_platform: CompatPlatform, params: RepoParams): Promise<void> {
  const door = new CompatHttp(params);
  await door.head({ url: apiUrl(door.hubUrl, repoOf(params.repo)) });
}

export interface WhoAmIUser {
  id: string;
  type: 'user';
  email: string;
  emailVerified: boolean;
  isPro: boolean;
  orgs: WhoAmIOrg[];
  name: string;
  fullname: string;
  canPay: boolean;
  avatarUrl: string;
  periodEnd: number | null;
  billingMode: 'postpaid' | 'prepaid';
}

export interface WhoAmIOrg {
  id: string;
  type: 'org';
  name: string;
  fullname: string;
  email: string | null;
  canPay: boolean;
  avatarUrl: string;
  periodEnd: number | null;
}

export interface WhoAmIApp {
  id: string;
  type: 'app';
  name: string;
  scope?: { entities: string[]; role: 'admin' | 'write' | 'contributor' | 'read' };
}

export type WhoAmI = WhoAmIApp | WhoAmIOrg | WhoAmIUser;

export interface AuthInfo {
  type: 'access_token' | 'app_token' | 'app_token_as_user';
  accessToken?: { displayName: string; role: 'admin' | 'write' | 'contributor' | 'read'; createdAt: Date };
  expiresAt?: Date;
}

/** The user or organization that owns the token. */
export async function whoAmI(_platform: CompatPlatform, params: RequestParams): Promise<WhoAmI & { auth: AuthInfo }> {
  const door = new CompatHttp(params);
  const url = `${door.hubUrl}/api/whoami-v2`;
  const { body } = await door.json({ url });
  const auth = isRecord(body) ? body.auth : undefined;
  if (!isRecord(body) || !isRecord(auth)) throw malformed(url);
  const { accessToken, expiresAt } = auth;
  return {
    ...body,
    auth: {
      ...auth,
      ...(isRecord(accessToken) && {
        accessToken: { ...accessToken, createdAt: new Date(String(accessToken.createdAt)) },
      }),
      ...(typeof expiresAt === 'string' && { expiresAt: new Date(expiresAt) }),
    },
  } as unknown as WhoAmI & { auth: AuthInfo };
}

export interface CommitData {
  oid: string;
  title: string;
  message: string;
  authors: Array<{ username: string; avatarUrl: string }>;
  date: Date;
}

export type ListCommitsParams = RepoParams & {
  /** Default: the default branch. */
  revision?: string;
  /** Commits in one question. Default: 100. */
  batchSize?: number;
};

/** Commits from the newest on. */
export async function* listCommits(
  _platform: CompatPlatform,
  params: ListCommitsParams,
): AsyncGenerator<CommitData, void, undefined> {
  const { revision = 'main', batchSize = 100 } = params;
  const door = new CompatHttp(params);
  const first = `${apiUrl(door.hubUrl, repoOf(params.repo), 'commits', revision)}?limit=${batchSize}`;
  const itemsOf = (body: unknown, url: string) => {
    if (!Array.isArray(body) || !body.every(isRecord)) throw malformed(url);
    return body;
  };
  for await (const page of door.pages(first, itemsOf)) yield* page.map(commitData);
}

function commitData(commit: Record<string, unknown>): CommitData {
  const authors = Array.isArray(commit.authors) ? commit.authors.filter(isRecord) : [];
  return {
    oid: String(commit.id),
    title: String(commit.title ?? ''),
    message: String(commit.message ?? ''),
    authors: authors.map(({ user, avatar }) => ({ username: String(user), avatarUrl: String(avatar) })),
    date: new Date(String(commit.date)),
  };
}

function malformed(url: string): InvalidApiResponseFormatError {
  return new InvalidApiResponseFormatError(`${url} did not answer as expected`);
}
