/** What the conditions of a request come to, in the order of RFC 9110, 13.2.2. */
export type Outcome = 'proceed' | 'not-modified' | 'failed';

/** Files of a repository have no date, so conditions about dates are left aside, as the RFC says. */
export function checkConditions(headers: Headers, tags: readonly string[]): Outcome {
  const match = headers.get('if-match');
  if (match !== null && !lists(match, tags, 'strong')) return 'failed';
  const noneMatch = headers.get('if-none-match');
  return noneMatch !== null && lists(noneMatch, tags, 'weak') ? 'not-modified' : 'proceed';
}

/** Whether the range of a request still holds. A date never does: there is none to compare it with. */
export function rangeHolds(headers: Headers, tags: readonly string[]): boolean {
  const condition = headers.get('if-range');
  return condition === null || (condition.trim() !== '*' && lists(condition, tags, 'strong'));
}

/** Whether a list of entity tags, or `*`, names one of these, which are without quotes and strong. */
function lists(header: string, tags: readonly string[], comparison: 'strong' | 'weak'): boolean {
  if (header.trim() === '*') return true;
  for (const [, weak, tag = ''] of header.matchAll(/(W\/)?"([^"]*)"/g)) {
    if (tags.includes(tag) && (comparison === 'weak' || weak === undefined)) return true;
  }
  return false;
}
