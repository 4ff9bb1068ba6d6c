import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect } from 'vitest';
import { contentUnder } from '../support/hub.ts';

/** The Hub token of every run. It opens a private repository, so it is really needed, and must show up nowhere. */
export const HUB_TOKEN = 'hf_FaultSuiteSecret0123456789';

/** What gives access, in the forms in which the local Hub hands it out. */
const SECRETS: [what: string, pattern: RegExp][] = [
  ['the Hub token', new RegExp(HUB_TOKEN)],
  ['a CAS token', /xet_[\w-]{8,}/],
  ['a signature', /Signature=[\w-]{8,}/i],
  ['a signed range', /X-Xet-Signed-Range/i],
  ['an authorization header', /Bearer\s+\S{8,}/i],
];

/** Resources of this process that a download may hold while it runs, and not for longer. */
const WATCHED = new Set(['MessagePort', 'Worker', 'Timeout', 'Immediate', 'FSReqPromise', 'FileHandle', 'Pipe']);

/**
 * For every test of a file: no unhandled rejection, no timer, worker or file left open. Sockets are not
 * counted, as kept-alive ones may stay; that they keep no process alive is what `exit.test.ts` shows.
 */
export function watchHygiene(): void {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => void rejections.push(reason);
  let before = new Map<string, number>();

  beforeEach(() => {
    rejections.length = 0;
    process.on('unhandledRejection', onRejection);
    before = resources();
  });

  afterEach(async () => {
    // A rejection is reported as unhandled a turn later.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onRejection);
    expect(
      rejections.map((reason) => inspect(reason)),
      'unhandled rejections',
    ).toEqual([]);
    expect(await settled(() => grown(before)), 'resources left open').toEqual([]);
    expect(await settled(openFiles), 'files left open').toEqual([]);
  });
}

function resources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function grown(before: Map<string, number>): string[] {
  return [...resources()]
    .filter(([name, count]) => WATCHED.has(name) && count > (before.get(name) ?? 0))
    .map(([name, count]) => `${name}: ${before.get(name) ?? 0} → ${count}`);
}

/** What is left when it has had time to be closed. Looks before it waits: with clean tests there is no wait. */
async function settled(look: () => string[] | Promise<string[]>): Promise<string[]> {
  for (let turn = 0; ; turn++) {
    const left = await look();
    if (left.length === 0 || turn === 60) return left;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Files of test folders that this process has open, where the system tells. */
async function openFiles(): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd').catch(() => []);
  const targets = await Promise.all(descriptors.map((fd) => readlink(join('/proc/self/fd', fd)).catch(() => '')));
  return targets.filter((target) => target.includes('xetkit-test-'));
}

/** Fails if anything that was said — errors with their causes, warnings, notices, output — gives away a secret. */
export function expectNoSecrets(...said: unknown[]): void {
  for (const item of said) {
    const text = typeof item === 'string' ? item : inspect(item, { depth: 12, maxStringLength: null });
    for (const [what, pattern] of SECRETS) {
      const found = pattern.exec(text);
      const around = found ? text.slice(Math.max(0, found.index - 120), found.index + 120) : '';
      expect(around, `${what} was given away`).toBe('');
    }
  }
}

/** The same for what was left on disk: journals, locks, metadata. */
export async function expectNoSecretsIn(folder: string): Promise<void> {
  for (const path of await contentUnder(folder)) {
    const content = await readFile(join(folder, path)).catch(() => undefined);
    if (content) expectNoSecrets(path, content.toString('latin1'));
  }
}
