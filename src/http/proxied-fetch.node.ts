import { readFileSync } from 'node:fs';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import connect from 'undici/lib/api/api-connect.js';
import Agent from 'undici/lib/dispatcher/agent.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import ProxyAgent from 'undici/lib/dispatcher/proxy-agent.js';
import { fetch as undiciFetch } from 'undici/lib/web/fetch/index.js';
import { XetError } from '../errors.ts';
import type { Fetch } from './http.ts';
import { certificateFiles, type Environment } from './proxy-settings.node.ts';

// The package itself gives its dispatchers this one, by which a proxy is asked for a tunnel.
Object.assign(Dispatcher.prototype, { connect });

/**
 * A `fetch` through a proxy, or with more certificates to trust. That of Node can do neither before version 24, and takes no
 * dispatcher of another version than its own.
 */
export class ProxiedFetch {
  readonly #secureContext: SecureContext | undefined;
  readonly #dispatchers = new Map<string, Dispatcher>();

  constructor(env: Environment) {
    this.#secureContext = trusting(env);
  }

  fetch(proxy: URL | undefined, ...[input, init]: Parameters<Fetch>): Promise<Response> {
    const dispatcher = this.#dispatcher(proxy?.href ?? '');
    // The same types, under names of its own.
    return undiciFetch(input, { ...(init as object), dispatcher }) as unknown as Promise<Response>;
  }

  #dispatcher(proxy: string): Dispatcher {
    const known = this.#dispatchers.get(proxy);
    if (known) return known;
    const secureContext = this.#secureContext;
    const tls = secureContext && { secureContext };
    const made =
      proxy === ''
        ? new Agent({ connect: tls })
        : // What is not encrypted is asked of the proxy itself: many open tunnels to port 443 only.
          new ProxyAgent({ uri: proxy, proxyTunnel: false, requestTls: tls, proxyTls: tls });
    this.#dispatchers.set(proxy, made);
    return made;
  }
}

/** Node's own certificates and those of the files that the environment names. */
function trusting(env: Environment): SecureContext | undefined {
  const files = certificateFiles(env);
  if (files.length === 0) return undefined;
  const extra = env.NODE_EXTRA_CA_CERTS ? [env.NODE_EXTRA_CA_CERTS] : [];
  return createSecureContext({ ca: [...rootCertificates, ...[...extra, ...files].map(readCertificates)] });
}

function readCertificates(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `The certificates in '${path}' cannot be read. Correct SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or NODE_EXTRA_CA_CERTS.`,
      { cause },
    );
  }
}
