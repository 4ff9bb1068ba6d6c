/**
 * Yields the values of a generator, which works up to `maxAhead` values ahead of the consumer. An abort takes effect at
 * once, even while the generator waits for something that does not know of it.
 */
export async function* prefetch<T>(
  values: AsyncGenerator<T, void, undefined>,
  maxAhead: number,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const requested: Promise<IteratorResult<T, void>>[] = [];
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  aborted.catch(() => undefined);
  try {
    signal.throwIfAborted();
    for (;;) {
      while (requested.length < maxAhead) {
        // An async generator queues its requests, so they can all be made now.
        const next = values.next();
        next.catch(() => undefined);
        requested.push(next);
      }
      const next = await Promise.race([requested.shift() ?? values.next(), aborted]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: the generator may be stuck in the very work that was aborted.
    values.return().catch(() => undefined);
  }
}
