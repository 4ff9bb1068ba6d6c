// @ts-check
// The Hub in a process of its own, so that its work is not counted as a client's. Takes commands as messages.
import { argv } from 'node:process';
import { startLocalHub } from 'xetkit/local-hub';

const hub = await startLocalHub(JSON.parse(argv[2] ?? '{}'));

/** @type {Record<string, (given: any) => unknown>} */
const COMMANDS = {
  commit: ({ repo, files, options }) =>
    hub.commitFiles(
      repo,
      Object.fromEntries(
        Object.entries(/** @type {Record<string, string>} */ (files)).map(([path, file]) => [path, { file }]),
      ),
      options,
    ),
  create: ({ repo }) => hub.createRepo(repo),
  shape: ({ latencyMs = 0, bytesPerSecond = 0 }) => {
    hub.faults.latencyMs = latencyMs;
    hub.faults.bytesPerSecond = bytesPerSecond;
  },
  // What was asked since the last time, and how much was sent.
  counts: () => {
    /** @type {Record<string, number>} */
    const requests = {};
    let bytes = 0;
    for (const { kind, bytesSent } of hub.requests) {
      requests[kind] = (requests[kind] ?? 0) + 1;
      bytes += bytesSent;
    }
    hub.resetRequests();
    return { requests, bytes };
  },
};

process.on('message', async (/** @type {{ id: number, name: string, given: unknown }} */ { id, name, given }) => {
  try {
    process.send?.({ id, value: await COMMANDS[name]?.(given) });
  } catch (error) {
    process.send?.({ id, error: String(error) });
  }
});
process.on('disconnect', () => hub.close().finally(() => process.exit()));
process.send?.({ ready: hub.url });
