import { isXetError, XetError, type XetErrorCode } from './errors.ts';

/** What came of a call to another thread. Failures are data: the class and the code of an error do not survive the way. */
export type Answer<T> = { value: T } | { error: { code: XetErrorCode; message: string } };

/** Does something for another thread. What is no error of ours is told as `CACHE`: such threads keep things. */
export async function answer<T>(work: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (isXetError(error)) return { error: { code: error.code, message: error.message } };
    return { error: { code: 'CACHE', message: error instanceof Error ? error.message : String(error) } };
  }
}

/** What the other thread has found, or its error thrown again. */
export function resultOf<T>(found: Answer<T>): T {
  if ('value' in found) return found.value;
  throw new XetError(found.error.code, found.error.message);
}
