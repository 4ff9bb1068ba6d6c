import { afterEach, expect, test, vi } from 'vitest';
import { NegativeCache } from '../../src/cache/negative-cache.ts';

afterEach(() => vi.restoreAllMocks());

test('a missing name is believed missing for half a second, unless it is deleted', () => {
  const now = vi.spyOn(performance, 'now').mockReturnValue(10);
  const missing = new NegativeCache();
  missing.add('a');
  missing.add('b');
  expect([missing.has('a'), missing.has('b'), missing.has('c')]).toEqual([true, true, false]);
  missing.delete('a');
  expect(missing.has('a')).toBe(false);
  now.mockReturnValue(509);
  expect(missing.has('b')).toBe(true);
  now.mockReturnValue(510);
  expect(missing.has('b')).toBe(false);
});

test('only the latest 64 names are kept', () => {
  vi.spyOn(performance, 'now').mockReturnValue(10);
  const missing = new NegativeCache();
  for (let index = 0; index < 100; index++) missing.add(`name ${index}`);
  missing.add('name 36');
  missing.add('one more');
  const kept = Array.from({ length: 100 }, (_, index) => missing.has(`name ${index}`));
  expect(kept.filter(Boolean)).toHaveLength(63);
  expect([kept[35], kept[36], kept[37], kept[38], missing.has('one more')]).toEqual([false, true, false, true, true]);
});
