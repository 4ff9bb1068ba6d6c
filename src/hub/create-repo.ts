import { isXetError, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import type { Http } from '../http/http.ts';
import { LIST_JSON_BYTES } from '../http/json.ts';
import type { HubClient } from './client.ts';
import { apiUrl, repoText } from './repo.ts';
import type { RepoId } from './types.ts';

/** Visibility of a repository. `protected` is a public space whose code stays hidden. */
export type RepoVisibility = 'public' | 'private' | 'protected';

/** Properties of a repository that is created. */
export interface NewRepo {
  /** Visibility. Default: the setting of the account or organization; nothing is sent to the Hub then. */
  visibility?: RepoVisibility | undefined;
  /** `true` stands for `visibility: 'private'`, `false` for `'public'`. */
  private?: boolean | undefined;
  /** Runtime of a space. Default: `gradio`. */
  sdk?: 'static' | 'gradio' | 'docker' | 'streamlit' | undefined;
  /** Region of its storage, for organizations that have a choice. */
  region?: 'us' | 'eu' | undefined;
  /** Resource group of an organization that it belongs to. */
  resourceGroupId?: string | undefined;
  /** Accepts a repository that exists; otherwise that is `CONFLICT`. Default: false. */
  existOk?: boolean | undefined;
}

const ANSWER_LIMIT_BYTES = 1024 * 1024;
const VISIBILITIES: readonly unknown[] = [undefined, 'public', 'private', 'protected'];
/** The Hub creates one repository of an account at a time, and refuses the others with the status of a taken name. */
const BUSY = /conflicting operation/i;

/** Creates a repository. */
export async function createRepo(
  http: Http,
  hub: HubClient,
  { repo, attempts, ...options }: NewRepo & { repo: RepoId; attempts: number },
  signal: AbortSignal,
): Promise<{ url: string; created: boolean }> {
  const request = requestFor(repo, options);
  const page = `${hub.endpoint}/${repoText(repo)}`;
  for (let attempt = 1; ; attempt++) {
    try {
      const headers = { ...(await hub.headers()), 'content-type': 'application/json' };
      const url = repo.type === 'bucket' ? apiUrl(hub.endpoint, repo) : `${hub.endpoint}/api/repos/create`;
      const body = JSON.stringify(request);
      const answer = await http.json({ kind: 'hub', url, method: 'POST', headers, body, signal }, ANSWER_LIMIT_BYTES);
      return {
        url: isRecord(answer.body) && typeof answer.body.url === 'string' ? answer.body.url : page,
        created: true,
      };
    } catch (error) {
      signal.throwIfAborted();
      if (!isXetError(error)) throw error;
      if (error.status === 409 && BUSY.test(error.serverMessage ?? '')) {
        if (attempt >= attempts) throw busy(error, repo);
        await http.pause(attempt, attempts, error, 'hub', signal);
        continue;
      }
      const exists = error.code === 'CONFLICT';
      if (exists && !options.existOk) throw taken(error, repo);
      // Not every token that may write to a repository may create one; if it is there, none needs to be created.
      const forbidden = [401, 402, 403].includes(error.status ?? 0);
      if (!options.existOk || !(exists || forbidden)) throw error;
      await checkExisting(http, hub, repo, visibilityOf(options), { error, exists, signal });
      return { url: page, created: false };
    }
  }
}

function requestFor(repo: RepoId, options: NewRepo): Record<string, unknown> {
  const { region, resourceGroupId, sdk } = options;
  const [owner, name] = repo.name.includes('/') ? repo.name.split('/') : [undefined, repo.name];
  const visibility = visibilityOf(options);
  if (visibility === 'protected' && repo.type !== 'space') {
    throw new XetError('INVALID_ARGUMENT', "Only a space can be 'protected': use 'public' or 'private'.");
  }
  if (sdk !== undefined && repo.type !== 'space') {
    throw new XetError('INVALID_ARGUMENT', `Only a space has an sdk, and ${repoText(repo)} is a ${repo.type}.`);
  }
  // Members without a value are not sent.
  if (repo.type === 'bucket') return { visibility, resourceGroupId, region };
  return {
    name,
    organization: owner,
    type: repo.type,
    visibility,
    sdk: repo.type === 'space' ? (sdk ?? 'gradio') : undefined,
    region,
    resourceGroupId,
  };
}

function visibilityOf(options: NewRepo): RepoVisibility | undefined {
  const { visibility, private: hidden } = options;
  if (!VISIBILITIES.includes(visibility)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `There is no visibility '${visibility}': use 'public', 'private' or, for a space, 'protected'.`,
    );
  }
  const alias = hidden === undefined ? undefined : hidden ? 'private' : 'public';
  if (visibility !== undefined && alias !== undefined && visibility !== alias) {
    throw new XetError('INVALID_ARGUMENT', `visibility: '${visibility}' and private: ${hidden} exclude each other.`);
  }
  return visibility ?? alias;
}

/** Throws unless the repository is there, and hidden where that was asked for: what follows may be secret. */
async function checkExisting(
  http: Http,
  hub: HubClient,
  repo: RepoId,
  visibility: RepoVisibility | undefined,
  { error, exists, signal }: { error: XetError; exists: boolean; signal: AbortSignal },
): Promise<void> {
  if (exists && visibility !== 'private') return;
  let info: unknown;
  try {
    const spec = { kind: 'hub', url: apiUrl(hub.endpoint, repo), headers: await hub.headers(), signal } as const;
    info = (await http.json(spec, LIST_JSON_BYTES)).body;
  } catch (cause) {
    signal.throwIfAborted();
    // Whoever may not look at it cannot tell; that it could not be created is what matters.
    if (exists && isXetError(cause)) return;
    throw error;
  }
  if (visibility === 'private' && isRecord(info) && info.private === false) {
    throw new XetError(
      'CONFLICT',
      `${repoText(repo)} exists and is public, and a private repository was asked for. Make it private in its settings, ` +
        'or leave out the visibility to use it as it is.',
      { status: error.status ?? 409, cause: error },
    );
  }
}

function taken(cause: XetError, repo: RepoId): XetError {
  const { status = 409, url, requestId, serverMessage } = cause;
  const text = `There is a repository ${repoText(repo)} already. With existOk that is no error.`;
  return new XetError('CONFLICT', text, { status, url, requestId, serverMessage, cause });
}

function busy(cause: XetError, repo: RepoId): XetError {
  return new XetError(
    'CONFLICT',
    `${repoText(repo)} was not created: the Hub is busy with another repository of this account. Try again in a moment.`,
    { status: 409, retryable: true, cause },
  );
}
