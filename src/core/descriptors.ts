/** Explains that a step lacked a descriptor, and what to do. */
export const TOO_MANY_OPEN = 'Too many files and connections are open: raise the limit (ulimit -n)';

/** True if a file or connection could not be opened because this process, or the system, has as many open as it may. */
export function isOutOfDescriptors(error: unknown): boolean {
  for (let reason = error; reason instanceof Error; reason = reason.cause) {
    // Of several addresses of a host, each failed in its own way.
    const first = reason instanceof AggregateError ? reason.errors[0] : undefined;
    if (isDescriptorCode(((first ?? reason) as NodeJS.ErrnoException).code)) return true;
  }
  return false;
}

/** Of this process, or of the whole system. */
export const isDescriptorCode = (code: unknown): boolean => code === 'EMFILE' || code === 'ENFILE';

/** Limits of parallelism. */
export interface Shares {
  workers: number;
  /** Files of a snapshot. */
  files: number;
  /** Requests for data. */
  lanes: number;
}
