import { readdir, readlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { noise, reconstruction, testHub } from './helpers.ts';

/** Files below a folder that this process has open. */
async function openIn(folder: string): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(join('/proc/self/fd', fd)).catch(() => ''));
  return (await Promise.all(links)).filter((target) => target.startsWith(folder));
}

test.skipIf(process.platform !== 'linux')(
  'who leaves while an answer waits for the one before it leaves no file open',
  async () => {
    const hub = await testHub();
    await hub.commitFiles('me/model', { 'w.bin': noise(5, 3_000_000) }, { compression: 'none' });
    const found = await reconstruction(hub, 'me/model', 'w.bin');
    const { hostname, port, pathname, search } = new URL(Object.values(found.xorbs)[0]?.[0]?.url ?? '');
    const { end } = Object.values(found.xorbs)[0]?.[0]?.ranges[0]?.bytes ?? { end: 0 };
    const asked = (last: number) =>
      `GET ${pathname}${search} HTTP/1.1\r\nhost: ${hostname}\r\nrange: bytes=0-${last}\r\n\r\n`;
    hub.faults.bytesPerSecond = 1_000_000;
    for (let turn = 0; turn < 20; turn++) {
      const socket = connect(Number(port), hostname);
      socket.write(asked(end) + asked(end));
      await new Promise((resolve) => socket.once('data', resolve));
      socket.destroy();
    }
    await vi.waitFor(async () => expect(await openIn(hub.dir)).toEqual([]), { timeout: 4000 });
  },
);
