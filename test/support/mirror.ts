import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A request that passed through. */
export interface Passed {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** An answer, complete. */
export interface Told {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Mirror {
  url: string;
  passed: Passed[];
}

/** JSON as an answer. */
export const told = (status: number, body: unknown, headers: IncomingHttpHeaders = {}): Told => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

/**
 * A server in front of a Hub that answers in its place where `instead` says so, and changes answers where `change` does.
 * Bodies pass through in memory, as latin1: bytes are kept.
 */
export async function startMirror(
  to: string,
  hooks: {
    instead?: (asked: Passed) => Told | undefined;
    change?: (asked: Passed, told: Told) => Told | undefined;
    /** Path under which the Hub is mirrored, such as `/hub`. Other paths are 404. */
    below?: string;
  } = {},
): Promise<Mirror> {
  const { instead, change, below = '' } = hooks;
  const passed: Passed[] = [];
  const server = createServer(async (asked, answer) => {
    const chunks: Buffer[] = [];
    for await (const chunk of asked) chunks.push(chunk as Buffer);
    const sent = Buffer.concat(chunks);
    const { method = 'GET', headers, url = '' } = asked;
    const seen: Passed = { method, path: url, headers, body: sent.toString() };
    passed.push(seen);
    const tell = ({ status, headers: fields, body }: Told) => {
      const { 'transfer-encoding': _, 'content-length': __, ...kept } = fields;
      answer.writeHead(status, kept).end(Buffer.from(body, 'latin1'));
    };
    if (!url.startsWith(`${below}/`)) return tell(told(404, { error: `outside of ${below}` }));
    const own = instead?.(seen);
    if (own) return tell(own);
    const { connection: _, ...onwardHeaders } = headers;
    const onward = request(new URL(url.slice(below.length), to), { method, headers: onwardHeaders }, async (got) => {
      const parts: Buffer[] = [];
      for await (const part of got) parts.push(part as Buffer);
      const whole = {
        status: got.statusCode ?? 502,
        headers: got.headers,
        body: Buffer.concat(parts).toString('latin1'),
      };
      tell(change?.(seen, whole) ?? whole);
    });
    onward.on('error', () => answer.destroy());
    onward.end(sent);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${below}`, passed };
}
