import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { certificates } from '../support/certificates.ts';
import { hubFor, scratch, sha256 } from '../support/hub.ts';
import { startProxy, startTls } from '../support/proxy.ts';
import { randomBytes } from '../support/samples.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../support/fetch-through.mjs', import.meta.url));

export interface ProxyRuntime {
  name: string;
  command: string;
  args: string[];
  /** Files of certificates that it goes by. */
  certificates: string[];
}

/** A download over proxies and with certificates of one's own, in a runtime. */
export function testProxies({ name, command, args, certificates: variables }: ProxyRuntime): void {
  const set = async (credentials?: string) => {
    const hub = await hubFor();
    const bytes = randomBytes(1_500_000, 5);
    await hub.commitFiles('owner/model', { 'a.bin': bytes }, { xet: 'always' });
    hub.resetRequests();
    const { authority, server } = certificates('hub.example', 'localhost');
    const folder = await scratch();
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, authority.certificate);
    const tls = await startTls(hub.url, server);
    const proxy = await startProxy({ http: hub.url, tls: tls.url, credentials });
    const fetched = async (through: string, env: Record<string, string>) => {
      const wanted = { hub: hub.url, through, repo: 'owner/model', path: 'a.bin', chunkCache: folder };
      const { PATH } = process.env;
      const { stdout } = await run(command, [...args, script, JSON.stringify(wanted)], {
        env: { PATH, HOME: folder, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...env },
      });
      return JSON.parse(stdout) as { sha256?: string; code?: string; message?: string };
    };
    return { hub, tls, proxy, ca, fetched, right: { sha256: sha256(bytes) } };
  };

  describe(name, () => {
    test('what is not encrypted is asked of the proxy', async () => {
      const { hub, proxy, fetched, right } = await set();
      expect(await fetched('http://hub.example', { HTTP_PROXY: proxy.url })).toEqual(right);
      expect(proxy.asked.some((line) => line.includes('/resolve/'))).toBe(true);
      expect(proxy.asked.length).toBe(hub.requests.length);
    });

    test('what is encrypted goes through a tunnel, which needs credentials', async () => {
      const { hub, tls, proxy, ca, fetched, right } = await set('me:secret');
      const url = proxy.url.replace('//', '//me:secret@');
      expect(await fetched('https://hub.example', { HTTPS_PROXY: url, NODE_EXTRA_CA_CERTS: ca })).toEqual(right);
      expect(new Set(proxy.asked)).toEqual(new Set(['CONNECT hub.example:443']));
      expect(tls.count()).toBe(hub.requests.length);
      const refused = await fetched('https://hub.example', { HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: ca });
      expect(refused.code).toBe('NETWORK');
    });

    test('NO_PROXY is left alone', async () => {
      const { proxy, fetched } = await set();
      const answer = await fetched('http://hub.example', { HTTP_PROXY: proxy.url, NO_PROXY: '.example' });
      expect(answer.code).toBe('NETWORK');
      expect(proxy.asked).toEqual([]);
    });

    test.each(variables)('%s names certificates to trust', async (variable) => {
      const { hub, tls, fetched, ca, right } = await set();
      expect(await fetched(tls.url, { [variable]: ca })).toEqual(right);
      expect(tls.count()).toBe(hub.requests.length);
    });

    test('a certificate that nobody vouches for is refused', async () => {
      const { hub, tls, fetched } = await set();
      const { code, message } = await fetched(tls.url, {});
      expect({ code, asked: hub.requests.length }).toEqual({ code: 'NETWORK', asked: 0 });
      expect(message).toMatch(/certificate/i);
    });
  });
}
