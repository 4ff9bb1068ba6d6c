import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { openInPlace } from '../../src/fs/in-place.ts';
import type { FileHandle, SyncAccessHandle } from '../../src/fs/opfs.ts';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** What a reference leads to is kept to the end of the task in which it was last looked at. */
async function isCollected(reference: WeakRef<object>): Promise<boolean> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  return reference.deref() === undefined;
}

test('a handle to which nobody else refers is kept until it has answered, and no longer', async () => {
  let answer: (handle: SyncAccessHandle) => void = () => undefined;
  const asked = new Promise<SyncAccessHandle>((resolve) => {
    answer = resolve;
  });
  const open = () => {
    const handle = { createSyncAccessHandle: () => asked };
    return { reference: new WeakRef(handle), opening: openInPlace(handle as unknown as FileHandle) };
  };
  const { reference, opening } = open();
  expect(await isCollected(reference)).toBe(false);
  const given = {} as SyncAccessHandle;
  answer(given);
  expect(await opening).toBe(given);
  expect(await isCollected(reference)).toBe(true);
});
