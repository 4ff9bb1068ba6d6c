// Downloads one file with a client of its own, says what came of it, and does nothing to end the process.
// Usage: node one-download.mjs '{"repo", "path", "localDir", "client": {…}, "closes"}'
import { XetClient } from '../../dist/node.js';

const { repo, path, localDir, client: options, closes } = JSON.parse(process.argv[2] ?? '{}');
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
const client = new XetClient({
  ...options,
  onWarning: (warning) => say({ warning }),
  onRetry: ({ url, error }) => say({ retry: url, error: error.message }),
});
process.on('unhandledRejection', (reason) => say({ unhandled: String(reason) }));
try {
  const { bytes, verified } = await client.downloadFile({ repo, path, localDir });
  say({ done: true, bytes, verified });
} catch (error) {
  say({ done: false, code: error.code, stack: error.stack, cause: String(error.cause), url: error.url });
}
if (closes) await client.close();
