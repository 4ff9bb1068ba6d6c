import { expect, test } from 'vitest';
import { OpenedFiles, type OpenFile } from '../../src/fetch/opened-files.ts';

const address = {
  url: 'https://hub.example/owner/model/resolve/main/a.json',
  repo: { type: 'models', name: 'owner/model' },
  revision: 'main',
  path: 'a.json',
} as unknown as Parameters<OpenedFiles['open']>[0];

/** Opens files with changeable metadata, and records the calls. */
function openedFiles() {
  const said = { etag: 'a', commit: 'c' };
  const clock = { ms: 0 };
  const asked: boolean[] = [];
  const files = new OpenedFiles(
    async (_, whole) => {
      asked.push(whole);
      return { ...said, path: 'a.json', size: 9, xetHash: undefined, slice: () => ({}) } as unknown as OpenFile;
    },
    () => clock.ms,
  );
  const open = (recent: boolean, whole: boolean) => files.open(address, recent, whole, undefined);
  return { said, clock, asked, open };
}

test('range requests within a moment open a file once', async () => {
  const { asked, open, clock } = openedFiles();
  const first = await open(true, false);
  expect(await open(true, false)).toBe(first);
  clock.ms = 31_000;
  expect(await open(true, false)).not.toBe(first);
  expect(asked).toEqual([false, false]);
});

test('requests for a whole file ask the Hub each time, and fetch its beginning once', async () => {
  const { asked, open } = openedFiles();
  const facts = await open(true, false);
  const first = await open(false, true);
  expect(first).not.toBe(facts);
  expect(await open(false, true)).toBe(first);
  expect(await open(false, true)).toBe(first);
  expect(asked).toEqual([false, true, false, false]);
});

test.each(['etag', 'commit'] as const)('a changed %s opens the file again', async (fact) => {
  const { asked, said, open } = openedFiles();
  const first = await open(false, true);
  said[fact] = 'other';
  const second = await open(false, true);
  expect(second).not.toBe(first);
  expect(second[fact]).toBe('other');
  // It came without its beginning, which is asked for by the next.
  expect(await open(false, true)).not.toBe(second);
  expect(asked).toEqual([true, false, true]);
});
