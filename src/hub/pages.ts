/** One page of a list, and where the next one is. */
export interface Page<T> {
  items: T[];
  next: string | undefined;
}

/** No list is longer: that would be ten million files. */
const MAX_PAGES = 10_000;
/** A server may filter what it lists, so that a page is empty; so many in a row are no list. */
const MAX_EMPTY_PAGES = 20;

/**
 * The pages of a list, each asked for when it is wanted. A list that leads back to itself, goes on and on or brings nothing ends
 * with the error that `failure` makes.
 */
export async function* pagesOf<T>(
  first: string,
  ask: (url: string) => Promise<Page<T>>,
  failure: (what: string, url: string) => Error,
): AsyncGenerator<T[], void, undefined> {
  // An earlier address, taken anew at every power of two: a circle of any length comes back to it, and nothing grows.
  let landmark = first;
  let empty = 0;
  let url = first;
  for (let count = 1; ; count++) {
    const { items, next } = await ask(url);
    empty = items.length === 0 ? empty + 1 : 0;
    if (items.length > 0) yield items;
    if (next === undefined) return;
    if (next === url || next === landmark) throw failure('lists in a circle', next);
    if (count >= MAX_PAGES) throw failure(`lists more than ${MAX_PAGES} pages`, next);
    if (empty >= MAX_EMPTY_PAGES) throw failure(`goes on after ${MAX_EMPTY_PAGES} empty pages`, next);
    if ((count & (count - 1)) === 0) landmark = next;
    url = next;
  }
}
