import { readFileSync } from 'node:fs';
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { isXetError, XetError } from '../../core/errors.ts';
import { setRecent } from '../../core/lru.ts';
import { rememberSecret, rememberUrl } from '../../core/secrets.ts';
import { basicCredentials, type ProxyRoute } from '../proxy-settings.node.ts';
import { isTransientStatus, PROXY_ADVICE } from '../response-error.ts';
import { failed } from './exchange.node.ts';
import { HeadCollector, parseResponseHead } from './response-head.ts';

/** Idle time after which the system begins to probe the other side. */
const KEEP_ALIVE_MS = 1000;

/** Options for reading into given memory (`onread` of `net.connect` and `tls.connect`). */
export interface ReadInto {
  buffer(): Uint8Array;
  callback(bytes: number, room: Uint8Array): boolean;
}

/** An open way to a server; Node does not read from one within another into memory that it is given. */
export interface OpenSocket {
  socket: Socket;
  readsInto: boolean;
}

type Tls = typeof import('node:tls');
let tls: Tls | undefined;
/** Hosts with a TLS session, and sets of certificate files with a context. */
const MAX_REMEMBERED = 100;
/** TLS sessions by host, which shorten the next handshake; the one used last at the end. */
const sessions = new Map<string, Buffer>();
const contexts = new Map<string, SecureContext>();

/** Begins a connection to the server of an address, or to the proxy that is to be asked for it. */
export async function openSocket(
  url: URL,
  route: ProxyRoute,
  into: ReadInto,
  signal: AbortSignal | undefined,
): Promise<OpenSocket> {
  const { proxy } = route;
  // Loading it takes a while, which a server without encryption does not need.
  if ([url, proxy].some((one) => one?.protocol === 'https:')) tls ??= await import('node:tls');
  // Before there is a socket that nobody would close.
  if (tls && route.certificates.length > 0) trusting(route.certificates);
  rememberUrl(proxy?.href ?? '');
  if (!proxy || url.protocol === 'http:') return { socket: begin(proxy ?? url, route, into), readsInto: true };
  const socket = begin(proxy, route);
  await openTunnel(socket, url, proxy, signal);
  try {
    return { socket: encrypted(url, route, { socket }), readsInto: false };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function begin(to: URL, route: ProxyRoute, into?: ReadInto): Socket {
  const options = {
    host: hostOf(to),
    port: portOf(to),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    onread: into,
  };
  return to.protocol === 'https:' ? encrypted(to, route, options) : connect(options as NetConnectOpts);
}

function encrypted(to: URL, { certificates }: ProxyRoute, over: object): Socket {
  const host = hostOf(to);
  const socket = (tls as Tls).connect({
    ...over,
    host,
    ALPNProtocols: ['http/1.1'],
    session: sessions.get(to.host),
    ...(isIP(host) === 0 && { servername: host }),
    ...(certificates.length > 0 && { secureContext: trusting(certificates) }),
  });
  socket.on('session', (session) => setRecent(sessions, to.host, session, MAX_REMEMBERED));
  return socket;
}

const hostOf = (url: URL) => url.hostname.replace(/^\[|\]$/g, '');
const portOf = (url: URL) => Number(url.port || (url.protocol === 'https:' ? 443 : 80));

/** Has a proxy pass on what is sent, as it is (`CONNECT`, RFC 9110). */
async function openTunnel(socket: Socket, to: URL, proxy: URL, signal: AbortSignal | undefined): Promise<void> {
  const stop = () => socket.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const target = `${to.hostname}:${portOf(to)}`;
    const credentials = basicCredentials(proxy);
    const lines = [`CONNECT ${target} HTTP/1.1`, `host: ${target}`];
    if (credentials !== undefined) lines.push(`proxy-authorization: ${credentials}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    rememberSecret(credentials);
    const { text, hasMore } = await headFrom(socket);
    const { status } = parseResponseHead(text, 'CONNECT');
    if (status < 200 || status > 299) throw refusedBy(proxy, target, status);
    // The server behind it speaks only when it is spoken to.
    if (hasMore) throw new Error('the proxy sent data after its response head');
  } catch (error) {
    socket.destroy();
    throw signal?.aborted ? signal.reason : isXetError(error) ? error : failed(error);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** A proxy that refuses refuses again, unless it has trouble of its own. */
function refusedBy({ host }: URL, target: string, status: number): XetError {
  const said = `The proxy ${host} lets nothing through to ${target}: it answered ${status}.`;
  if (status === 407) return new XetError('NETWORK', `${said} ${PROXY_ADVICE}`, { status });
  const advice =
    status === 403 ? 'Ask who runs it to allow this host, or list it in NO_PROXY.' : 'Check HTTPS_PROXY and NO_PROXY.';
  return new XetError('NETWORK', `${said} ${advice}`, { status, retryable: isTransientStatus(status) });
}

/** The head of the answer, and whether anything came with it. */
function headFrom(socket: Socket): Promise<{ text: string; hasMore: boolean }> {
  return new Promise((resolve, reject) => {
    const collector = new HeadCollector();
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the proxy closed the connection')));
    const onData = (bytes: Buffer) => {
      try {
        const end = collector.add(bytes);
        if (end === undefined) return;
        socket.off('data', onData).pause();
        resolve({ text: collector.text, hasMore: end < bytes.length });
      } catch (error) {
        reject(error);
      }
    };
    socket.on('data', onData);
  });
}

/** Node's own certificates and those of some files. */
function trusting(files: readonly string[]): SecureContext {
  const key = files.join(' ');
  const { createSecureContext } = tls as Tls;
  const context =
    contexts.get(key) ?? createSecureContext({ ca: [...defaultCertificates(), ...files.map(readCertificates)] });
  setRecent(contexts, key, context, MAX_REMEMBERED);
  return context;
}

/** Node 22.15 and later tell what they trust, with `--use-system-ca` in force; earlier ones have their own list only. */
function defaultCertificates(): readonly string[] {
  const { getCACertificates, rootCertificates } = tls as Tls & { getCACertificates?: (type: 'default') => string[] };
  return getCACertificates?.('default') ?? rootCertificates;
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
