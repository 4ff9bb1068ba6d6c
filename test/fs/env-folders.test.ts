import { homedir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hubCacheDir, hubHome, sharedBlobsDisabled, symlinksDisabled } from '../../src/fs/env-folders.node.ts';

// What Python's client makes of the same environments.
test.each([
  [{}, join(homedir(), '.cache', 'huggingface', 'hub')],
  [{ XDG_CACHE_HOME: '/xdg' }, '/xdg/huggingface/hub'],
  [{ XDG_CACHE_HOME: '/xdg', HF_HOME: '/home' }, '/home/hub'],
  [{ HF_HOME: '~/hf' }, join(homedir(), 'hf', 'hub')],
  [{ HF_HOME: '$BASE/hf', BASE: '/data' }, '/data/hf/hub'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as it is written in the environment
  [{ HF_HOME: '${BASE}/hf', BASE: '/data' }, '/data/hf/hub'],
  [{ HF_HOME: '$NONE/hf' }, '$NONE/hf/hub'],
  [{ HF_HOME: '/home', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
  [{ HF_HOME: '/home', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '/new' }, '/new'],
  [{ HF_HUB_CACHE: '~/cache' }, join(homedir(), 'cache')],
  [{ HF_HUB_CACHE: '', HF_HOME: '' }, join(homedir(), '.cache', 'huggingface', 'hub')],
])('%j', (env, folder) => expect(hubCacheDir(env)).toBe(folder));

test('the home of all of them', () => {
  expect(hubHome({ HF_HOME: '/home', HF_HUB_CACHE: '/new' })).toBe('/home');
});

test('what is switched off', () => {
  expect(symlinksDisabled({})).toBe(false);
  expect(symlinksDisabled({ HF_HUB_DISABLE_SYMLINKS: '0' })).toBe(false);
  for (const value of ['1', 'ON', 'yes', 'True']) {
    expect(symlinksDisabled({ HF_HUB_DISABLE_SYMLINKS: value })).toBe(true);
    expect(sharedBlobsDisabled({ HF_HUB_DISABLE_SHARED_BLOBS: value })).toBe(true);
  }
  expect(sharedBlobsDisabled({ HF_HUB_DISABLE_XET: '1' })).toBe(true);
});
