import { BlockList, isIP } from 'node:net';
import type { Environment } from '../core/env.node.ts';
import { XetError } from '../core/errors.ts';

/** Route to a server. */
export interface ProxyRoute {
  /** Through which it is asked. */
  proxy?: URL | undefined;
  /** Files of certificates to trust beside Node's own. */
  certificates: readonly string[];
}

export const DIRECT: ProxyRoute = { certificates: [] };

/** The way to an address, as the environment says. */
export function routeTo(url: URL, env: Environment): ProxyRoute {
  const certificates = certificateFiles(env);
  // Once Node is told what to trust, it no longer goes by its own variable.
  if (certificates.length > 0 && env.NODE_EXTRA_CA_CERTS) certificates.push(env.NODE_EXTRA_CA_CERTS);
  return { proxy: proxyFor(url, env), certificates };
}

/** `Proxy-Authorization` value from the credentials in a proxy's URL. */
export function basicCredentials({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The proxy that a request goes through, as the environment says in the words that curl and Python know: `HTTPS_PROXY`,
 * `HTTP_PROXY`, `ALL_PROXY`, less what `NO_PROXY` lists. Small letters come first. This machine itself is never asked
 * for through a proxy.
 */
export function proxyFor(url: URL, env: Environment): URL | undefined {
  const named = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const name = [named, named.toUpperCase(), 'all_proxy', 'ALL_PROXY'].find((each) => env[each]?.trim());
  if (name === undefined) return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (isThisMachine(host)) return undefined;
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const exceptions = (env.no_proxy || env.NO_PROXY || '').split(/[\s,]+/);
  return exceptions.some((entry) => excepts(entry, host, port)) ? undefined : parseProxy(env[name] ?? '', name);
}

const isThisMachine = (host: string) =>
  host === 'localhost' ||
  host.endsWith('.localhost') ||
  host === '::1' ||
  (isIP(host) === 4 && host.startsWith('127.'));

/** An entry is a domain, which stands for all below it, an address, a network such as `10.0.0.0/8`, or `*`. */
function excepts(entry: string, host: string, port: number): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const [network = '', bits] = entry.split('/');
  if (bits !== undefined) return isIn(network, Number(bits), host);
  const [, name = entry, onlyPort] =
    /^\[?([^\]]+?)\]?:(\d+)$/.exec(isIP(entry) === 6 ? `[${entry}]:${port}` : entry) ?? [];
  if (onlyPort !== undefined && Number(onlyPort) !== port) return false;
  const domain = name.replace(/^\*?\./, '').toLowerCase();
  return host === domain || host.endsWith(`.${domain}`);
}

function isIn(network: string, bits: number, host: string): boolean {
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || !(bits >= 0 && bits <= (family === 4 ? 32 : 128))) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, bits, type);
  return list.check(host, type);
}

/** The value may hold a password, so it is not shown. */
function parseProxy(value: string, name: string): URL {
  const text = value.trim();
  const address = text.includes('://') ? text : `http://${text}`;
  const proxy = URL.canParse(address) && !/[\s"'#?\\]/.test(address) ? new URL(address) : undefined;
  if (!proxy?.hostname) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `${name} is not the address of a proxy. Write it as http://host:port or http://user:password@host:port, without ` +
        "quotes or blanks, and with characters such as '#', '?' and '@' of a password encoded (%23, %3F, %40).",
    );
  }
  if (proxy.protocol === 'http:' || proxy.protocol === 'https:') return proxy;
  throw new XetError(
    'UNSUPPORTED',
    `${name} names a ${proxy.protocol}// proxy. Use one that is http:// or https://, or hand your own fetch to the client.`,
  );
}

/** Files of certificates that Python and curl are told to trust. */
export function certificateFiles(env: Environment): string[] {
  const named = [env.SSL_CERT_FILE, env.REQUESTS_CA_BUNDLE, env.CURL_CA_BUNDLE];
  // Node trusts those of this one by itself.
  const files = named.filter((path) => path !== undefined && path !== '' && path !== env.NODE_EXTRA_CA_CERTS);
  return [...new Set(files as string[])];
}
