import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { serve } from '../http/server.ts';
import { run } from '../interop/tools.ts';
import { scratch } from '../support/hub.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TOKEN = 'the-token-of-a-company';
const NAMES = [
  'two\nlines',
  'tab\there',
  'turned\u202egnp.exe',
  'clear\u001b[2J',
  'c1\u009b31m',
  'hidden\u200b\u2066x',
];
/** All that would steer a terminal; the line feeds that end lines apart. */
const STEERING = /[^\P{Cc}\n]|\p{Cf}|[\u2028\u2029]/u;

async function xetkit(url: string, ...args: string[]) {
  const env = { HOME: await scratch(), HF_ENDPOINT: url, HF_TOKEN: TOKEN };
  return run(process.execPath, [command, ...args], { env });
}

const listing = () =>
  serve((_, response) => {
    const entries = NAMES.map((path) => ({ type: 'file', path, oid: 'a'.repeat(40), size: 1 }));
    response.setHeader('content-type', 'application/json').end(JSON.stringify(entries));
  });

test('names that a server chose make one line each, and steer nothing', async () => {
  const { code, stdout, stderr } = await xetkit(await listing(), 'ls', 'owner/model');
  expect(code).toBe(0);
  expect(stdout + stderr).not.toMatch(STEERING);
  expect(stdout.trimEnd().split('\n')).toHaveLength(NAMES.length);
});

test('JSON has them as they are, escaped', async () => {
  const { stdout } = await xetkit(await listing(), 'ls', 'owner/model', '--json');
  expect(stdout).not.toMatch(STEERING);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { path: string });
  expect(lines.map(({ path }) => path)).toEqual(NAMES);
});

test.each([
  ['ls', 'owner/model'],
  ['ls', 'owner/model', '--json'],
  ['download', 'owner/model'],
  ['download', 'owner/model', 'a.txt', '--json'],
  ['upload', 'owner/model', command],
  ['compare', 'owner/model', 'a.txt'],
])('a server that repeats everything reaches no terminal by %s %s', async (...args) => {
  const url = await serve((request, response) => {
    const said = `${request.headers.authorization} \u202e\u009b2J`;
    const socket = response.socket;
    const body = JSON.stringify({ error: `${said}\u001b[2J${'x'.repeat(60_000)}` });
    // Node would refuse to send such a header.
    socket?.end(
      `HTTP/1.1 404 ${TOKEN}\r\nx-request-id: \u001b]0;PWNED\u0007 ${TOKEN}\r\nx-error-message: ${TOKEN} \u001b[2J\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  });
  const { code, stdout, stderr } = await xetkit(url, ...args);
  expect(code).toBe(1);
  expect(stdout + stderr).not.toMatch(STEERING);
  expect(stdout + stderr).not.toContain(TOKEN);
  expect(stderr.length).toBeLessThan(5000);
});
