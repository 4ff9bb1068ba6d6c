export interface PageLockOptions {
  signal: AbortSignal;
  /** Called once if the lock is held elsewhere. */
  onWait: () => void;
}

/** The sole right to something among all tabs and workers of this site; gives what ends it. A tab that is gone has none. */
export async function acquirePageLock(name: string, { signal, onWait }: PageLockOptions): Promise<() => void> {
  signal.throwIfAborted();
  const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
  // Then there is nobody to ask, and the file itself can be open once only.
  if (!locks) return () => undefined;
  return new Promise((resolve, reject) => {
    const hold = () => new Promise<void>((release) => resolve(() => release()));
    const wait = () => {
      onWait();
      return locks.request(name, { signal }, hold);
    };
    let free = false;
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        free = lock !== null;
        return free ? hold() : undefined;
      })
      .then(() => (free ? undefined : wait()))
      .catch(reject);
  });
}
