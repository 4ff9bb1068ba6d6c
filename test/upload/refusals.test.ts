import { describe, expect, test } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import type { RetryNotice } from '../../src/http/types.ts';
import { type Passed, startMirror, type Told, told } from '../support/mirror.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const small = { path: 'a.txt', content: new TextEncoder().encode('a') };
const large = { path: 'a.bin', content: randomBytes(1_500_000, 70) };

/** A Hub behind a server that answers some requests itself. */
async function station(instead: (asked: Passed) => Told | undefined, options: XetClientOptions = {}) {
  const hub = await sourceHub();
  await hub.createRepo(repo);
  const mirror = await startMirror(hub.url, { instead });
  const retries: RetryNotice[] = [];
  const client = sourceClient(
    { ...hub, url: mirror.url },
    { accessToken: 'hf_local', onRetry: (notice) => retries.push(notice), ...options },
  );
  const commits = () => mirror.passed.filter(({ path }) => path.includes('/commit/'));
  return { hub, client, mirror, retries, commits };
}

/** Refuses the first few commits. */
function refusing(times: number, refusal: Told) {
  return ({ path }: Passed) => (path.includes('/commit/') && times-- > 0 ? refusal : undefined);
}

describe('a Hub that does not see the stored data yet', () => {
  const words = [
    'Your push was rejected because an LFS pointer pointed to a file that does not exist: a.bin',
    'The object was not found in Xet storage',
    'Invalid file change: a.bin',
  ];
  test.each(words)('the commit is retried with doubling waits (%s)', async (error) => {
    const { client, retries, commits } = await station(refusing(3, told(400, { error })));
    const { files } = await client.upload({ repo, files: large });
    expect(files).toMatchObject([{ status: 'uploaded' }]);
    expect(commits()).toHaveLength(4);
    const delays = retries.map(({ delayMs }) => delayMs);
    // The policy of the tests begins with a millisecond, where the usual one has half a second.
    for (const [at, delayMs] of delays.entries()) expect(delayMs).toBeGreaterThanOrEqual(2 ** (at + 1));
    expect(retries.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  });

  test('a persistent refusal is reported, and the next upload sends nothing again', async () => {
    const lag = told(400, { error: words[0] });
    const { client, hub, commits } = await station(refusing(5, lag));
    const error = await rejectionOf(client.upload({ repo, files: large }));
    expect(error).toMatchObject({ code: 'SERVER', status: 400, retryable: true });
    expect((error as Error).message).toMatch(/stored.*again.*nothing is sent twice/);
    expect((error as Error).message).not.toContain('did not understand');
    expect(commits()).toHaveLength(5);
    hub.resetRequests();
    await client.upload({ repo, files: large });
    expect(hub.requests.filter(({ kind }) => kind === 'xorb-upload')).toEqual([]);
  });

  test('commits of small files, and commits refused for another reason, are not retried', async () => {
    const first = await station(refusing(9, told(400, { error: words[2] })));
    expect(await rejectionOf(first.client.upload({ repo, files: small }))).toMatchObject({ code: 'PROTOCOL' });
    expect(first.commits()).toHaveLength(1);
    const second = await station(refusing(9, told(400, { error: 'A file name is not allowed' })));
    expect(await rejectionOf(second.client.upload({ repo, files: large }))).toMatchObject({ code: 'PROTOCOL' });
    expect(second.commits()).toHaveLength(1);
  });
});

describe('the hourly limit of commits', () => {
  test('a limit without Retry-After is reported after one more attempt', async () => {
    const { client, commits } = await station(refusing(9, told(429, { error: 'Too many commits' })));
    const error = await rejectionOf(client.upload({ repo, files: small }));
    expect(error).toMatchObject({ code: 'RATE_LIMITED', status: 429, retryable: true });
    expect((error as Error).message).toMatch(/limits how many commits.*hour.*again later/);
    expect(commits()).toHaveLength(2);
  });

  test('a limit of more than a few minutes is reported at once', async () => {
    const hour = told(429, { error: 'Too many commits' }, { 'retry-after': '3600' });
    const { client, commits } = await station(refusing(9, hour));
    const error = await rejectionOf(client.upload({ repo, files: small }));
    expect(error).toMatchObject({ code: 'RATE_LIMITED', message: expect.stringContaining('nothing is sent twice') });
    expect(commits()).toHaveLength(1);
  });

  test('a short Retry-After is obeyed', async () => {
    const { client, commits } = await station(refusing(4, told(429, { error: 'Slow' }, { 'retry-after': '0' })));
    expect((await client.upload({ repo, files: small })).commits).toHaveLength(1);
    expect(commits()).toHaveLength(5);
  });
});

describe('a server without Xet', () => {
  test.each<[string, Told]>([
    ['404', told(404, { error: 'no such route' })],
    ['405', told(405, { error: 'Method not allowed' })],
    ['501', told(501, {})],
    ['a page', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
    ['JSON of another kind', told(200, { token: 'x' })],
  ])('a server without Xet is reported as such (%s), and accepts small files', async (_, answer) => {
    const { client, commits } = await station(({ path }) => (path.includes('/xet-write-token/') ? answer : undefined));
    const error = await rejectionOf(client.upload({ repo, files: [large, small] }));
    expect(error).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('does not accept uploads over Xet'),
    });
    expect(commits()).toEqual([]);
    await client.upload({ repo, files: small });
    expect(commits()).toHaveLength(1);
  });

  test('a server that refuses a token is not reported as one without Xet', async () => {
    const { client } = await station(({ path }) =>
      path.includes('/xet-write-token/') ? told(403, { error: 'no' }) : undefined,
    );
    expect(await rejectionOf(client.upload({ repo, files: large }))).toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('without an access token', () => {
  test.each([401, 403])('a refusal without a token says to set one (%i)', async (status) => {
    const { client } = await station(
      ({ path }) =>
        path.includes('/preupload/') ? told(status, { error: 'Invalid username or password.' }) : undefined,
      { accessToken: '' },
    );
    const error = await rejectionOf(client.upload({ repo, files: small }));
    expect(error).toMatchObject({ code: 'UNAUTHORIZED', status });
    expect((error as Error).message).toMatch(/HF_TOKEN/);
  });

  test('the local Hub refuses uploads and deletions without a token', async () => {
    const hub = await sourceHub({ tokens: { hf_writer: { name: 'owner', write: true } }, openWrites: false });
    await hub.createRepo(repo);
    const client = sourceClient(hub);
    for (const call of [client.upload({ repo, files: small }), client.deleteFiles({ repo, paths: 'a' })]) {
      expect(await rejectionOf(call)).toMatchObject({
        code: 'UNAUTHORIZED',
        message: expect.stringContaining('HF_TOKEN'),
      });
    }
  });

  test('a refusal with a token does not say to set one', async () => {
    const { client } = await station(({ path }) =>
      path.includes('/preupload/') ? told(403, { error: 'no' }) : undefined,
    );
    const error = await rejectionOf(client.upload({ repo, files: small }));
    expect(error).toMatchObject({ code: 'FORBIDDEN' });
    expect((error as Error).message).not.toContain('there is none');
  });
});
