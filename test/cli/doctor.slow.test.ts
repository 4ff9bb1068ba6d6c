import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../src/cli/doctor.ts';
import { inTurn, json, serve } from '../http/server.ts';
import { run } from '../interop/tools.ts';
import { certificates } from '../support/certificates.ts';
import { hubFor, scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

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

test.each([
  [429, {}, 'warn', 'fewer requests', 'warn', 0],
  [451, {}, 'fail', '451', 'warn', 1],
  [403, {}, 'warn', '403', 'warn', 0],
  [404, {}, 'warn', 'HF_ENDPOINT', 'warn', 0],
  [200, { 'content-type': 'text/html' }, 'fail', 'web page', 'ok', 1],
] as const)('an endpoint that answers %i %j', async (status, headers, state, said, token, code) => {
  const url = await serve(inTurn((_, response) => void response.writeHead(status, headers).end()));
  const found = await doctor({ HF_ENDPOINT: url, HF_TOKEN: 'hf_right' });
  expect(found).toMatchObject({ code, states: { endpoint: state, token } });
  expect(JSON.stringify(found.at('endpoint'))).toContain(said);
});

test('user and password of the endpoint are not shown, and neither is what a server repeats', async () => {
  const url = await serve((request, response) => {
    response.writeHead(200).end(JSON.stringify({ name: `\u001b[2J${request.headers.authorization}` }));
  });
  const token = 'a-company-token-of-some-length';
  const env = { HF_ENDPOINT: url.replace('//', '//marlene.d:Fl0wers-gone@'), HF_TOKEN: token };
  for (const flags of [[], ['--json']]) {
    const { stdout, stderr } = await run(process.execPath, [command, 'doctor', ...flags], {
      env: { HOME: await scratch(), ...env },
    });
    expect(stdout).toContain('token');
    for (const secret of ['marlene', 'Fl0wers', token, '\u001b']) expect(stdout + stderr).not.toContain(secret);
  }
});

test('a byte of a repository is read by way of all hosts', async () => {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', { 'big.bin': randomBytes(300_000, 1) });
  const right = await run(process.execPath, [command, 'doctor', 'owner/model', '--json'], {
    env: { HOME: await scratch(), HF_ENDPOINT: hub.url },
  });
  expect(right.stdout).toMatch(/"check":"storage","state":"ok","message":"[^"]*\(Hub\)[^"]*\(CAS\)[^"]*\(data\)/);
  const wrong = await run(process.execPath, [command, 'doctor', 'owner/none', '--json'], {
    env: { HOME: await scratch(), HF_ENDPOINT: hub.url },
  });
  expect(wrong.stdout).toMatch(/"check":"storage","state":"fail"/);
});

test('hosts of huggingface.co that a proxy lets nothing through to are named', async () => {
  const allowed = ['huggingface.co', 'us.aws.cdn.hf.co', 'us.gcp.cdn.hf.co', 'cas-bridge.xethub.hf.co'];
  const { authority, server } = certificates(...allowed);
  const tls = createTlsServer({ cert: server.certificate, key: server.key }, (request, response) => {
    const isHub = request.headers.host === 'huggingface.co';
    response.writeHead(isHub ? 200 : 403).end(isHub ? '{"name":"me"}' : '');
  });
  const proxy = createServer().on('connect', (request, socket) => {
    socket.on('error', () => undefined);
    if (!allowed.includes(String(request.url).split(':')[0] ?? '')) return void socket.end('HTTP/1.1 403 No\r\n\r\n');
    const onward = connect((tls.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
  });
  for (const one of [tls, proxy]) {
    await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      one.closeAllConnections();
      one.close();
    });
  }
  const ca = join(await scratch(), 'ca.pem');
  await writeFile(ca, authority.certificate);
  const { states, at } = await doctor({
    HF_ENDPOINT: 'https://huggingface.co',
    HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    SSL_CERT_FILE: ca,
  });
  expect(states).toMatchObject({ endpoint: 'ok', storage: 'warn' });
  expect(at('storage')?.message).toMatch(/cas-server\.xethub\.hf\.co.*403.*transfer\.xethub\.hf\.co.*403/);
  for (const host of allowed) expect(at('storage')?.message).not.toContain(host);
});
