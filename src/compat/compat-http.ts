import { publicId, publicText, publicUrl, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import { withoutSecrets } from '../core/secrets.ts';
import { DEFAULT_TIMEOUTS, Http } from '../http/http.ts';
import { LIST_JSON_BYTES, readJson } from '../http/json.ts';
import { networkFetch } from '../http/network-fetch.ts';
import { DEFAULT_RETRY } from '../http/retry-timing.ts';
import type { Reply } from '../http/types.ts';
import { onEndpoint, parseLinks } from '../hub/links.ts';
import { pagesOf } from '../hub/pages.ts';
import { apiError, InvalidApiResponseFormatError } from './errors.ts';
import { type Access, type HubParams, tokenOf } from './types.ts';

/** Default endpoint of `@huggingface/hub`. */
export const HUB_URL = 'https://huggingface.co';

export type RequestParams = HubParams & Access & { signal?: AbortSignal };

export interface HubQuestion {
  url: string;
  method?: 'GET' | 'HEAD' | 'POST' | 'DELETE';
  headers?: Record<string, string>;
  /** Sent as JSON. */
  json?: unknown;
}

/** Refusals that no second attempt cures: these are taken in here, with all that they say. */
const REFUSALS = [...Array.from({ length: 100 }, (_, index) => 400 + index), 501, 505].filter(
  (status) => status !== 408 && status !== 429,
);
const REFUSAL_LIMIT_BYTES = 64 * 1024;

export function hubUrlOf({ hubUrl = HUB_URL }: HubParams): string {
  if (!/^https?:\/\//.test(hubUrl)) {
    throw new XetError('INVALID_ARGUMENT', `hubUrl is no http(s) address: '${hubUrl}'`);
  }
  return hubUrl.replace(/\/+$/, '');
}

/** Hub requests of calls that fetch no content, with the usual retries and limits. */
export class CompatHttp {
  readonly hubUrl: string;
  readonly #http: Http;
  readonly #token: string | undefined;
  readonly #signal: AbortSignal | undefined;

  constructor(params: RequestParams) {
    this.hubUrl = hubUrlOf(params);
    this.#token = tokenOf(params);
    this.#signal = params.signal;
    this.#http = new Http({ fetch: params.fetch ?? networkFetch, timeouts: DEFAULT_TIMEOUTS, retry: DEFAULT_RETRY });
  }

  get http(): Http {
    return this.#http;
  }

  readonly accessToken = async (): Promise<string | undefined> => this.#token;

  /** The answer's head; its body is dropped. A refusal throws, unless its status is one of `expected`. */
  async head(question: HubQuestion, expected: readonly number[] = []): Promise<Reply> {
    return this.#exchange(question, expected, async (reply) => {
      reply.drop();
      return reply;
    });
  }

  /** The answer as JSON. */
  async json(question: HubQuestion): Promise<{ body: unknown; reply: Reply }> {
    return this.#exchange(question, [], async (reply) => ({
      body: await readJson(reply, LIST_JSON_BYTES),
      reply,
    }));
  }

  /** The answer, taken in by its caller. */
  async take<T>(question: HubQuestion, expected: readonly number[], takeIn: (reply: Reply) => Promise<T>): Promise<T> {
    return this.#exchange(question, expected, takeIn);
  }

  async #exchange<T>(
    question: HubQuestion,
    expected: readonly number[],
    takeIn: (reply: Reply) => Promise<T>,
  ): Promise<T> {
    const { url, method = 'GET', headers, json } = question;
    const spec = {
      kind: 'hub' as const,
      url,
      method,
      headers: {
        ...headers,
        ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        ...(json !== undefined && { 'content-type': 'application/json' }),
      },
      ...(json !== undefined && { body: JSON.stringify(json) }),
      signal: this.#signal,
      accept: REFUSALS,
    };
    return this.#http.exchange(spec, async (reply) => {
      const fine = reply.status < 400 || expected.includes(reply.status);
      if (!fine) throw await refusal(reply, url);
      return takeIn(reply);
    });
  }

  /** Throws what an answer refuses with, for callers that look at it before. */
  async refuse(reply: Reply, asked: string): Promise<never> {
    throw await refusal(reply, asked);
  }

  /** The pages of a list, of which `itemsOf` reads one. */
  pages<T>(first: string, itemsOf: (body: unknown, url: string) => T[]): AsyncGenerator<T[], void, undefined> {
    const ask = async (url: string) => {
      const { body, reply } = await this.json({ url, headers: { accept: 'application/json' } });
      const next = onEndpoint(this.hubUrl, parseLinks(reply.headers.get('link')).next, url);
      return { items: itemsOf(body, url), next };
    };
    return pagesOf(first, ask, (what, url) => new InvalidApiResponseFormatError(`${publicUrl(url)} ${what}`));
  }
}

async function refusal(reply: Reply, asked: string): Promise<Error> {
  const text = withoutSecrets(await reply.text(REFUSAL_LIMIT_BYTES));
  const { headers, status } = reply;
  const body = headers.get('content-type')?.startsWith('application/json') ? tryParse(text) : undefined;
  const said = publicText(headers.get('x-error-message') ?? text);
  const data = isRecord(body) ? (body as Record<string, string>) : { message: said };
  return apiError(reply.url || asked, status, { requestId: publicId(headers.get('x-request-id')), data });
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
