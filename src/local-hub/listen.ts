import type { Server } from 'node:http';
import { XetError } from '../core/errors.ts';

/** Starts listening and gives the address as `http://host:port`. */
export async function listen(server: Server, host: string, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, host, port)));
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no address');
  // An address that means "every interface" is one to bind to, not one to connect to.
  const shown = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${shown}:${address.port}`;
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const at = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const say = (code: 'CONFLICT' | 'PERMISSION' | 'INVALID_ARGUMENT', text: string) =>
    new XetError(code, text, { cause: error });
  switch (error.code) {
    case 'EADDRINUSE':
      return say(
        'CONFLICT',
        `${at} is in use by another program. Choose another port (--port), or 0 for any free one.`,
      );
    case 'EACCES':
    case 'EPERM':
      return say('PERMISSION', `${at} may not be listened on by this user. Choose a port (--port) from 1024 on.`);
    case 'EADDRNOTAVAIL':
      return say('INVALID_ARGUMENT', `${host} is not an address of this machine. Choose another host (--host).`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EINVAL':
      return say('INVALID_ARGUMENT', `${host} is not a name or an address to listen on. Choose another host (--host).`);
    default:
      return error;
  }
}

/** Stops at once: open connections are cut, not waited for. */
export function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
