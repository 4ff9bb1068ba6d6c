/** Work that stops after every so many items, so that whoever does it can give others a turn. */
export type Steps<T> = Generator<void, T, undefined>;

/** Terms or ranges that are dealt with between two stops: a few milliseconds at most. */
export const ITEMS_AT_ONCE = 2048;
