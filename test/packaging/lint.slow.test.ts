import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pack, problemsOf } from '../../scripts/check-package.mjs';

test('publint and are-the-types-wrong find nothing, and nothing runs when it is installed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-lint-'));
  try {
    const { tarball, files, bytes } = await pack(folder);
    expect(await problemsOf(tarball)).toEqual([]);
    const expected = [
      'LICENSE',
      'THIRD_PARTY.md',
      'SECURITY.md',
      'CHANGELOG.md',
      'README.md',
      'pkg/BUILD.json',
      'dist/cli.js',
    ];
    expect(files).toEqual(expect.arrayContaining(expected));
    // Larger is allowed, but not by accident.
    expect(bytes).toBeLessThan(900_000);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
