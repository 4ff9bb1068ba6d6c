import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import type { connect as connectTls } from 'node:tls';
import { Connection, type ReadInto } from './connection.node.ts';

/** When the system begins to ask whether the other side is still there. */
const KEEP_ALIVE_MS = 1000;

interface Idle {
  connection: Connection;
  /** Closes it. */
  timer: NodeJS.Timeout;
}

/** Open connections that carry no request, by origin: the one used last comes first, as the others may be too old. */
const idle = new Map<string, Idle[]>();
/** What makes the next connection to a host quicker to be encrypted. */
const sessions = new Map<string, Buffer>();
let tls: typeof connectTls | undefined;

/** A connection to the origin of an address that no request is under way on. */
export async function connectionTo(url: URL): Promise<Connection> {
  const open = reused(url.origin);
  if (open) return open;
  // Loading it takes a while, which a server without encryption does not need.
  if (url.protocol === 'https:') tls ??= (await import('node:tls')).connect;
  const connection = new Connection(
    (into) => socketTo(url, into),
    (idleMs) => keep(url.origin, connection, idleMs),
  );
  return connection;
}

function reused(origin: string): Connection | undefined {
  const kept = idle.get(origin) ?? [];
  for (let last = kept.pop(); last; last = kept.pop()) {
    clearTimeout(last.timer);
    if (last.connection.isOpen) return last.connection;
  }
  return undefined;
}

function keep(origin: string, connection: Connection, idleMs: number): void {
  const kept = idle.get(origin) ?? [];
  idle.set(origin, kept);
  const timer = setTimeout(() => {
    kept.splice(kept.indexOf(one), 1);
    connection.close();
  }, idleMs).unref();
  const one = { connection, timer };
  kept.push(one);
}

function socketTo(url: URL, onread: ReadInto): Socket {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const options = {
    host,
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    onread,
  };
  if (url.protocol !== 'https:' || !tls) return connect(options as NetConnectOpts);
  const socket = tls({
    ...options,
    ALPNProtocols: ['http/1.1'],
    session: sessions.get(url.host),
    ...(isIP(host) === 0 && { servername: host }),
  });
  socket.on('session', (session) => sessions.set(url.host, session));
  return socket;
}
