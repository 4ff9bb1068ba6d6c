// A download as a program of its own, so that it has an environment of its own: in Node, Deno or Bun.
import { createHash } from 'node:crypto';
import { XetClient } from '../../dist/node.js';

const { hub, through, repo, path, chunkCache } = JSON.parse(process.argv[2] ?? '');
const client = new XetClient({
  endpoint: through,
  accessToken: '',
  rewriteUrl: (/** @type {string} */ url) => url.replace(hub, through),
  retry: { attempts: 1 },
  chunkCache: { dir: chunkCache },
  fallback: 'never',
});
try {
  const file = await client.open({ repo, path });
  const bytes = new Uint8Array(await file.arrayBuffer());
  console.log(JSON.stringify({ sha256: createHash('sha256').update(bytes).digest('hex') }));
} catch (error) {
  const { code, message } = /** @type {any} */ (error);
  console.log(JSON.stringify({ code, message }));
} finally {
  await client.close();
}
