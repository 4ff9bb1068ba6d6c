import { describe, expect, test } from 'vitest';
import type { XetClient } from '../../src/client/xet-client.ts';
import type { CreateRepoOptions } from '../../src/upload/upload-backend.ts';
import { startMirror, type Told, told } from '../support/mirror.ts';
import { rejectionOf } from '../support/property.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/new';
const BUSY = { error: 'Cannot create repo: another conflicting operation is in progress' };

/** A Hub behind a server that answers the first questions to create a repository by itself. */
async function station(...refusals: Told[]) {
  const hub = await sourceHub();
  const mirror = await startMirror(hub.url, {
    instead: ({ path }) => (path === '/api/repos/create' ? refusals.shift() : undefined),
  });
  const client = sourceClient({ ...hub, url: mirror.url }, { accessToken: 'hf_local' });
  const bodies = () =>
    mirror.passed.filter(({ path }) => path === '/api/repos/create').map(({ body }) => JSON.parse(body));
  return { hub, mirror, client, bodies };
}

/** Whether the Hub shows a repository to whoever asks without a token. */
const isPublic = async (url: string, path = `models/${repo}`) => (await fetch(`${url}/api/${path}`)).status === 200;

describe('the visibility of a new repository', () => {
  test.each<[string, Partial<CreateRepoOptions>, Record<string, unknown>]>([
    ['is not sent where none was asked for', {}, {}],
    ['is sent as it was given', { visibility: 'private' }, { visibility: 'private' }],
    ['can be public', { visibility: 'public' }, { visibility: 'public' }],
    ['is private with the older option', { private: true }, { visibility: 'private' }],
    ['is public with the older option', { private: false }, { visibility: 'public' }],
    [
      'comes with a region and a resource group',
      { visibility: 'private', region: 'eu', resourceGroupId: '66670e5163145ca562cb1988' },
      { visibility: 'private', region: 'eu', resourceGroupId: '66670e5163145ca562cb1988' },
    ],
  ])('%s', async (_, options, sent) => {
    const { client, bodies } = await station();
    await client.createRepo({ repo, ...options });
    expect(bodies()).toEqual([{ name: 'new', organization: 'owner', type: 'model', ...sent }]);
  });

  test('of a space can be protected, and a space has an sdk', async () => {
    const { client, bodies } = await station();
    await client.createRepo({ repo: 'spaces/owner/a' });
    await client.createRepo({ repo: 'spaces/owner/b', sdk: 'static', visibility: 'protected' });
    expect(bodies()).toEqual([
      { name: 'a', organization: 'owner', type: 'space', sdk: 'gradio' },
      { name: 'b', organization: 'owner', type: 'space', sdk: 'static', visibility: 'protected' },
    ]);
  });

  test.each<[string, Partial<CreateRepoOptions>]>([
    ['a protected model', { visibility: 'protected' }],
    ['an unknown visibility', { visibility: 'secret' as 'private' }],
    ['two visibilities', { visibility: 'public', private: true }],
    ['the sdk of a model', { sdk: 'gradio' }],
  ])('%s is refused before anything is asked', async (_, options) => {
    const { client, mirror } = await station();
    expect(await rejectionOf(client.createRepo({ repo, ...options }))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(mirror.passed).toEqual([]);
  });
});

describe('a repository that exists', () => {
  test.each<[string, Told]>([
    ['its name is taken', told(409, { error: 'You already created this model repo' })],
    ['a Hub of another kind says so', told(400, { error: 'Repository exists' }, { 'x-error-code': 'RepoExists' })],
    ['the token may write to it and create none', told(403, { error: 'no rights' })],
    ['the token of a workflow may create none', told(401, { error: 'no rights' })],
    ['a new one would have to be paid for', told(402, { error: 'Payment required' })],
  ])('is used with existOk where %s', async (_, refusal) => {
    const { hub, client, mirror } = await station(refusal);
    await hub.createRepo(repo);
    expect(await client.createRepo({ repo, existOk: true })).toEqual({ url: `${mirror.url}/${repo}`, created: false });
  });

  test.each([401, 402, 403])('is not assumed after %i: one that is not there is an error', async (status) => {
    const { client } = await station(told(status, { error: 'no rights' }));
    expect(await rejectionOf(client.createRepo({ repo, existOk: true }))).toMatchObject({
      status,
      message: expect.stringContaining('no rights'),
    });
  });

  test.each([403, 409])('is CONFLICT or refused without existOk (%i)', async (status) => {
    const { hub, client, mirror } = await station(told(status, { error: 'no' }));
    await hub.createRepo(repo);
    expect(await rejectionOf(client.createRepo({ repo }))).toMatchObject({
      code: status === 409 ? 'CONFLICT' : 'FORBIDDEN',
    });
    expect(mirror.passed).toHaveLength(1);
  });

  test('and is public is no private one, whatever existOk says', async () => {
    const { hub, client } = await station();
    await hub.createRepo(repo);
    const error = await rejectionOf(client.createRepo({ repo, visibility: 'private', existOk: true }));
    expect(error).toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('is public') });
    await hub.createRepo('owner/hidden', { private: true });
    const hidden = { repo: 'owner/hidden', visibility: 'private', existOk: true } as const;
    expect(await client.createRepo(hidden)).toMatchObject({ created: false });
  });
});

describe('a Hub that is busy with another repository', () => {
  test('is asked again, and does not pass for one that has the repository', async () => {
    const { hub, client, bodies } = await station(told(409, BUSY), told(409, BUSY));
    expect(await client.createRepo({ repo, existOk: true, private: true })).toMatchObject({ created: true });
    expect(bodies()).toHaveLength(3);
    expect(await isPublic(hub.url)).toBe(false);
  });

  test('for too long is said to be busy', async () => {
    const { client } = await station(...Array.from({ length: 9 }, () => told(409, BUSY)));
    expect(await rejectionOf((client as XetClient).createRepo({ repo, existOk: true }))).toMatchObject({
      code: 'CONFLICT',
      retryable: true,
      message: expect.stringContaining('busy'),
    });
  });
});
