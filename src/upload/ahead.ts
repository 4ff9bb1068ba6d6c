/**
 * The values of a generator, which works up to `most` values ahead of whoever takes them. An abort is noticed at
 * once, also while the generator waits for something that does not know of it.
 */
export async function* ahead<T>(
  values: AsyncGenerator<T, void, undefined>,
  most: number,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const made: Promise<IteratorResult<T, void>>[] = [];
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  aborted.catch(() => undefined);
  try {
    signal.throwIfAborted();
    for (;;) {
      while (made.length < most) {
        // A generator takes one request after the other, so they may all be made now.
        const next = values.next();
        next.catch(() => undefined);
        made.push(next);
      }
      const next = await Promise.race([made.shift() ?? values.next(), aborted]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not waited for: it may be stuck in what made somebody abort.
    values.return().catch(() => undefined);
  }
}
