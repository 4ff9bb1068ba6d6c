import fc from 'fast-check';

/** The same cases in every run: a failure can be looked at again. */
const SEED = 20260101;

export function holds<T>(numRuns: number, arbitrary: fc.Arbitrary<T>, check: (value: T) => void): void {
  fc.assert(
    fc.property(arbitrary, (value) => {
      check(value);
    }),
    { seed: SEED, numRuns },
  );
}

export function holdsAsync<T>(
  numRuns: number,
  arbitrary: fc.Arbitrary<T>,
  check: (value: T) => Promise<void>,
): Promise<void> {
  return fc.assert(fc.asyncProperty(arbitrary, check), { seed: SEED, numRuns });
}

/** Bytes in pieces that end where the given positions fall, whatever their size and order; some may be empty. */
export function splitAt(bytes: Uint8Array, positions: number[]): Uint8Array[] {
  const ends = [...positions.map((position) => position % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

/** What a call threw, for checks of more than its message. */
export function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return new Error('Nothing was thrown');
}

export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => new Error('Nothing was thrown'),
    (error: unknown) => error,
  );
}
