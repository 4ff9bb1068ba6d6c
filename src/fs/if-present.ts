/** True if an error says that a path does not exist or leads nowhere. */
export function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(String((error as { code?: unknown } | undefined)?.code));
}

/** True if the operating system failed, not the program. */
export function isSystemError(error: unknown): error is Error & { code?: string } {
  return error instanceof Error && 'syscall' in error;
}

/** Returns the result of a step, or undefined if its path is absent. All other errors reject. */
export async function ifPresent<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
