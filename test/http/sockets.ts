import type { AddressInfo, Server, Socket } from 'node:net';
import { expect, onTestFinished } from 'vitest';

/** Listens on a free port until the test is over. */
export async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Resolves when the first of these is closed, for whatever reason. */
export async function closed([socket]: Iterable<Socket>): Promise<void> {
  expect(socket).toBeDefined();
  if (socket && !socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}
