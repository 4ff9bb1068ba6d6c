import { expect, test } from 'vitest';
import { isXetError } from '../../src/core/errors.ts';
import type { SuiteHooks } from './suite.ts';

/** The vector suite's cases as vitest tests. */
export const vitestHooks: SuiteHooks = {
  test,
  equal: (found, expected, note) => expect(found, note).toStrictEqual(expected),
  throws: async (run, code, note) => {
    const error: unknown = await run().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(isXetError(error, code), `${note ?? code}: ${String(error)}`).toBe(true);
  },
};
