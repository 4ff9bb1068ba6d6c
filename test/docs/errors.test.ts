import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { root } from './blocks.ts';

test('the guide has each code of an error once, and no other', async () => {
  const source = await readFile(`${root}src/core/errors.ts`, 'utf8');
  const [union = ''] = /export type XetErrorCode =[^;]+;/.exec(source) ?? [];
  const codes = Array.from(union.matchAll(/'([A-Z_]+)'/g), ([, code]) => code);
  const guide = await readFile(`${root}docs/errors.md`, 'utf8');
  const rows = Array.from(guide.matchAll(/^\| `([A-Z_]+)` \| [^|]+ \| [^|]+ \|$/gm), ([, code]) => code);
  expect(codes.length).toBeGreaterThan(20);
  expect(rows.sort()).toEqual(codes.sort());
});
