import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { XetClient } from 'xetkit';
import { endpointOf, isOffline, timeoutsOf, tokenOf } from '../../src/client/environment.node.ts';
import { checkEndpoint } from '../../src/client/options.ts';
import { hubCacheDir, hubHome, isTrue } from '../../src/fs/env-folders.node.ts';
import { scratch } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';

type Environment = Record<string, string | undefined>;

const invalid = (message: RegExp) =>
  expect.objectContaining({ code: 'INVALID_ARGUMENT', retryable: false, message: expect.stringMatching(message) });
const thrownBy = (step: () => unknown): unknown => {
  try {
    return { value: step() };
  } catch (error) {
    return error;
  }
};

describe('the token', () => {
  const withFile = async (content: string | Uint8Array, env: Environment = {}) => {
    const home = await scratch();
    await writeFile(join(home, 'token'), content);
    return { HF_HOME: home, ...env };
  };

  test.each<[string, string | Uint8Array, Environment, string | undefined]>([
    ['HF_TOKEN comes first', 'hf_file', { HF_TOKEN: 'hf_a', HUGGING_FACE_HUB_TOKEN: 'hf_b' }, 'hf_a'],
    [
      'an empty HF_TOKEN leaves it to the older variable',
      'hf_file',
      { HF_TOKEN: '', HUGGING_FACE_HUB_TOKEN: 'hf_b' },
      'hf_b',
    ],
    ['a blank one leaves it to the file', 'hf_file', { HF_TOKEN: ' \n', HUGGING_FACE_HUB_TOKEN: '\t' }, 'hf_file'],
    ['line breaks and blanks around it are dropped', '', { HF_TOKEN: ' hf_a\r\n' }, 'hf_a'],
    ['line breaks in it are dropped, as by other clients', '', { HF_TOKEN: 'hf_go\nod' }, 'hf_good'],
    ['a file may end as Windows ends lines', 'hf_file\r\n', {}, 'hf_file'],
    ['a file may begin with a byte order mark', '\ufeffhf_file\n', {}, 'hf_file'],
    ['an empty file is no token', '\n', {}, undefined],
    [
      'HF_HUB_DISABLE_IMPLICIT_TOKEN leaves out all of them',
      'hf_file',
      { HF_TOKEN: 'hf_a', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
      undefined,
    ],
    ['HF_HUB_DISABLE_IMPLICIT_TOKEN=0 does not', 'hf_file', { HF_HUB_DISABLE_IMPLICIT_TOKEN: '0' }, 'hf_file'],
  ])('%s', async (_, file, env, token) => {
    expect(await tokenOf(await withFile(file, env))).toBe(token);
  });

  test('HF_TOKEN_PATH may begin with ~ and hold variables', async () => {
    const name = `.xetkit-test-token-${process.pid}`;
    const path = join(homedir(), name);
    await writeFile(path, 'hf_home');
    onTestFinished(() => import('node:fs/promises').then(({ rm }) => rm(path)));
    expect(await tokenOf({ HF_TOKEN_PATH: `~/${name}` })).toBe('hf_home');
    expect(await tokenOf({ HF_TOKEN_PATH: '$FOLDER/token', FOLDER: (await withFile('hf_x')).HF_HOME })).toBe('hf_x');
  });

  test('a file that is not there is no token, and one that cannot be read is an error that names it', async () => {
    const home = await scratch();
    expect(await tokenOf({ HF_HOME: join(home, 'none') })).toBeUndefined();
    expect(await tokenOf({ HF_HOME: '/dev/null' })).toBeUndefined();
    await mkdir(join(home, 'token'));
    const error = await rejectionOf(tokenOf({ HF_HOME: home }));
    expect(error).toEqual(invalid(/^The token file \S+\/token cannot be read: EISDIR\./));
  });

  test.each(['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'])(
    '%s that no header can carry is named, and not shown',
    async (name) => {
      const error = await rejectionOf(tokenOf({ [name]: 'hf_sec…ret', HF_HOME: await scratch() }));
      expect(error).toEqual(invalid(new RegExp(`^The access token in ${name} has characters`)));
      expect(String(error)).not.toContain('ret”');
      expect((error as Error).message).not.toContain('hf_sec');
    },
  );

  test('a file in UTF-16 is named', async () => {
    const env = await withFile(new Uint8Array(Buffer.from('\ufeffhf_file', 'utf16le')));
    expect(await rejectionOf(tokenOf(env))).toEqual(invalid(/in the token file \S+ has characters/));
  });

  test('whatever the variables hold, what is sent is plain text or nothing', async () => {
    const home = await scratch();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
        const token = await tokenOf({ HF_TOKEN: text, HF_HOME: home }).catch((error) => {
          expect(error).toEqual(invalid(/HF_TOKEN/));
        });
        if (token !== undefined) expect(token).toMatch(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/);
      }),
      { seed: 41, numRuns: 500 },
    );
  });

  test.each([
    ['an option', 'hf_\u0000'],
    ['a function', async () => 'hf_…'],
  ])('%s that no header can carry is refused before anything is sent', async (_, accessToken) => {
    let asked = 0;
    const fetch = async () => {
      asked++;
      return new Response('{}');
    };
    await using client = new XetClient({ endpoint: 'http://hub.invalid', accessToken, fetch });
    expect(await rejectionOf(client.fileInfo({ repo: 'o/r', path: 'a' }))).toEqual(
      invalid(/in accessToken has characters/),
    );
    expect(asked).toBe(0);
  });
});

describe('waiting for servers', () => {
  test.each<[Environment, object]>([
    [{}, {}],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: '60' }, { connectMs: 60_000, stallMs: 60_000 }],
    [{ HF_HUB_ETAG_TIMEOUT: '86400' }, { connectMs: 86_400_000, hubMs: 86_400_000 }],
    [
      { HF_HUB_DOWNLOAD_TIMEOUT: ' 60 ', HF_HUB_ETAG_TIMEOUT: '2.5' },
      { connectMs: 60_000, stallMs: 60_000, hubMs: 2500 },
    ],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: '', HF_HUB_ETAG_TIMEOUT: '0' }, {}],
  ])('%j', (env, timeouts) => expect(timeoutsOf(env)).toEqual(timeouts));

  test.each(['-1', '10s', 'soon', 'Infinity', '1e3', '99999999'])('%s is refused, naming the variable', (text) => {
    for (const name of ['HF_HUB_DOWNLOAD_TIMEOUT', 'HF_HUB_ETAG_TIMEOUT']) {
      expect(thrownBy(() => timeoutsOf({ [name]: text }))).toEqual(invalid(new RegExp(`^${name} is '${text}'`)));
    }
  });
});

describe('the endpoint', () => {
  test.each<[string, string]>([
    ['localhost:8088', 'http://localhost:8088'],
    ['hub:8080', 'http://hub:8080'],
    ['10.0.0.1:80/hf/', 'http://10.0.0.1:80/hf'],
    ['huggingface.co', 'https://huggingface.co'],
    ['"http://hub:8080"', 'http://hub:8080'],
    ["'http://hub:8080'", 'http://hub:8080'],
    ['http://hub:8080\n', 'http://hub:8080'],
    [' http://hub:8080', 'http://hub:8080'],
    ['http://us:pass word@hub', 'it as in https://huggingface.co'],
    ['ftp://hub', 'it as in https://huggingface.co'],
    ['http://', 'it as in https://huggingface.co'],
    ['http://hub/?a=b', 'it as in https://huggingface.co'],
    ['http://hub:99999', 'it as in https://huggingface.co'],
    ['undefined', 'https://undefined'],
  ])('%j is refused, as a variable and as an option, with what was probably meant', (text, meant) => {
    const error = thrownBy(() => endpointOf({ HF_ENDPOINT: text })) as Error;
    expect(error).toEqual(invalid(/^HF_ENDPOINT is not the address of a Hub: /));
    expect(error.message.endsWith(` Write ${meant}.`), error.message).toBe(true);
    expect(error.message).not.toMatch(/pass/);
    expect(thrownBy(() => new XetClient({ endpoint: text }))).toEqual(
      invalid(/^endpoint is not the address of a Hub: /),
    );
  });

  test.each(['http://hub', 'HTTPS://hub/', 'http://hub:8080/a/path/', 'http://[::1]:80', 'http://us%40er:p%40ss@hub'])(
    '%s is taken',
    (text) => {
      expect(checkEndpoint(text, 'endpoint')).toBe(text);
    },
  );

  test('an empty variable says nothing', () => expect(endpointOf({ HF_ENDPOINT: '' })).toBeUndefined());

  test('the user and password in it are sent to the Hub alone, and never shown', async () => {
    const sent: (string | null)[] = [];
    const fetch = async (_: string, init?: RequestInit) => {
      sent.push(new Headers(init?.headers).get('authorization'));
      return new Response('no', { status: 403 });
    };
    const endpoint = 'http://us%40er:p%40ss@hub.invalid/some/path';
    const ask = async (accessToken: string) => {
      await using client = new XetClient({ endpoint, fetch, accessToken });
      expect(client.endpoint).toBe('http://hub.invalid/some/path');
      return await rejectionOf(client.fileInfo({ repo: 'o/r', path: 'a' }));
    };
    const error = await ask('');
    expect(error).toMatchObject({ status: 403, url: 'http://hub.invalid/some/path/o/r/resolve/main/a' });
    expect(`${error} ${JSON.stringify(error)}`).not.toMatch(/p%?40?@?ss|us%40er/);
    await ask('hf_token');
    expect(sent).toEqual([`Basic ${btoa('us@er:p@ss')}`, 'Bearer hf_token']);
  });
});

describe('switches and folders', () => {
  test('a switch is on by a few words, in any case', () => {
    for (const yes of ['1', 'ON', 'yes', 'True']) expect(isTrue(yes)).toBe(true);
    for (const no of ['0', '', 'no', 'false', 'off', '2', undefined]) expect(isTrue(no)).toBe(false);
  });

  test('HF_HUB_OFFLINE goes before TRANSFORMERS_OFFLINE', () => {
    expect(isOffline({})).toBe(false);
    expect(isOffline({ HF_HUB_OFFLINE: '1' })).toBe(true);
    expect(isOffline({ TRANSFORMERS_OFFLINE: 'true' })).toBe(true);
    expect(isOffline({ HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: '1' })).toBe(false);
    expect(isOffline({ HF_HUB_OFFLINE: '', TRANSFORMERS_OFFLINE: '1' })).toBe(true);
  });

  test('the more special variable names the cache folder', () => {
    expect(hubCacheDir({ HF_HOME: '/h' })).toBe('/h/hub');
    expect(hubCacheDir({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub');
    expect(hubCacheDir({ HF_HOME: '/h', HF_HUB_CACHE: '$A/b', A: '/a' })).toBe('/a/b');
    expect(hubCacheDir({ HUGGINGFACE_HUB_CACHE: '~/c' })).toBe(join(homedir(), 'c'));
    expect(hubHome({})).toBe(join(homedir(), '.cache', 'huggingface'));
  });
});
