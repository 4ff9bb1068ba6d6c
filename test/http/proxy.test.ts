import { expect, test } from 'vitest';
import { makeNodeFetch } from '../../src/http/network-fetch.node.ts';
import { certificates } from '../support/certificates.ts';
import { hubFor } from '../support/hub.ts';
import { startTls } from '../support/proxy.ts';
import { testProxies } from './proxy-suite.ts';

testProxies({
  name: `Node ${process.versions.node}`,
  command: process.execPath,
  args: [],
  certificates: ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'],
});

test('a certificate that is not trusted says what to do', async () => {
  const { url } = await startTls((await hubFor()).url, certificates('localhost').server);
  await expect(makeNodeFetch({})(url)).rejects.toMatchObject({
    code: 'NETWORK',
    retryable: false,
    message: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
  });
});

test('certificates that cannot be read are an error', async () => {
  const { url } = await startTls((await hubFor()).url, certificates('localhost').server);
  await expect(makeNodeFetch({ SSL_CERT_FILE: '/none.pem' })(url)).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining('/none.pem'),
  });
});
