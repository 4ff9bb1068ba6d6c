// Uploads one file with a client of its own, says what came of it, and does nothing to end the process.
// Usage: node one-upload.mjs '{"repo", "megabytes", "client": {…}}'
import { XetClient } from '../../dist/node.js';

const { repo, megabytes, client: options } = JSON.parse(process.argv[2] ?? '{}');
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
const client = new XetClient(options);
process.on('unhandledRejection', (reason) => say({ unhandled: String(reason) }));
const content = Uint8Array.from({ length: megabytes * 1e6 }, (_, at) => (at * 2654435761) >>> 13);
try {
  const { bytes, commit } = await client.upload({ repo, files: [{ path: 'weights.bin', content }] });
  say({ done: true, bytes, commit });
} catch (error) {
  say({ done: false, code: error.code, stack: error.stack, cause: String(error.cause), url: error.url });
}
