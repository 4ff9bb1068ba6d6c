import { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';

/** What came of a call to another thread. Failures are data: the class and the code of an error do not survive the way. */
export type Answer<T> = { value: T } | { error: { code: XetErrorCode; message: string; system?: string } };

/** Does something for another thread. What is no error of ours is told as `CACHE`: such threads keep things. */
export async function answer<T>(work: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    const system = systemCode(isXetError(error) ? error.cause : error);
    const code = isXetError(error) ? error.code : 'CACHE';
    const message = error instanceof Error ? error.message : String(error);
    return { error: { code, message, ...(system !== undefined && { system }) } };
  }
}

/** The system's error code, such as `ENOSPC`; callers branch on it. */
function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** What the other thread has found, or its error thrown again. */
export function resultOf<T>(found: Answer<T>): T {
  if ('value' in found) return found.value;
  const { code, message, system } = found.error;
  throw new XetError(
    code,
    message,
    system === undefined ? {} : { cause: Object.assign(new Error(system), { code: system }) },
  );
}
