import { expect, test } from 'vitest';
import { LatelyMissing } from '../../src/cache/lately-missing.ts';

test('what was missing is for a moment, unless it comes', () => {
  let now = 10;
  const missing = new LatelyMissing(() => now);
  missing.add('a');
  missing.add('b');
  expect([missing.has('a'), missing.has('b'), missing.has('c')]).toEqual([true, true, false]);
  missing.delete('a');
  expect(missing.has('a')).toBe(false);
  now += 499;
  expect(missing.has('b')).toBe(true);
  now += 1;
  expect(missing.has('b')).toBe(false);
});

test('only so many names are kept, the latest', () => {
  const missing = new LatelyMissing(() => 0);
  for (let index = 0; index < 100; index++) missing.add(`name ${index}`);
  missing.add('name 36');
  missing.add('one more');
  const kept = Array.from({ length: 100 }, (_, index) => missing.has(`name ${index}`));
  expect(kept.filter(Boolean)).toHaveLength(63);
  expect([kept[35], kept[36], kept[37], kept[38], missing.has('one more')]).toEqual([false, true, false, true, true]);
});
