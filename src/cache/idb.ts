/**
 * Whether IndexedDB failed for want of room, which is no defect: what it holds can still be read. Firefox often says
 * only that it aborted the transaction.
 */
export function isQuotaError(error: unknown): boolean {
  return error instanceof Error && ['QuotaExceededError', 'AbortError'].includes(error.name);
}

/**
 * What the error of a step of a transaction stands for. The first one after the quota was met may only remove things in
 * Firefox, which says `InvalidStateError` to whatever it is told to add.
 */
export function normalizeIdbError(error: unknown): unknown {
  return isNamed(error, 'InvalidStateError') ? noRoom() : error;
}

/**
 * The same for a step that adds something large. Firefox keeps values of a megabyte and more in files of their own,
 * and if there is no room for one it says `UnknownError`. If more than room is missing, the next read shows it.
 */
export function normalizeIdbAddError(error: unknown): unknown {
  return isNamed(error, 'UnknownError') ? noRoom() : error;
}

const isNamed = (error: unknown, name: string) => error instanceof Error && error.name === name;

const noRoom = () => new DOMException('The browser lets nothing be added at the moment.', 'QuotaExceededError');
