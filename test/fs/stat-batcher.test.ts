import { stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { StatBatcher } from '../../src/fs/stat-batcher.node.ts';
import { rejectionOf } from '../support/property.ts';

const path = import.meta.filename;

test('looks say what the file system says', async () => {
  const looks = new StatBatcher();
  const expected = await stat(path, { bigint: true });
  expect(await looks.stat(path)).toMatchObject({ ino: expected.ino, mtimeNs: expected.mtimeNs, size: expected.size });
  expect(await rejectionOf(looks.stat(`${path}.none`))).toMatchObject({ code: 'ENOENT', syscall: 'stat' });
});

test.each([1, 256])('many of them, %i at once, leave turns to others', async (atOnce) => {
  const looks = new StatBatcher();
  const total = 5_120;
  let done = 0;
  // What others would have to wait for.
  const before: number[] = [];
  let last = 0;
  const other = () => {
    before.push(done - last);
    last = done;
    if (done < total) setImmediate(other);
  };
  setImmediate(other);
  const runner = async () => {
    for (let look = 0; look < total / atOnce; look++) {
      await looks.stat(path);
      done++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runner));
  expect(before.length).toBeGreaterThan(8);
  expect(Math.max(...before)).toBeLessThanOrEqual(500 + 2 * atOnce);
});
