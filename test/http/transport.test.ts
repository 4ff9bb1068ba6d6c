import { execFile } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { serve } from './server.ts';

const run = promisify(execFile);
const built = pathToFileURL(fileURLToPath(new URL('../../dist/node.js', import.meta.url))).href;
const undici = import.meta.resolve('undici');

/** A Hub with one file, which notes the requests for it. */
async function hub(): Promise<{ url: string; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  const url = await serve((request, response) => {
    seen.push(request);
    response
      .writeHead(200, { 'x-repo-commit': 'c'.repeat(40), etag: `"${'b'.repeat(40)}"`, 'content-length': '7' })
      .end('content');
  });
  return { url, seen };
}

/** Asks for a file's size in a process of its own, after some steps. */
async function sizeAfter(steps: string, endpoint: string, { options = '{}', env = {} } = {}): Promise<string> {
  const script = `
    import { XetClient } from ${JSON.stringify(built)};
    ${steps}
    const client = new XetClient({ endpoint: ${JSON.stringify(endpoint)}, accessToken: '', ...${options} });
    const { size } = await client.fileInfo({ repo: 'owner/model', path: 'a.txt' });
    console.log(size);
    await client.close();`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  });
  return stdout.trim();
}

/** Only the platform's `fetch` says of a request that a script sent it. */
const byFetch = ({ headers }: IncomingMessage) => headers['sec-fetch-mode'] !== undefined;

test('requests in Node go over connections of our own, also after the program has used fetch', async () => {
  const { url, seen } = await hub();
  expect(await sizeAfter(`await (await fetch('${url}/warm-up')).text();`, url)).toBe('7');
  expect(seen.map(byFetch)).toEqual([true, false]);
});

test.each([
  ['the option', { options: "{ transport: 'platform' }" }],
  ['the environment', { env: { XETKIT_HTTP: 'platform' } }],
])('%s selects the fetch of the platform', async (_, settings) => {
  const { url, seen } = await hub();
  expect(await sizeAfter('', url, settings)).toBe('7');
  expect(seen.map(byFetch)).toEqual([true]);
});

test('the option takes precedence over the environment', async () => {
  const { url, seen } = await hub();
  const settings = { options: "{ transport: 'own' }", env: { XETKIT_HTTP: 'platform' } };
  expect(await sizeAfter('', url, settings)).toBe('7');
  expect(seen.map(byFetch)).toEqual([false]);
});

test('a value of XETKIT_HTTP that means nothing is refused by name', async () => {
  await expect(sizeAfter('', 'http://127.0.0.1:9', { env: { XETKIT_HTTP: 'fast' } })).rejects.toThrow(
    /XETKIT_HTTP is neither 'own' nor 'platform': "fast"/,
  );
});

test('a MockAgent that the program has set answers our requests', async () => {
  const steps = `
    import { MockAgent, setGlobalDispatcher } from ${JSON.stringify(undici)};
    const agent = new MockAgent();
    agent.disableNetConnect();
    agent.get('http://hub.test').intercept({ path: /resolve/ }).reply(200, 'mocked!', {
      headers: { 'x-repo-commit': 'c'.repeat(40), etag: '"${'b'.repeat(40)}"', 'content-length': '7' },
    });
    setGlobalDispatcher(agent);`;
  expect(await sizeAfter(steps, 'http://hub.test')).toBe('7');
});

test('a ProxyAgent that the program has set carries our requests', async () => {
  const { url, seen } = await hub();
  const steps = `
    import { ProxyAgent, setGlobalDispatcher } from ${JSON.stringify(undici)};
    setGlobalDispatcher(new ProxyAgent({ uri: '${url}', proxyTunnel: false }));`;
  expect(await sizeAfter(steps, 'http://hub.test')).toBe('7');
  expect(seen.map(({ url: asked }) => asked)).toEqual([expect.stringMatching(/^http:\/\/hub\.test\//)]);
});

test('an Agent that the program has set makes our connections', async () => {
  const { url, seen } = await hub();
  const steps = `
    import { Agent, setGlobalDispatcher } from ${JSON.stringify(undici)};
    await (await fetch('${url}/warm-up')).text();
    setGlobalDispatcher(new Agent({ connect: { timeout: 5000 } }));`;
  expect(await sizeAfter(steps, url)).toBe('7');
  expect(seen.map(byFetch)).toEqual([true, true]);
});
