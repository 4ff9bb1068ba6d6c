import { expect, test } from 'vitest';
import { nodeFetch } from '../../src/http/network-fetch.node.ts';
import { rejectionOf } from '../support/property.ts';
import { inTurn, makeHttp, serve, status } from './server.ts';

const token = { authorization: 'Bearer hf_x' };
const json = (error: unknown) => JSON.stringify({ error });

interface Refusal {
  status: number;
  headers?: Record<string, string>;
  body?: string;
  sent?: Record<string, string>;
  method?: string;
}

/** Answers as the Hub, mirrors and proxies are known to give them, and what they mean. */
test.each<[string, Refusal, { code: string; says: RegExp; not?: RegExp }]>([
  [
    'no such repository, anonymous',
    {
      status: 401,
      headers: { 'x-error-message': 'Invalid username or password.' },
      body: json('Invalid username or password.'),
    },
    { code: 'REPOSITORY_NOT_FOUND', says: /private/ },
  ],
  [
    'no such repository, with a token',
    {
      status: 404,
      headers: { 'x-error-code': 'RepoNotFound', 'x-error-message': 'Repository not found' },
      sent: token,
    },
    { code: 'REPOSITORY_NOT_FOUND', says: /name/ },
  ],
  [
    'a wrong token',
    { status: 401, headers: { 'x-error-message': 'Invalid credentials in Authorization header' }, sent: token },
    { code: 'UNAUTHORIZED', says: /HF_TOKEN/ },
  ],
  [
    'an expired token',
    {
      status: 401,
      headers: { 'x-error-message': 'User Access Token "NAME" is expired' },
      body: json('User Access Token "NAME" is expired'),
      sent: token,
    },
    { code: 'UNAUTHORIZED', says: /expired/ },
  ],
  [
    'a disabled repository',
    { status: 403, headers: { 'x-error-message': 'Access to this resource is disabled.' } },
    { code: 'FORBIDDEN', says: /disabled by the Hub/, not: /token|writ/ },
  ],
  ['reading without a right', { status: 403, sent: token }, { code: 'FORBIDDEN', says: /may not read/, not: /writ/ }],
  ['reading without a token', { status: 403 }, { code: 'FORBIDDEN', says: /HF_TOKEN/, not: /writ/ }],
  [
    'writing without a right',
    {
      status: 403,
      method: 'POST',
      headers: { 'x-error-message': 'Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request' },
      sent: token,
    },
    { code: 'FORBIDDEN', says: /may write/ },
  ],
  [
    'storage, as 403',
    {
      status: 403,
      body: json(
        'Private repository storage limit reached, please upgrade your plan to increase your private storage limit',
      ),
    },
    { code: 'QUOTA', says: /storage/ },
  ],
  [
    'storage, as 400',
    {
      status: 400,
      method: 'POST',
      body: json(
        'Private repository storage limit reached, please upgrade your plan to increase your private storage limit',
      ),
    },
    { code: 'QUOTA', says: /storage/ },
  ],
  [
    'a branch that moved',
    { status: 412, method: 'POST', body: json('A commit has happened since. Please refresh and try again.') },
    { code: 'CONFLICT', says: /refresh/ },
  ],
  [
    'a list of words',
    { status: 400, body: json(['a is required', 'b is wrong']) },
    { code: 'PROTOCOL', says: /a is required; b is wrong/ },
  ],
  [
    'a list of errors, by JFrog',
    { status: 404, body: '{"errors":[{"status":404,"message":"Not Found in remote"}]}' },
    { code: 'ENTRY_NOT_FOUND', says: /Not Found in remote/ },
  ],
  [
    'a detail, by FastAPI',
    { status: 404, body: '{"detail":"no such route"}' },
    { code: 'ENTRY_NOT_FOUND', says: /no such route/ },
  ],
  ['a blocked country', { status: 451 }, { code: 'FORBIDDEN', says: /legal/ }],
  [
    'a challenge',
    {
      status: 403,
      headers: { 'cf-mitigated': 'challenge', 'content-type': 'text/html' },
      body: '<!DOCTYPE html><html>Just a moment</html>',
    },
    { code: 'FORBIDDEN', says: /wants to see a browser/, not: /token|Just a moment/ },
  ],
  [
    "a company's block page",
    { status: 403, headers: { 'content-type': 'text/html' }, body: '<html>Blocked by policy</html>' },
    { code: 'FORBIDDEN', says: /proxy or firewall/, not: /token|Blocked/ },
  ],
  ['a network that wants a login', { status: 511, body: '<html>' }, { code: 'NETWORK', says: /login/ }],
])('%s', async (_, refusal, expected) => {
  const handler = inTurn(status(refusal.status, refusal.headers, refusal.body));
  const url = `${await serve(handler)}/owner/name/resolve/main/file`;
  const { method, sent } = refusal;
  const http = makeHttp({ fetch: nodeFetch });
  const error = await rejectionOf(
    http.send({ kind: 'hub', url, ...(method && { method }), ...(sent && { headers: sent }) }),
  );
  expect(error).toMatchObject({ code: expected.code, status: refusal.status, retryable: false, url });
  expect((error as Error).message).toMatch(expected.says);
  if (expected.not) expect((error as Error).message.replace(url, '')).not.toMatch(expected.not);
  expect(handler.requests).toHaveLength(1);
});

test.each([
  ['us.gcp.cdn.hf.co', 'Auth failed: SignatureError: invalid key pair id'],
  ['us.aws.cdn.hf.co', 'Auth failed: invalid range'],
  ['one backend', 'Invalid Range Specified'],
])('the refusal of a CDN, as of %s', async (_, body) => {
  const url = await serve(status(403, {}, body));
  const error = await rejectionOf(
    makeHttp({ fetch: nodeFetch }).send({ kind: 'xorb', url: `${url}/xorbs/default/x?Policy=p&Signature=s` }),
  );
  expect(error).toMatchObject({ code: 'FORBIDDEN', serverMessage: body, url: `${url}/xorbs/default/x` });
});
