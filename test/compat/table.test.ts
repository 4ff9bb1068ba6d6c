import { randomUUID } from 'node:crypto';
import * as original from '@huggingface/hub';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import * as compat from 'xetkit/compat';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { scratch } from '../support/hub.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { type Api, type Place, tables } from './calls.ts';
import { outcomeOf } from './outcome.ts';

// One program, run on both packages: what it gets must be the same.

// The original says what it downloads.
vi.spyOn(console, 'debug').mockReturnValue(undefined);

let hub: LocalHub;
let first: string;
let last: string;
beforeAll(async () => {
  hub = await startLocalHub();
  const files = {
    'config.json': '{"a": 1}\n',
    'README.md': '# Über model\n',
    'empty.txt': new Uint8Array(),
    'sub/dir/a.txt': 'nested',
    'small.bin': randomBytes(5000, 1),
    'big.bin': randomBytes(2_000_000, 2),
    'text.txt': text(1_500_000, 3),
    'model.safetensors': weights(1, 4),
  };
  ({ commit: first } = await hub.commitFiles('owner/model', files));
  // All of it in the last commit, so that the original puts it where the last commit is.
  ({ commit: last } = await hub.commitFiles('owner/model', { 'other.bin': randomBytes(300_000, 5) }));
  await hub.commitFiles('owner/model', { 'config.json': '{"b": 2}\n' }, { branch: 'feature/x' });
  await hub.commitFiles('datasets/owner/data', { 'rows.bin': randomBytes(400_000, 6), 'rows.csv': 'a,b\n1,2\n' });
  await hub.commitFiles('spaces/owner/space', { 'app.py': 'print()\n' });
  const many = Array.from({ length: 1100 }, (_, index) => [`part/${index}.txt`, `${index % 7}`] as const);
  await hub.commitFiles('datasets/owner/many', Object.fromEntries(many));
  await hub.commitFiles('owner/secret', { 'a.txt': 'secret' });
  await hub.setRepo('owner/secret', { private: true });
});
afterAll(() => hub.close());

/** What both have to go by is the same but for its name. */
async function placeFor(): Promise<{ place: Place; names: Record<string, string> }> {
  const cacheDir = await scratch();
  const mine = `owner/${randomUUID()}`;
  await hub.createRepo(mine);
  const before = hub.requests.length;
  const place: Place = {
    on: { hubUrl: hub.url, fetch: (input, init) => fetch(input, init) },
    cacheDir,
    mine,
    first,
    last,
    asked: () => hub.requests.slice(before).map(({ kind }) => kind),
  };
  return { place, names: { [cacheDir]: '<cache>', [mine]: '<mine>', [hub.url]: '<hub>' } };
}

describe.each(Object.entries(tables))('%s', (_table, rows) => {
  test.each(rows)('$does', async ({ call }) => {
    const ours: Api = compat;
    const theirs = await placeFor();
    const expected = await outcomeOf(() => call(original, theirs.place), theirs.names);
    const own = await placeFor();
    const outcome = await outcomeOf(() => call(ours, own.place), own.names);
    expect(outcome).toEqual(expected);
  });
});

test('the table has at least 60 calls', () => {
  expect(Object.values(tables).flat().length).toBeGreaterThanOrEqual(60);
});
