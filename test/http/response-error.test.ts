import { describe, expect, test } from 'vitest';
import type { XetErrorCode } from '../../src/core/errors.ts';
import type { UrlKind } from '../../src/core/metrics.ts';
import { isTransientStatus, responseError } from '../../src/http/response-error.ts';

const url = 'https://user:password@hub.test/owner/name/resolve/main/file?X-Amz-Signature=secret&token=hf_secret#part';
const kinds: UrlKind[] = ['hub', 'cas', 'xorb'];

const error = (status: number, kind: UrlKind, headers: Record<string, string> = {}, body: string | null = null) =>
  responseError(new Response(body, { status, headers }), { kind }, url);

/** What each status means where the Hub does not say more. */
const meaning: Record<number, XetErrorCode> = {
  400: 'PROTOCOL',
  401: 'UNAUTHORIZED',
  402: 'PROTOCOL',
  403: 'FORBIDDEN',
  404: 'ENTRY_NOT_FOUND',
  405: 'PROTOCOL',
  408: 'TIMEOUT',
  409: 'CONFLICT',
  410: 'PROTOCOL',
  412: 'CONFLICT',
  413: 'QUOTA',
  416: 'PROTOCOL',
  418: 'PROTOCOL',
  422: 'PROTOCOL',
  429: 'RATE_LIMITED',
  500: 'SERVER',
  501: 'UNSUPPORTED',
  502: 'SERVER',
  503: 'SERVER',
  504: 'SERVER',
  505: 'SERVER',
  507: 'QUOTA',
  599: 'SERVER',
};
const transient = [408, 429, 500, 502, 503, 504, 599];

describe('statuses', () => {
  for (const kind of kinds) {
    test.each(Object.keys(meaning).map(Number))(`${kind}: %i`, async (status) => {
      // An anonymous 401 of the Hub hides whether the repository exists.
      const code = kind === 'hub' && status === 401 ? 'REPOSITORY_NOT_FOUND' : meaning[status];
      expect(await error(status, kind)).toMatchObject({ code, status, retryable: transient.includes(status) });
    });
  }

  test('isTransientStatus says the same for all of them', () => {
    for (let status = 200; status < 600; status++) {
      const expected =
        status === 408 || status === 429 || (status >= 500 && ![501, 505, 506, 507, 508, 510, 511].includes(status));
      expect(isTransientStatus(status), String(status)).toBe(expected);
    }
  });
});

describe("the Hub's own codes", () => {
  test.each([
    ['RepoNotFound', [401, 404], 'REPOSITORY_NOT_FOUND'],
    ['RevisionNotFound', [404], 'REVISION_NOT_FOUND'],
    ['EntryNotFound', [404], 'ENTRY_NOT_FOUND'],
    ['GatedRepo', [401, 403], 'GATED'],
  ] as [string, number[], XetErrorCode][])('%s', async (hubCode, statuses, code) => {
    for (const status of statuses) {
      expect(await error(status, 'hub', { 'x-error-code': hubCode })).toMatchObject({ code, retryable: false });
      // Nobody else's header of that name counts.
      expect(await error(status, 'cas', { 'x-error-code': hubCode })).toMatchObject({ code: meaning[status] });
      expect(await error(status, 'xorb', { 'x-error-code': hubCode })).toMatchObject({ code: meaning[status] });
    }
  });

  test('an unknown code leaves the status to decide', async () => {
    expect(await error(404, 'hub', { 'x-error-code': 'SomethingNew' })).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
  });

  test('401 with no code: a missing repository, unless the Hub says that the token is bad', async () => {
    const anonymous = await error(401, 'hub', {}, '{"error":"Invalid username or password."}');
    expect(anonymous).toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
    const header = { 'x-error-message': 'Invalid credentials in Authorization header' };
    expect(await error(401, 'hub', header)).toMatchObject({ code: 'UNAUTHORIZED' });
    const body = '{"error":"Invalid credentials in Authorization header"}';
    expect(await error(401, 'hub', {}, body)).toMatchObject({ code: 'UNAUTHORIZED' });
  });
});

describe('what the server says', () => {
  test.each([
    [{ 'x-error-message': 'From the header' }, '{"error":"From the body"}', 'From the header'],
    [{}, '{"error":"From the body"}', 'From the body'],
    [{}, '{"message":"From the body"}', 'From the body'],
    [{}, '{"error_description":"From the body"}', 'From the body'],
    [{}, 'Plain\n   text', 'Plain text'],
  ] as [Record<string, string>, string, string][])('%j with body %j', async (headers, body, said) => {
    expect((await error(404, 'hub', headers, body)).message).toContain(`("${said}")`);
  });

  test.each([
    '<html><body>Gateway</body></html>',
    '  <?xml version="1.0"?><Error/>',
    '{"error":{"nested":1}}',
    '[]',
    '',
  ])('%j says nothing that is worth showing', async (body) => {
    const { message } = await error(500, 'hub', {}, body);
    expect(message).toBe(
      'https://hub.test/owner/name/resolve/main/file answered 500. The server failed; try again later.',
    );
  });

  test('a long explanation is cut, and a body without end is not read to its end', async () => {
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(1024).fill(97)),
      cancel: () => {
        cancelled = true;
      },
    });
    const { message } = await responseError(new Response(endless, { status: 500 }), { kind: 'hub' }, url);
    expect(message.length).toBeLessThan(500);
    expect(cancelled).toBe(true);
  });

  test('a body that breaks off still gives the error of the status', async () => {
    const broken = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode('half'));
      },
      pull: (controller) => controller.error(new Error('reset')),
    });
    expect(await responseError(new Response(broken, { status: 404 }), { kind: 'cas' }, url)).toMatchObject({
      code: 'ENTRY_NOT_FOUND',
    });
  });

  test('names the request, so that it can be reported', async () => {
    expect(await error(500, 'cas', { 'x-request-id': 'r-1', 'x-amz-cf-id': 'c-1' })).toMatchObject({
      requestId: 'r-1',
    });
    expect(await error(500, 'xorb', { 'x-amz-cf-id': 'c-1' })).toMatchObject({ requestId: 'c-1' });
  });

  test('carries the wait that was asked for', async () => {
    expect(await error(429, 'hub', { 'retry-after': '9' })).toMatchObject({ retryAfterMs: 9000 });
    expect(await error(429, 'hub')).toMatchObject({ retryAfterMs: undefined });
  });
});

describe('secrets', () => {
  test.each(kinds.flatMap((kind) => [401, 403, 404, 429, 500].map((status) => [kind, status] as const)))(
    '%s %i shows no query and no credentials',
    async (kind, status) => {
      const { message, url: shown, stack } = await error(status, kind);
      for (const text of [message, shown, stack]) {
        expect(text).not.toContain('secret');
        expect(text).not.toContain('password');
      }
    },
  );

  // Servers like to quote what they were sent, and that is just what must not be in a log.
  test.each([
    ['a header', { 'x-error-message': `Request has expired: ${url}` }, ''],
    ['JSON', {}, JSON.stringify({ error: `Signature mismatch for ${url}` })],
    ['text', {}, `No such key at ${url}`],
  ] as [string, Record<string, string>, string][])(
    'an address quoted in %s shows no signature',
    async (_, headers, body) => {
      expect((await error(403, 'xorb', headers, body)).message).not.toContain('secret');
    },
  );

  test('a Hub token that is quoted is not shown', async () => {
    const { message } = await error(
      401,
      'hub',
      {},
      '{"error":"Invalid credentials: Bearer hf_abcdefghijklmnopqrstuvwxyz"}',
    );
    expect(message).not.toContain('hf_abcdefghijklmnopqrstuvwxyz');
  });
});
