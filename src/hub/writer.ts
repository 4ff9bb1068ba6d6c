import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import type { Http } from '../http/http.ts';
import { MAX_OBEYED_WAIT_MS, type RetryPolicy } from '../http/retry-timing.ts';
import type { RequestSpec } from '../http/types.ts';
import type { HubClient } from './client.ts';
import { pathsInfo } from './entries.ts';
import { type CommitLine, lineOf } from './operations.ts';
import { apiUrl, repoText, revisionUrl } from './repo.ts';
import type { RepoId, RepoType } from './types.ts';

/** Target of a commit: a branch, or a pull request against one. */
export interface CommitTarget {
  repo: RepoId;
  /** A branch, or `refs/pr/N`. */
  branch: string;
  createPr: boolean;
}

/** Preupload result of a file. */
export interface PreuploadResult {
  path: string;
  mode: 'lfs' | 'regular';
  /** True if a `.gitignore` excludes it. */
  ignored: boolean;
  /** Id of the current file at this path: sha256 of a large one, git blob id of a small one. */
  presentId: string | undefined;
}

export interface PreuploadFile {
  path: string;
  /** Bytes. */
  size: number;
  /** The first bytes. */
  sample: Uint8Array;
}

/** A commit that was made. */
export interface MadeCommit {
  oid: string;
  url: string;
  pullRequestUrl: string | undefined;
}

export interface CommitText {
  title: string;
  description: string;
  /** Required head of the branch; any other head is `CONFLICT`. */
  parent: string | undefined;
}

/** The Hub accepts at most this many files per preupload call. */
const MAX_PREUPLOAD_FILES = 256;
/** Limit of a response: 256 paths with their results. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;
const COMMIT = /^[0-9a-f]{40}$/;
/** Multiple of the connect timeout: the server writes to git before it responds, which takes up to five minutes. */
const COMMIT_CONNECT_FACTOR = 15;
/** Number of recent commits among which a commit that may have been made is searched. */
const RECENT_COMMITS = 50;
/** Refusals of files that are stored, but that the Hub does not see yet. */
const NOT_SEEN_YET = /pointed to a file that does not exist|not found in xet storage|invalid file change/i;
/** Maximum number of retries after such a refusal, with doubling waits. */
const MAX_BEHIND = 4;

/** Calls of the Hub that write to a repository. */
export class HubWriter {
  readonly #http: Http;
  readonly #hub: HubClient;
  readonly #attempts: number;

  constructor(http: Http, hub: HubClient, attempts: number) {
    this.#http = http;
    this.#hub = hub;
    this.#attempts = attempts;
  }

  /** URL of a CAS write token. */
  tokenUrl({ repo, branch, createPr }: CommitTarget): string {
    return `${revisionUrl(this.#hub.endpoint, repo, 'xet-write-token', branch)}${createPr ? '?create_pr=1' : ''}`;
  }

  /** Preupload results of the files, in their order, and the head of the branch, if any. */
  async preupload(
    target: CommitTarget,
    files: readonly PreuploadFile[],
    gitIgnore: string | undefined,
    signal: AbortSignal,
  ): Promise<{ results: PreuploadResult[]; head: string | undefined }> {
    const results: PreuploadResult[] = [];
    let head: string | undefined;
    for (let at = 0; at < files.length; at += MAX_PREUPLOAD_FILES) {
      const asked = files.slice(at, at + MAX_PREUPLOAD_FILES);
      const question = {
        files: asked.map(({ path, size, sample }) => ({ path, size, sample: base64(sample) })),
        ...(gitIgnore !== undefined && { gitIgnore }),
      };
      const { body, url } = await this.#post(this.#actionUrl(target, 'preupload'), question, { signal });
      const { files: answers, commitOid } = isRecord(body) ? body : {};
      if (!Array.isArray(answers)) throw incomplete(url, 'how to upload the files');
      head = typeof commitOid === 'string' && COMMIT.test(commitOid) ? commitOid : head;
      const byPath = new Map(answers.filter(isRecord).map((answer) => [answer.path, answer]));
      for (const { path } of asked) results.push(preuploadResult(path, byPath.get(path), url));
    }
    return { results, head };
  }

  /**
   * Commits operations. After an unclear failure the commit is searched on the branch before it is retried, so that it is
   * not made twice.
   */
  async commit(
    target: CommitTarget,
    { title, description, parent }: CommitText,
    operations: readonly CommitLine[],
    head: string | undefined,
    signal: AbortSignal,
  ): Promise<MadeCommit> {
    const value = { summary: title, description, ...(parent !== undefined && { parentCommit: parent }) };
    const text = [JSON.stringify({ key: 'header', value }), ...operations.map(lineOf), ''].join('\n');
    const url = this.#actionUrl(target, 'commit');
    const largeFiles = operations.some(({ kind }) => kind === 'lfsFile');
    let behind = 0;
    for (let attempt = 1; ; attempt++) {
      try {
        const { body } = await this.#http.json(
          {
            kind: 'hub',
            url,
            method: 'POST',
            headers: { ...(await this.#hub.headers()), 'content-type': 'application/x-ndjson' },
            body: text,
            signal,
            attempts: 1,
            patience: { connect: COMMIT_CONNECT_FACTOR, sendBytes: text.length },
          },
          MAX_RESPONSE_BYTES,
        );
        return commitOf(body, url);
      } catch (error) {
        signal.throwIfAborted();
        if (!isXetError(error)) throw error;
        const { status = 0 } = error;
        if (status === 400 && largeFiles && NOT_SEEN_YET.test(error.serverMessage ?? '')) {
          if (++behind > MAX_BEHIND) throw notSeen(error);
          await this.#http.pause(behind, MAX_BEHIND + 1, behindFor(error, behind, this.#http.retry), 'hub', signal);
          continue;
        }
        if (status === 429 && !isWorthWaiting(error, attempt, this.#attempts)) throw limited(error);
        // Without a response, or after a server error, the commit may have been made.
        const unclear = status === 0 || status === 408 || status >= 500;
        if (!unclear && !error.retryable) throw error;
        // A second pull request could not be told from the first, so none is opened.
        if (unclear && target.createPr) throw maybeMade(error, 'Check the open pull requests before trying again.');
        const made = unclear ? await this.#find(target, title, operations, head, signal, error) : undefined;
        if (made) return made;
        if (attempt >= this.#attempts || !error.retryable) throw error;
        await this.#http.pause(attempt, this.#attempts, error, 'hub', signal);
      }
    }
  }

  /** The commit with this title and content on top of the known head, if it exists. */
  async #find(
    { repo, branch }: CommitTarget,
    title: string,
    operations: readonly CommitLine[],
    head: string | undefined,
    signal: AbortSignal,
    failure: XetError,
  ): Promise<MadeCommit | undefined> {
    const url = `${apiUrl(this.#hub.endpoint, repo, 'commits', branch)}?limit=${RECENT_COMMITS}`;
    try {
      const { body } = await this.#http.json(
        { kind: 'hub', url, headers: await this.#hub.headers(), signal },
        MAX_RESPONSE_BYTES,
      );
      for (const { id, title: given } of Array.isArray(body) ? body.filter(isRecord) : []) {
        if (typeof id !== 'string' || id === head) return undefined;
        if (given !== title || !(await this.#holds(repo, id, operations, signal))) continue;
        return { oid: id, url: `${this.#hub.endpoint}/${repoText(repo)}/commit/${id}`, pullRequestUrl: undefined };
      }
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      throw maybeMade(failure, `Check the commits of '${branch}' before trying again.`, error);
    }
  }

  /** True if a commit already contains the result of all operations. */
  async #holds(repo: RepoId, commit: string, operations: readonly CommitLine[], signal: AbortSignal): Promise<boolean> {
    const paths = operations.map(({ path }) => path);
    const entries = await pathsInfo(this.#hub, repo, commit, paths, signal);
    const there = new Map(entries.map((entry) => [entry.path, entry]));
    // The last of several operations on one path decides, such as a file that replaces a folder.
    return [...new Map(operations.map((operation) => [operation.path, operation])).values()].every((operation) => {
      const entry = there.get(operation.path);
      if ('id' in operation) return (entry?.sha256 ?? entry?.oid) === operation.id;
      return entry === undefined || (entry.type === 'directory') === (operation.kind === 'deletedFile');
    });
  }

  /** Validation errors and warnings of the Hub for the metadata of a model or dataset card. */
  async checkCard(
    type: RepoType,
    content: string,
    signal: AbortSignal,
  ): Promise<{ errors: string[]; warnings: string[] }> {
    const url = `${this.#hub.endpoint}/api/validate-yaml`;
    // The response to a card with errors is 200 or 400; the body lists the errors in both cases.
    const asked = await this.#posted(url, { content, repoType: type }, { signal, accept: [400] });
    const { body, reply } = await this.#http.json(asked, MAX_RESPONSE_BYTES);
    const texts = (value: unknown) =>
      (Array.isArray(value) ? value : []).flatMap((one) => {
        const text = isRecord(one) ? one.message : one;
        return typeof text === 'string' ? text : [];
      });
    const { errors, warnings } = isRecord(body) ? body : {};
    const found = { errors: texts(errors), warnings: texts(warnings) };
    if (reply.status === 400 && found.errors.length === 0) found.errors.push('The Hub gives no reason.');
    return found;
  }

  /** Creates a branch at a revision. Rejects with `CONFLICT` if it exists, unless it may be overwritten. */
  async createBranch(
    repo: RepoId,
    branch: string,
    options: { revision?: string | undefined; overwrite?: boolean | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    const { revision, overwrite } = options;
    const request = {
      ...(revision !== undefined && { startingPoint: revision }),
      ...(overwrite !== undefined && { overwrite }),
    };
    const url = apiUrl(this.#hub.endpoint, repo, 'branch', branch);
    await this.#http.exchange(await this.#posted(url, request, { signal }), async (reply) => reply.drop());
  }

  #actionUrl({ repo, branch, createPr }: CommitTarget, action: string): string {
    return `${apiUrl(this.#hub.endpoint, repo, action, branch)}${createPr ? '?create_pr=1' : ''}`;
  }

  async #post(url: string, request: unknown, rest: Partial<RequestSpec>): Promise<{ body: unknown; url: string }> {
    const { body } = await this.#http.json(await this.#posted(url, request, rest), MAX_RESPONSE_BYTES);
    return { body, url };
  }

  async #posted(url: string, request: unknown, rest: Partial<RequestSpec>): Promise<RequestSpec> {
    const headers = { ...(await this.#hub.headers()), 'content-type': 'application/json' };
    return { kind: 'hub', url, method: 'POST', headers, body: JSON.stringify(request), ...rest };
  }
}

function preuploadResult(path: string, answer: Record<string, unknown> | undefined, url: string): PreuploadResult {
  const { uploadMode, shouldIgnore, oid } = answer ?? {};
  if (uploadMode !== 'lfs' && uploadMode !== 'regular') throw incomplete(url, `how to upload '${path}'`);
  return {
    path,
    mode: uploadMode,
    ignored: shouldIgnore === true,
    presentId: typeof oid === 'string' ? oid : undefined,
  };
}

function commitOf(body: unknown, url: string): MadeCommit {
  const { commitOid, commitUrl, pullRequestUrl } = isRecord(body) ? body : {};
  if (typeof commitOid !== 'string' || !COMMIT.test(commitOid)) throw incomplete(url, 'the commit that it made');
  return {
    oid: commitOid,
    url: typeof commitUrl === 'string' ? commitUrl : '',
    pullRequestUrl: typeof pullRequestUrl === 'string' ? pullRequestUrl : undefined,
  };
}

function incomplete(url: string, wanted: string): XetError {
  return new XetError('PROTOCOL', `${publicUrl(url)} did not answer with ${wanted}.`, { url });
}

/** A limit without Retry-After is the hourly one, which no quick retry outlasts. */
function isWorthWaiting({ retryAfterMs }: XetError, attempt: number, attempts: number): boolean {
  if (attempt >= attempts) return false;
  return retryAfterMs === undefined ? attempt === 1 : retryAfterMs <= MAX_OBEYED_WAIT_MS;
}

/** The same error with the wait before the next attempt: 2, 4, 8 and 16 times the base delay. */
function behindFor(error: XetError, times: number, { baseDelayMs }: RetryPolicy): XetError {
  const { code, message, status, url, requestId, serverMessage } = error;
  const retryAfterMs = baseDelayMs * 2 ** times;
  return new XetError(code, message, { status, url, requestId, serverMessage, retryAfterMs, cause: error });
}

function notSeen(error: XetError): XetError {
  const { status, url, requestId, serverMessage } = error;
  return new XetError(
    'SERVER',
    `${error.message.replace(/The server did not understand the request\.$/, '')}All data is stored, but the Hub does not see it yet. ` +
      'Run the same upload again in a few minutes: nothing is sent twice.',
    { status, url, requestId, serverMessage, retryable: true, cause: error },
  );
}

function limited(error: XetError): XetError {
  const { status, url, requestId, serverMessage } = error;
  return new XetError(
    'RATE_LIMITED',
    `${error.message} The Hub limits how many commits an account makes in an hour. All data is stored: run the same ` +
      'upload again later, and nothing is sent twice.',
    { status, url, requestId, serverMessage, retryable: true, cause: error },
  );
}

function maybeMade(error: XetError, advice: string, cause: unknown = error): XetError {
  const { status, url, requestId } = error;
  return new XetError(error.code, `${error.message} The commit may have been made nevertheless. ${advice}`, {
    status,
    url,
    requestId,
    cause,
  });
}

/** Bytes in base64, encoded in pieces that fit the arguments of a call. */
export function base64(bytes: Uint8Array): string {
  const piece = 0x6000;
  let text = '';
  for (let at = 0; at < bytes.length; at += piece) text += btoa(String.fromCharCode(...bytes.subarray(at, at + piece)));
  return text;
}
