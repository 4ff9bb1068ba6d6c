// Fetches, or uploads, with a client whose process may open little. Says what came of it, and each warning and retry.
// Usage: node few-descriptors.mjs '{"left": descriptors that the program leaves, once the client is made, "call", "options"}'
import { closeSync, openSync } from 'node:fs';
import { XetClient } from '../../dist/node.js';

const { left, call, options } = JSON.parse(process.argv[2] ?? '{}');
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
process.on('unhandledRejection', (reason) => say({ unhandled: String(reason) }));

const client = new XetClient({
  onWarning: (warning) => say({ warning }),
  onRetry: ({ url, error }) => say({ retry: url, error: error.message }),
});
if (left !== undefined) {
  const taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  for (const descriptor of taken.slice(0, left)) closeSync(descriptor);
}
try {
  const { files, bytes } = await client[call](options);
  say({ done: true, files: files?.length, network: bytes?.network });
} catch (error) {
  say({ done: false, code: error.code, message: error.message, cause: String(error.cause) });
}
await client.close();
