import { BlockList, isIP } from 'node:net';
import { XetError } from '../errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** How a server is reached. */
export interface Route {
  /** Through which it is asked. */
  proxy?: URL | undefined;
  /** Files of certificates to trust beside Node's own. */
  certificates: readonly string[];
}

export const DIRECT: Route = { certificates: [] };

/** The way to an address, as the environment says. */
export function routeTo(url: URL, env: Environment): Route {
  const certificates = certificateFiles(env);
  // Once Node is told what to trust, it no longer goes by its own variable.
  if (certificates.length > 0 && env.NODE_EXTRA_CA_CERTS) certificates.push(env.NODE_EXTRA_CA_CERTS);
  return { proxy: proxyFor(url, env), certificates };
}

/** What a proxy is told about whoever asks, if its address says so. */
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
  const text = variable(env, named) ?? variable(env, 'all_proxy');
  if (text === undefined) return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (isThisMachine(host)) return undefined;
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const exceptions = (variable(env, 'no_proxy') ?? '').split(/[\s,]+/);
  return exceptions.some((entry) => excepts(entry, host, port)) ? undefined : parseProxy(text, named);
}

const variable = (env: Environment, name: string) => env[name] || env[name.toUpperCase()] || undefined;

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

function parseProxy(text: string, name: string): URL {
  const proxy = URL.canParse(text) && text.includes('://') ? new URL(text) : new URL(`http://${text}`);
  if (proxy.protocol === 'http:' || proxy.protocol === 'https:') return proxy;
  throw new XetError(
    'UNSUPPORTED',
    `${name.toUpperCase()} or ALL_PROXY names a ${proxy.protocol}// proxy. Use one that is http:// or https://, or hand your own fetch to the client.`,
  );
}

/** Files of certificates that Python and curl are told to trust. */
export function certificateFiles(env: Environment): string[] {
  const named = [env.SSL_CERT_FILE, env.REQUESTS_CA_BUNDLE, env.CURL_CA_BUNDLE];
  // Node trusts those of this one by itself.
  const files = named.filter((path) => path !== undefined && path !== '' && path !== env.NODE_EXTRA_CA_CERTS);
  return [...new Set(files as string[])];
}
