import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { BrowserKind, Profile } from '../browsers.ts';

/** A browser that is told what to do over its DevTools protocol. */
export interface DevTools {
  send<T>(method: string, params?: object, session?: string): Promise<T>;
  /** Parameters of the next event with this name. */
  event<T>(method: string): Promise<T>;
  close(): Promise<void>;
}

/**
 * Starts a browser with nothing of its DevTools switched on: what watches a page's network for a test runner keeps up
 * to 200 MB of what the page fetched, in the page's own process.
 */
export function startWithDevTools(browser: BrowserKind, profile: Profile): DevTools {
  const args = browser.args(profile, 'about:blank').filter((arg) => !arg.startsWith('--remote-debugging'));
  const child = spawn(browser.command ?? '', ['--remote-debugging-pipe', ...args], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, HOME: profile.folder },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const answers = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  const events = new Map<string, (params: unknown) => void>();
  const fail = (error: Error) => {
    for (const { reject } of answers.values()) reject(error);
    answers.clear();
  };
  child.once('error', fail);
  child.once('exit', () => fail(new Error('The browser has ended.')));
  const [, , , input, output] = child.stdio as unknown as [null, null, null, Writable, Readable];
  // One that has ended is told of by its exit.
  input.on('error', () => undefined);
  const take = (text: string) => {
    const { id, result, error, method, params } = JSON.parse(text);
    if (id === undefined) {
      events.get(method)?.(params);
      events.delete(method);
      return;
    }
    const answer = answers.get(id);
    answers.delete(id);
    if (error) answer?.reject(new Error(error.message));
    else answer?.resolve(result);
  };
  let parts: Buffer[] = [];
  output.on('data', (data: Buffer) => {
    let rest = data;
    for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
      take(Buffer.concat([...parts, rest.subarray(0, end)]).toString());
      parts = [];
      rest = rest.subarray(end + 1);
    }
    parts.push(rest);
  });
  let sent = 0;
  return {
    send: <T>(method: string, params: object = {}, sessionId?: string) =>
      new Promise<T>((resolve, reject) => {
        const id = ++sent;
        answers.set(id, { resolve: resolve as (result: unknown) => void, reject });
        input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
      }),
    event: <T>(method: string) => new Promise<T>((resolve) => events.set(method, resolve as (params: unknown) => void)),
    async close() {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await ended;
    },
  };
}
