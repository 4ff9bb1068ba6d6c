import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ifPresent, isSystemError } from '../../src/fs/if-present.ts';
import { scratchFolder as scratch } from '../support/scratch.ts';

describe('ifPresent', () => {
  test('a missing file, a file in place of a folder and a circle of links are absent', async () => {
    const folder = await scratch();
    await writeFile(join(folder, 'file'), '');
    await symlink('circle', join(folder, 'circle'));
    for (const path of ['missing', 'file/below', 'circle'])
      expect(await ifPresent(() => readFile(join(folder, path))), path).toBeUndefined();
    expect(await ifPresent(() => readFile(join(folder, 'file')))).toHaveLength(0);
  });

  test('any other failure rejects', async () => {
    const folder = await scratch();
    const tooLong = await ifPresent(() => readFile(join(folder, 'x'.repeat(300)))).catch((error: unknown) => error);
    expect(tooLong).toMatchObject({ code: 'ENAMETOOLONG' });
    expect(isSystemError(tooLong)).toBe(true);
    await expect(ifPresent(() => readFile(folder))).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(ifPresent(() => Promise.reject(new TypeError('a bug')))).rejects.toThrow('a bug');
    expect(isSystemError(new TypeError('a bug'))).toBe(false);
  });
});
