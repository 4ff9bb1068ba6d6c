import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Finding } from '../../src/cli/doctor.ts';
import { inTurn, json, serve } from '../http/server.ts';
import { run } from '../interop/tools.ts';
import { hubFor, scratch } from '../support/hub.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

async function doctor(env: NodeJS.ProcessEnv) {
  const home = await scratch();
  const quiet = {
    HTTP_PROXY: '',
    HTTPS_PROXY: '',
    ALL_PROXY: '',
    HF_HOME: join(home, 'hf'),
    HF_TOKEN: '',
    XETKIT_CACHE: '',
  };
  const { code, stdout, stderr } = await run(process.execPath, [command, 'doctor', '--json'], {
    env: { ...quiet, HOME: home, ...env },
  });
  const findings = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Finding);
  const states = Object.fromEntries(findings.map(({ check, state }) => [check, state]));
  const at = (check: string) => findings.find((finding) => finding.check === check);
  // What is wrong is told with what to do.
  for (const { state, advice } of findings) expect(advice === undefined).toBe(state === 'ok');
  return { code, states, at, stderr };
}

test('where all is well', async () => {
  const hub = await hubFor();
  const { code, states, at } = await doctor({ HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_local' });
  // The disk of whoever runs this may be rather full.
  const { disk, ...others } = states;
  expect(new Set(Object.values(others))).toEqual(new Set(['ok']));
  expect(disk).toMatch(/ok|warn/);
  expect(Object.keys(states)).toEqual([
    'xetkit',
    'proxy',
    'endpoint',
    'token',
    'clock',
    'cache',
    'disk',
    'worker',
    'wasm',
  ]);
  expect(at('token')?.message).toContain('local');
  expect(code).toBe(0);
});

test('no token is a warning, a wrong one a failure', async () => {
  const hub = await hubFor({ tokens: { hf_right: { name: 'me' } } });
  const without = await doctor({ HF_ENDPOINT: hub.url });
  expect([without.code, without.states.token]).toEqual([0, 'warn']);
  const wrong = await doctor({ HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_wrong' });
  expect([wrong.code, wrong.states.token]).toEqual([1, 'fail']);
  expect(wrong.stderr).toMatch(/token/);
  expect(JSON.stringify(wrong.at('token'))).not.toContain('hf_wrong');
});

test('a server that is not there', async () => {
  const { code, states } = await doctor({ HF_ENDPOINT: 'http://none.invalid' });
  expect([code, states.endpoint, states.token, states.clock]).toEqual([1, 'fail', 'warn', 'warn']);
});

test.each([
  ['a little', 300_000, 'warn', 0],
  ['by an hour', 3_700_000, 'fail', 1],
  ['by an hour, the other way', -3_700_000, 'fail', 1],
])('a clock that is off %s', async (_, offMs, state, expected) => {
  const hub = await hubFor({ now: () => Date.now() + offMs });
  const { code, states } = await doctor({ HF_ENDPOINT: hub.url });
  expect([code, states.clock]).toEqual([expected, state]);
});

test('a server in trouble', async () => {
  const url = await serve(inTurn((_, response) => void response.writeHead(503).end()));
  expect(await doctor({ HF_ENDPOINT: url })).toMatchObject({ code: 1, states: { endpoint: 'fail' } });
});

test('a cache folder that cannot be one', async () => {
  const folder = await scratch();
  await writeFile(join(folder, 'file'), '');
  const url = await serve(json({ name: 'me' }));
  const { code, states } = await doctor({ HF_ENDPOINT: url, HF_HUB_CACHE: join(folder, 'file', 'hub') });
  expect([code, states.cache]).toEqual([1, 'fail']);
});

test('a damaged cache is a warning', async () => {
  const folder = await scratch();
  await mkdir(join(folder, 'models--owner--model'));
  const url = await serve(json({ name: 'me' }));
  const { states } = await doctor({ HF_ENDPOINT: url, HF_HUB_CACHE: folder });
  expect(states.cache).toBe('warn');
});

test('the proxy in force, without its password', async () => {
  const { at, states } = await doctor({
    HF_ENDPOINT: 'http://hub.invalid',
    HTTP_PROXY: 'http://me:secret@proxy.invalid:3128',
  });
  expect(at('proxy')?.message).toContain('http://proxy.invalid:3128');
  expect(JSON.stringify(at('proxy'))).not.toContain('secret');
  expect(states.endpoint).toBe('fail');
  const socks = await doctor({ HF_ENDPOINT: 'http://hub.invalid', ALL_PROXY: 'socks5://proxy.invalid' });
  expect(socks.states.proxy).toBe('fail');
});

test('offline, nothing is asked', async () => {
  const hub = await hubFor();
  const { code, states } = await doctor({ HF_ENDPOINT: hub.url, HF_HUB_OFFLINE: '1' });
  expect([code, states.endpoint, hub.requests.length]).toEqual([0, 'warn', 0]);
});
