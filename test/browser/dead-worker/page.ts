import { XetClient } from '../../../src/client/xet-client.ts';
import { report, textOf } from '../outcomes.ts';

/** Downloads a file, and lets its only codec worker close itself in the middle. */
async function download(size: number): Promise<string> {
  const warnings: string[] = [];
  const client = new XetClient({
    endpoint: new URLSearchParams(location.search).get('hub') ?? '',
    workers: 1,
    chunkCache: false,
    onWarning: (warning) => warnings.push(warning),
  });
  const channel = new BroadcastChannel('dead-worker');
  try {
    const file = await client.open({ repo: 'owner/model', path: 'model.bin' });
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    // Data that arrives has been decoded, so the worker is running, and has more to do.
    for (const reader = file.stream().getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (length < size / 4 && length + value.length >= size / 4) channel.postMessage('close');
      parts.push(value.slice());
      length += value.length;
    }
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer()));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    return JSON.stringify({ sha256, workersLost: client.metrics().codec.workersLost, warnings });
  } finally {
    channel.close();
    await client.close();
  }
}

const size = Number(new URLSearchParams(location.search).get('size'));
await report([
  await download(size).then(
    (name) => ({ name }),
    (error: unknown) => ({ name: '', error: textOf(error) }),
  ),
]);
