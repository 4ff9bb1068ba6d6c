import { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';

/**
 * Outcome of a call to another thread. Failures travel as data, because the class and the code of an error are lost in
 * a message.
 */
export type Result<T> = { value: T } | { error: { code: XetErrorCode; message: string; system?: string } };

/** Runs work on behalf of another thread. Errors that are not a `XetError` become `CACHE`: such threads store things. */
export async function capture<T>(work: () => Promise<T>): Promise<Result<T>> {
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

/** Returns the value of a result, or throws its error. */
export function unwrap<T>(result: Result<T>): T {
  if ('value' in result) return result.value;
  const { code, message, system } = result.error;
  throw new XetError(
    code,
    message,
    system === undefined ? {} : { cause: Object.assign(new Error(system), { code: system }) },
  );
}
