/** Throws unless two plain values are deeply equal. */
export function equal(found: unknown, expected: unknown, note = ''): void {
  const [left, right] = [textOf(found), textOf(expected)];
  if (left !== right) throw new Error(`expected ${right}, found ${left}. ${note}`);
}

/** A text that is equal for equal values, regardless of the order of keys. */
function textOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`;
  if (typeof value !== 'object' || value === null)
    return typeof value === 'string' ? JSON.stringify(value) : `${value}`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${key}:${textOf((value as Record<string, unknown>)[key])}`).join()}}`;
}
