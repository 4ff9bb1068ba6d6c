import { onShortage } from '../../core/descriptors.node.ts';
import type { ProxyRoute } from '../proxy-settings.node.ts';
import { Connection } from './connection.node.ts';
import { openSocket } from './sockets.node.ts';

interface Idle {
  connection: Connection;
  /** Closes it. */
  timer: NodeJS.Timeout;
}

/** Open connections that carry no request: the one used last is taken first, as the others may be too old. */
const idle = new Map<string, Idle[]>();

onShortage(() => {
  for (const { connection, timer } of [...idle.values()].flat()) {
    clearTimeout(timer);
    connection.close();
  }
  idle.clear();
});

/**
 * A connection by which an address can be asked, and on which no request is under way.
 * @param signal ends only what has to be awaited before a request can be sent.
 */
export async function connectionTo(url: URL, route: ProxyRoute, signal: AbortSignal | undefined): Promise<Connection> {
  // A proxy that is asked for what is not encrypted is one server for all.
  const server = route.proxy && url.protocol === 'http:' ? '' : url.origin;
  const key = [server, route.proxy?.href, ...route.certificates].join(' ');
  const open = reused(key);
  if (open) return open;
  const connection = new Connection((idleMs) => keep(key, connection, idleMs));
  connection.attach(await openSocket(url, route, connection.into, signal));
  return connection;
}

function reused(key: string): Connection | undefined {
  const kept = idle.get(key) ?? [];
  for (let last = kept.pop(); last; last = kept.pop()) {
    clearTimeout(last.timer);
    if (kept.length === 0) idle.delete(key);
    if (last.connection.isOpen) return last.connection;
  }
  return undefined;
}

function keep(key: string, connection: Connection, idleMs: number): void {
  const kept = idle.get(key) ?? [];
  idle.set(key, kept);
  const timer = setTimeout(() => {
    kept.splice(kept.indexOf(one), 1);
    if (kept.length === 0) idle.delete(key);
    connection.close();
  }, idleMs).unref();
  const one = { connection, timer };
  kept.push(one);
}
