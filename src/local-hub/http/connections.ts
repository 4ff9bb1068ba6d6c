import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/** A client that says nothing, or takes nothing of its answer, for so long is disconnected. */
const SILENT_MS = 120_000;
const MAX_CONNECTIONS = 1024;

/** Keeps clients that stall from holding connections that others need. */
export function guardConnections(
  server: Server,
  { silentMs = SILENT_MS, most = connectionLimit() }: { silentMs?: number; most?: number } = {},
): void {
  /** Open connections, those idle for longest first, with the request that each is at. */
  const open = new Map<Socket, IncomingMessage | undefined>();
  const isReceiving = (socket: Socket) => open.get(socket)?.complete === false;
  server.on('connection', (socket: Socket) => {
    if (open.size >= most) makeRoom(open);
    open.set(socket, undefined);
    socket.once('close', () => open.delete(socket));
  });
  server.on('request', (request, response) => {
    const { socket } = request;
    open.set(socket, request);
    response.once('close', () => {
      if (open.get(socket) !== request) return;
      open.delete(socket);
      if (!socket.destroyed) open.set(socket, undefined);
    });
  });
  server.setTimeout(silentMs, (socket) => {
    const busy = open.get(socket) !== undefined && !isReceiving(socket) && socket.writableLength === 0;
    // Nothing is sent while an answer is being worked out.
    if (busy) socket.setTimeout(silentMs);
    else socket.destroy();
  });
}

/** Disconnects a client that has no request under way, or else one that has not sent all of its request. */
function makeRoom(open: Map<Socket, IncomingMessage | undefined>): void {
  let waiting: Socket | undefined;
  for (const [socket, request] of open) {
    if (!request) {
      waiting = socket;
      break;
    }
    if (!request.complete) waiting ??= socket;
  }
  // Where all are being answered, the first of them makes way.
  const victim = waiting ?? open.keys().next().value;
  victim?.destroy();
  if (victim) open.delete(victim);
}

/** Each connection may need a second descriptor, for a file. */
function connectionLimit(): number {
  try {
    const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
    return Number.isFinite(limit) ? Math.max(8, Math.min(MAX_CONNECTIONS, Math.floor(limit / 2))) : MAX_CONNECTIONS;
  } catch {
    return MAX_CONNECTIONS;
  }
}
