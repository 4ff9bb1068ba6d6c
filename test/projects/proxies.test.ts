import { testProxies } from '../http/proxy-suite.ts';
import { bun, deno, node } from './runtimes.ts';

const files = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'];
for (const version of [22, 24, 26] as const) {
  testProxies({ name: `Node ${version}`, command: node(version), args: [], certificates: files });
}
testProxies({
  name: 'Deno',
  command: deno(),
  args: ['run', '--allow-all', '--no-lock', '--no-prompt'],
  certificates: ['DENO_CERT', 'NODE_EXTRA_CA_CERTS'],
});
testProxies({ name: 'Bun', command: bun(), args: ['run'], certificates: ['NODE_EXTRA_CA_CERTS'] });
